// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <utlist.h>

#include "lib/grpc/grpc_int.h"
#define LOG_NAME "grpc"
#include "lib/base/log.h"

static void pause_accepting(struct grpc_server *s)
{
	static const struct timeval second = { .tv_sec = 1 };

	event_del(s->accept_ev);
	event_add(s->resume_ev, &second);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	grpc_server_room(arg);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_server *s = arg;
	struct grpc_conn *c;
	int peer;

	peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (peer < 0) {
		/* Without descriptors the listener stays readable: wait instead of spinning. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_accepting(s);
		return;
	}
	if (grpc_conn_new(s, peer, &c) < 0)
		return;
	if (s->n_connections >= s->max_connections)
		event_del(s->accept_ev);
}

void grpc_server_room(struct grpc_server *s)
{
	if (s->accept_ev && s->n_connections < s->max_connections)
		event_add(s->accept_ev, NULL);
}

static int socket_address(const char *path, const char *suffix, struct sockaddr_un *ret,
			  struct err *e)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s%s", path, suffix);
	if (n < 0 || (size_t)n >= sizeof(ret->sun_path))
		return err_set(e, -ENAMETOOLONG, "socket '%s': path is too long", path);
	return 0;
}

/* 0 when the path is free or holds a socket that nobody listens on. */
static int check_free(const char *path, struct err *e)
{
	_cleanup_(closep) int fd = -1;
	struct sockaddr_un sa;
	struct stat st;
	int err;

	err = socket_address(path, "", &sa, e);
	if (err < 0)
		return err;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, -errno, "socket '%s'", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EEXIST, "'%s' is there and is no socket", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, -errno, "socket '%s'", path);
	/* EAGAIN: somebody listens whose backlog is full. */
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN)
		return err_set(e, -EADDRINUSE, "socket '%s': somebody listens on it", path);
	return errno == ECONNREFUSED || errno == ENOENT ? 0
							: err_errno(e, -errno, "socket '%s'", path);
}

/*
 * The socket is made under another name, given its mode, and only then moved into place: there is
 * no moment at which the wrong people could connect, nor one at which the path is absent.
 */
static int listen_unix(struct grpc_server *s, const char *path, unsigned int mode, struct err *e)
{
	_cleanup_(closep) int fd = -1;
	struct sockaddr_un sa;
	char suffix[32];
	struct stat st;
	int err;

	err = check_free(path, e);
	if (err < 0)
		return err;
	snprintf(suffix, sizeof(suffix), ".%d", getpid());
	err = socket_address(path, suffix, &sa, e);
	if (err < 0)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(e, -errno, "socket '%s'", path);
	unlink(sa.sun_path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_errno(e, -errno, "socket '%s'", path);
	if (chmod(sa.sun_path, mode) < 0 || stat(sa.sun_path, &st) < 0 || listen(fd, 128) < 0 ||
	    rename(sa.sun_path, path) < 0) {
		err = -errno;
		unlink(sa.sun_path);
		return err_errno(e, err, "socket '%s'", path);
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->fd = TAKE_FD(fd);
	return 0;
}

static int start_accepting(struct grpc_server *s)
{
	s->accept_ev = event_new(s->base, s->fd, EV_READ | EV_PERSIST, on_accept, s);
	s->resume_ev = evtimer_new(s->base, on_resume, s);
	if (!s->accept_ev || !s->resume_ev || event_add(s->accept_ev, NULL) < 0)
		return -ENOMEM;
	return 0;
}

DEFINE_FREEP(struct grpc_server, grpc_server_free)

int grpc_server_new(struct event_base *base, const struct grpc_server_config *cfg,
		    struct grpc_server **ret, struct err *e)
{
	_cleanup_(grpc_server_freep) struct grpc_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->base = base;
	s->fd = -1;
	s->max_message = cfg->max_message ? cfg->max_message : GRPC_MAX_MESSAGE;
	s->max_connections = cfg->max_connections ? cfg->max_connections : 256;
	if (cfg->socket_path) {
		err = listen_unix(s, cfg->socket_path, cfg->mode, e);
		if (err < 0)
			return err;
		s->path = strdup(cfg->socket_path);
		if (!s->path || start_accepting(s) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(s);
	return 0;
}

void grpc_server_free(struct grpc_server *s)
{
	struct grpc_method *m, *next;
	struct stat st;

	if (!s)
		return;
	if (s->path && lstat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	if (s->accept_ev)
		event_free(s->accept_ev);
	if (s->resume_ev)
		event_free(s->resume_ev);
	s->accept_ev = NULL;
	while (s->conns)
		grpc_conn_free(s->conns);
	closep(&s->fd);
	LL_FOREACH_SAFE (s->methods, m, next) {
		free(m->path);
		free(m);
	}
	free(s->path);
	free(s);
}

int grpc_server_method(struct grpc_server *s, const char *path, grpc_method_fn fn, void *arg)
{
	struct grpc_method *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->path = strdup(path);
	if (!m->path) {
		free(m);
		return -ENOMEM;
	}
	m->fn = fn;
	m->arg = arg;
	LL_PREPEND(s->methods, m);
	return 0;
}
