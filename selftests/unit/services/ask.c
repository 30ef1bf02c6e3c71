// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/ask.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

/* Below those that the kernel gives to connections. */
#define FIRST_PORT 20000

int own_loopback(void **state)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s, err;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -1;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(s, SIOCSIFFLAGS, &lo);
	close(s);
	return err;
}

int occupy(uint16_t *ret_port)
{
	static uint16_t next = FIRST_PORT;
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(next) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	*ret_port = next++;
	return fd;
}

uint16_t free_port(void)
{
	uint16_t port;

	close(occupy(&port));
	return port;
}

int call(int family, uint16_t port)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port),
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = family == AF_INET6 ? connect(fd, (struct sockaddr *)&a6, sizeof(a6))
				     : connect(fd, (struct sockaddr *)&a4, sizeof(a4));

	if (err == 0)
		return fd;
	close(fd);
	return -1;
}

struct answer {
	struct event_base *base;
	char text[4096];
	size_t len;
};

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct answer *a = arg;
	ssize_t n = what & EV_READ ? read(fd, a->text + a->len, sizeof(a->text) - 1 - a->len) : 0;

	if (n > 0)
		a->len += n;
	else
		event_base_loopbreak(a->base);
}

const char *ask(struct event_base *base, int family, uint16_t port, const char *request)
{
	static struct answer a;
	static const struct timeval patience = { .tv_sec = 60 };
	int fd = call(family, port);
	struct event *ev = event_new(base, fd, EV_READ | EV_PERSIST, on_answer, &a);

	a = (struct answer){ .base = base };
	assert_true(fd >= 0);
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	event_add(ev, &patience);
	event_base_dispatch(base);
	event_free(ev);
	close(fd);
	a.text[a.len] = '\0';
	return a.text;
}
