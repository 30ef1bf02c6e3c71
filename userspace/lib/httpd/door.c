// SPDX-License-Identifier: Apache-2.0
#include "lib/httpd/door.h"

#include <errno.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <utlist.h>

struct door {
	struct door *next;
	struct event *reopen;
	struct evconnlistener *sockets[DOOR_SOCKETS];
	size_t n;
};

/* evhttp takes a listener's argument for itself: whose it is, is looked up here. */
static struct door *all;

static void on_reopen(evutil_socket_t fd, short what, void *arg)
{
	struct door *d = arg;

	for (size_t i = 0; i < d->n; i++)
		evconnlistener_enable(d->sockets[i]);
}

static void shut(struct door *d)
{
	static const struct timeval second = { .tv_sec = 1 };

	for (size_t i = 0; i < d->n; i++)
		evconnlistener_disable(d->sockets[i]);
	event_add(d->reopen, &second);
}

/* The kernel gives the lowest number that is free, so a high one says how many are taken. */
static bool is_crowded(const struct door *d)
{
	int fd = fcntl(evconnlistener_get_fd(d->sockets[0]), F_DUPFD_CLOEXEC, 0);
	struct rlimit lim;

	if (fd < 0)
		return true;
	close(fd);
	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return false;
	return (rlim_t)fd >= MIN(lim.rlim_cur / 2, (rlim_t)DOOR_MAX_DESCRIPTORS);
}

/* Called for each connection; NULL: evhttp makes its own bufferevent. */
static struct bufferevent *on_enter(struct event_base *base, void *arg)
{
	struct door *d = arg;

	if (is_crowded(d))
		shut(d);
	return NULL;
}

static void on_error(struct evconnlistener *socket, void *arg)
{
	struct door *d;

	LL_FOREACH (all, d)
		for (size_t i = 0; i < d->n; i++)
			if (d->sockets[i] == socket)
				shut(d);
}

int door_new(struct event_base *base, struct door **ret)
{
	struct door *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->reopen = evtimer_new(base, on_reopen, d);
	if (!d->reopen) {
		free(d);
		return -ENOMEM;
	}
	LL_PREPEND(all, d);
	*ret = d;
	return 0;
}

void door_free(struct door *d)
{
	if (!d)
		return;
	LL_DELETE(all, d);
	event_free(d->reopen);
	free(d);
}

int door_listen(struct door *d, struct evhttp *server, int fd)
{
	struct evhttp_bound_socket *bound;

	if (d->n == DOOR_SOCKETS)
		return -ENOMEM;
	bound = evhttp_accept_socket_with_handle(server, fd);
	if (!bound)
		return -ENOMEM;
	d->sockets[d->n] = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(d->sockets[d->n++], on_error);
	evhttp_set_bevcb(server, on_enter, d);
	return 0;
}
