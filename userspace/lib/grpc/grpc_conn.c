// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <utlist.h>

#include "lib/grpc/grpc_int.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* asm-generic, Linux 6.5 */
#endif

static struct grpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
		       void *arg)
{
	struct grpc_conn *c = arg;
	ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return NGHTTP2_ERR_WOULDBLOCK;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct grpc_stream *st;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (grpc_stream_new(arg, frame->hd.stream_id, &st) < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	nghttp2_session_set_stream_user_data(session, st->id, st);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *arg)
{
	struct grpc_stream *st = stream_of(session, frame->hd.stream_id);

	if (st && frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		grpc_stream_header(st, (const char *)name, (const char *)value, value_len);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *arg)
{
	struct grpc_stream *st = stream_of(session, id);

	if (st)
		grpc_stream_data(st, data, len);
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct grpc_conn *c = arg;
	struct grpc_stream *st = stream_of(session, frame->hd.stream_id);

	c->heard = true;
	if (!st || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		grpc_stream_begin(st);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		grpc_stream_end(st);
	return 0;
}

/* An answer that is out before the request has ended: the peer may stop sending (RFC 9113, 8.1). */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	int32_t id = frame->hd.stream_id;

	if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	grpc_stream_free(stream_of(session, id));
	return 0;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_conn *c = arg;
	bool heard = c->heard;
	uint8_t buf[32768];
	ssize_t n;

	if (what & EV_TIMEOUT)
		goto gone;
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		goto gone;
	c->busy = true;
	n = nghttp2_session_mem_recv(c->session, buf, n);
	c->busy = false;
	if (n < 0)
		goto gone;
	if (c->heard && !heard) {
		event_del(c->read_ev);
		event_add(c->read_ev, NULL);
	}
	grpc_conn_flush(c);
	return;
gone:
	grpc_conn_free(c);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	grpc_conn_flush(arg);
}

void grpc_conn_flush(struct grpc_conn *c)
{
	int err;

	if (c->busy)
		return;
	c->busy = true;
	err = nghttp2_session_send(c->session);
	c->busy = false;
	if (err ||
	    (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))) {
		grpc_conn_free(c);
		return;
	}
	if (nghttp2_session_want_write(c->session))
		event_add(c->write_ev, NULL);
	else
		event_del(c->write_ev);
}

static int session_new(struct grpc_conn *c)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_MAX_STREAMS },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_MAX_HEADERS },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 },
	};
	nghttp2_session_callbacks *cb;
	int err;

	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	err = nghttp2_session_server_new(&c->session, cb, c);
	nghttp2_session_callbacks_del(cb);
	if (!err)
		err = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
					      ARRAY_SIZE(settings));
	if (!err)
		err = nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
							    4 << 20);
	return err ? -ENOMEM : 0;
}

/* Before 6.5 the number alone says who connected: that is still the same process if it still
 * holds its end after the number was looked up. */
static int open_peer(int fd, pid_t pid)
{
	struct pollfd held = { .fd = fd, .events = POLLRDHUP };
	_cleanup_(closep) int pidfd = -1;
	socklen_t len = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &len) == 0)
		return TAKE_FD(pidfd);
	pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (pidfd < 0 || poll(&held, 1, 0) != 0)
		return -1;
	return TAKE_FD(pidfd);
}

static void read_peer(struct grpc_conn *c)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	c->pidfd = -1;
	c->uid = (uid_t)-1;
	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return;
	c->pid = cred.pid;
	c->uid = cred.uid;
	c->pidfd = open_peer(c->fd, cred.pid);
}

int grpc_conn_new(struct grpc_server *s, int fd, struct grpc_conn **ret)
{
	static const struct timeval hello = { .tv_sec = GRPC_HELLO_MS / 1000 };
	struct grpc_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	DL_APPEND(s->conns, c);
	s->n_connections++;
	read_peer(c);
	c->read_ev = event_new(s->base, fd, EV_READ | EV_PERSIST, on_read, c);
	c->write_ev = event_new(s->base, fd, EV_WRITE, on_write, c);
	if (!c->read_ev || !c->write_ev || session_new(c) < 0 ||
	    event_add(c->read_ev, &hello) < 0) {
		grpc_conn_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void grpc_conn_free(struct grpc_conn *c)
{
	while (c->streams)
		grpc_stream_free(c->streams);
	if (c->session)
		nghttp2_session_del(c->session);
	if (c->read_ev)
		event_free(c->read_ev);
	if (c->write_ev)
		event_free(c->write_ev);
	close(c->fd);
	closep(&c->pidfd);
	DL_DELETE(c->server->conns, c);
	c->server->n_connections--;
	grpc_server_room(c->server);
	free(c);
}
