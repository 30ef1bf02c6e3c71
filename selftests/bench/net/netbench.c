// SPDX-License-Identifier: Apache-2.0
/*
 * Traffic for benchmarks, small enough that the path is what is measured.
 *
 *	netbench server PORT          TCP echo on PORT, TCP sink on PORT+1, UDP counter on PORT+2
 *	netbench stream ADDR PORT MS  Gbit/s of one TCP stream, as counted by the receiver
 *	netbench rr ADDR PORT MS      1-byte transactions a second on one connection
 *	netbench crr ADDR PORT MS     connect, request, response, close: transactions a second
 *	netbench pps ADDR PORT MS     64-byte UDP frames a second that arrive
 *
 * PORT is the server's first port in every mode. Prints one number on stdout. Pin it with taskset.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "lib/base/clock.h"
#include "lib/base/util.h"

enum { ROLE_ECHO_LISTENER, ROLE_SINK_LISTENER, ROLE_UDP, ROLE_ECHO, ROLE_SINK };

struct conn {
	int fd, role;
	uint64_t received; /* sink: bytes */
};

static char buffer[256 * 1024];

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static void set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) < 0)
		die("setsockopt");
}

static struct sockaddr_in6 address(const char *text, unsigned int port)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	char mapped[64];

	snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
	if (inet_pton(AF_INET6, mapped, &sa.sin6_addr) != 1) {
		fprintf(stderr, "netbench: '%s' is not an address\n", text);
		exit(2);
	}
	return sa;
}

static int open_socket(int type)
{
	int fd = socket(AF_INET6, type, 0);

	if (fd < 0)
		die("socket");
	set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	return fd;
}

static void watch(int ep, int fd, int role)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (!c)
		die("calloc");
	c->fd = fd;
	c->role = role;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void serve_listener(int ep, const struct conn *c)
{
	int fd = accept4(c->fd, NULL, NULL, 0);

	if (fd < 0)
		return;
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	watch(ep, fd, c->role == ROLE_ECHO_LISTENER ? ROLE_ECHO : ROLE_SINK);
}

/* The sink answers with its byte count when the sender has shut down its side. */
static void serve_stream(struct conn *c)
{
	ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);

	if (n > 0) {
		c->received += n;
		if (c->role == ROLE_ECHO && send(c->fd, buffer, n, MSG_NOSIGNAL) == n)
			return;
		if (c->role == ROLE_SINK)
			return;
	}
	if (n == 0 && c->role == ROLE_SINK)
		send(c->fd, &c->received, sizeof(c->received), MSG_NOSIGNAL);
	close(c->fd);
	free(c);
}

/* A one-byte datagram asks for the count, and resets it. */
static void serve_udp(int fd)
{
	static struct sockaddr_in6 from[64];
	static struct mmsghdr msgs[64];
	static struct iovec iov[64];
	static char data[64][128];
	static uint64_t count;
	int n;

	for (int i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ data[i], sizeof(data[i]) };
		msgs[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov[i],
			.msg_iovlen = 1,
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
		};
	}
	n = recvmmsg(fd, msgs, 64, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		if (msgs[i].msg_len > 1) {
			count++;
			continue;
		}
		sendto(fd, &count, sizeof(count), 0, (struct sockaddr *)&from[i], sizeof(from[i]));
		count = 0;
	}
}

static void server(unsigned int port)
{
	struct epoll_event evs[64];
	int ep = epoll_create1(0);

	for (int i = 0; i < 3; i++) {
		struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(port + i) };
		int fd = open_socket(i == 2 ? SOCK_DGRAM : SOCK_STREAM);

		set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
		if (i == 2)
			set_int(fd, SOL_SOCKET, SO_RCVBUF, 8 << 20);
		if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
			die("bind");
		if (i < 2 && listen(fd, 1024) < 0)
			die("listen");
		watch(ep, fd, i);
	}
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(ep, evs, ARRAY_SIZE(evs), -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = evs[i].data.ptr;

			if (c->role <= ROLE_SINK_LISTENER)
				serve_listener(ep, c);
			else if (c->role == ROLE_UDP)
				serve_udp(c->fd);
			else
				serve_stream(c);
		}
	}
}

static int dial(const char *addr, unsigned int port, int type)
{
	struct sockaddr_in6 sa = address(addr, port);
	int fd = open_socket(type);

	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		die("connect");
	if (type == SOCK_STREAM)
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

static void transact(int fd)
{
	char byte = 'x';

	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
		die("transaction");
}

static double rr(const char *addr, unsigned int port, unsigned int ms)
{
	uint64_t end = clock_ns() + ms * 1000000ull, start = clock_ns(), n = 0;
	int fd = dial(addr, port, SOCK_STREAM);

	for (; clock_ns() < end; n++)
		transact(fd);
	close(fd);
	return n * 1e9 / (clock_ns() - start);
}

static double crr(const char *addr, unsigned int port, unsigned int ms)
{
	uint64_t end = clock_ns() + ms * 1000000ull, start = clock_ns(), n = 0;
	struct linger reset = { .l_onoff = 1 };

	for (; clock_ns() < end; n++) {
		int fd = dial(addr, port, SOCK_STREAM);

		transact(fd);
		/* Reset, not TIME_WAIT: ports must not be what is measured. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	return n * 1e9 / (clock_ns() - start);
}

/* CUBIC where there is a choice: BBR paces by its own estimate, which drowns the path's cost. */
static double stream(const char *addr, unsigned int port, unsigned int ms)
{
	int fd = dial(addr, port + 1, SOCK_STREAM);
	uint64_t start = clock_ns(), end = start + ms * 1000000ull, received = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", strlen("cubic"));
	while (clock_ns() < end) {
		if (send(fd, buffer, 128 * 1024, MSG_NOSIGNAL) < 0)
			die("send");
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, &received, sizeof(received), MSG_WAITALL) != sizeof(received))
		die("recv");
	return received * 8.0 / (clock_ns() - start);
}

static uint64_t ask_count(int fd)
{
	struct timeval wait = { .tv_sec = 2 };
	uint64_t count = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (int i = 0; i < 5; i++) {
		if (send(fd, "?", 1, 0) == 1 && recv(fd, &count, sizeof(count), 0) == sizeof(count))
			return count;
	}
	die("no answer from the counter");
	return 0;
}

static double pps(const char *addr, unsigned int port, unsigned int ms)
{
	int fd = dial(addr, port + 2, SOCK_DGRAM);
	struct mmsghdr msgs[64] = {};
	struct iovec iov = { buffer, 22 }; /* 14 + 20 + 8 + 22 = 64 */
	uint64_t start, end, sent = 0, took;

	for (size_t i = 0; i < ARRAY_SIZE(msgs); i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	ask_count(fd);
	start = clock_ns();
	end = start + ms * 1000000ull;
	while (clock_ns() < end) {
		int n = sendmmsg(fd, msgs, ARRAY_SIZE(msgs), 0);

		if (n > 0)
			sent += n;
	}
	took = clock_ns() - start;
	fprintf(stderr, "sent %.0f\n", sent * 1e9 / took);
	return ask_count(fd) * 1e9 / took;
}

static const struct {
	const char *name;
	double (*run)(const char *addr, unsigned int port, unsigned int ms);
} modes[] = { { "rr", rr }, { "crr", crr }, { "stream", stream }, { "pps", pps } };

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "server") == 0)
		server(strtoul(argv[2], NULL, 10));
	for (size_t i = 0; argc == 5 && i < ARRAY_SIZE(modes); i++) {
		if (strcmp(argv[1], modes[i].name) == 0) {
			printf("%.3f\n", modes[i].run(argv[2], strtoul(argv[3], NULL, 10),
						      strtoul(argv[4], NULL, 10)));
			return 0;
		}
	}
	fputs("usage: netbench server PORT | rr|crr|stream|pps ADDR PORT MS\n", stderr);
	return 2;
}
