// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "lib/base/clock.h"
#include "lib/grpc/grpc.h"
#include "lib/grpc/grpc_wire.h"

#define MAX_REPLY (16u << 20)

struct unary {
	int fd;
	uint64_t deadline_ms;
	nghttp2_session *session;
	uint8_t header[GRPC_FRAME_HEADER];
	const uint8_t *msg;
	size_t len, sent; /* sent: of header and message together */
	int http_status, grpc_status;
	char message[256];
	struct grpc_reader in;
	int in_err;
	bool closed;
	uint32_t close_code;
};

void grpc_reply_clear(struct grpc_reply *r)
{
	free(r->msg);
	*r = (struct grpc_reply){};
}

static void unary_clear(struct unary *u)
{
	if (u->session)
		nghttp2_session_del(u->session);
	closep(&u->fd);
	grpc_reader_clear(&u->in);
}

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags,
		       void *arg)
{
	struct unary *u = arg;
	ssize_t n = send(u->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return NGHTTP2_ERR_WOULDBLOCK;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static ssize_t on_read_request(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
			       uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct unary *u = arg;
	size_t out = 0, n;

	if (u->sent < GRPC_FRAME_HEADER) {
		out = MIN(len, GRPC_FRAME_HEADER - u->sent);
		memcpy(buf, u->header + u->sent, out);
		u->sent += out;
	}
	n = MIN(len - out, u->len + GRPC_FRAME_HEADER - u->sent);
	if (n > 0) {
		memcpy(buf + out, u->msg + u->sent - GRPC_FRAME_HEADER, n);
		u->sent += n;
	}
	if (u->sent == u->len + GRPC_FRAME_HEADER)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return out + n;
}

static int small_number(const char *s, size_t len)
{
	int n = 0;

	if (len == 0 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		n = n * 10 + (s[i] - '0');
	}
	return n;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
	struct unary *u = arg;

	if (!strcmp((const char *)name, ":status"))
		u->http_status = small_number((const char *)value, len);
	else if (!strcmp((const char *)name, "grpc-status"))
		u->grpc_status = small_number((const char *)value, len);
	else if (!strcmp((const char *)name, "grpc-message"))
		grpc_percent_decode((const char *)value, len, u->message, sizeof(u->message));
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
		   size_t len, void *arg)
{
	struct unary *u = arg;

	if (!u->in_err)
		u->in_err = grpc_reader_feed(&u->in, data, len, MAX_REPLY);
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	struct unary *u = arg;

	u->closed = true;
	u->close_code = code;
	return 0;
}

static int remaining_ms(const struct unary *u)
{
	uint64_t now = clock_ms();

	return now < u->deadline_ms ? (int)MIN(u->deadline_ms - now, 1000000000u) : 0;
}

/* Waits in connect() when the backlog is full, but not beyond the deadline. */
static int dial(struct unary *u, const char *path, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int ms = MAX(remaining_ms(u), 1);
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "socket '%s': path is too long", path);
	memcpy(sa.sun_path, path, strlen(path));
	u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return err_errno(e, -errno, "socket '%s'", path);
	setsockopt(u->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(u->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return 0;
	if (errno == EAGAIN)
		return err_set(e, -ETIMEDOUT, "socket '%s': not accepted in time", path);
	return err_errno(e, -errno, "socket '%s'", path);
}

static int session_new(struct unary *u, const char *method, unsigned int timeout_ms)
{
	nghttp2_data_provider body = { .read_callback = on_read_request };
	nghttp2_session_callbacks *cb;
	char timeout[16];
	int n = snprintf(timeout, sizeof(timeout), "%um", MIN(timeout_ms, 99999999u)), err;
#define NV(name_, value_, len_)         \
	{ .name = (uint8_t *)(name_),   \
	  .namelen = strlen(name_),     \
	  .value = (uint8_t *)(value_), \
	  .valuelen = (len_) }
	nghttp2_nv nv[] = {
		NV(":method", "POST", 4),
		NV(":scheme", "http", 4),
		NV(":path", method, strlen(method)),
		NV(":authority", "localhost", 9),
		NV("te", "trailers", 8),
		NV("content-type", "application/grpc", 16),
		NV("grpc-timeout", timeout, (size_t)n),
	};
#undef NV

	if (nghttp2_session_callbacks_new(&cb))
		return -ENOMEM;
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	err = nghttp2_session_client_new(&u->session, cb, u);
	nghttp2_session_callbacks_del(cb);
	if (err || nghttp2_submit_settings(u->session, NGHTTP2_FLAG_NONE, NULL, 0) ||
	    nghttp2_submit_request(u->session, NULL, nv, ARRAY_SIZE(nv), &body, NULL) < 0)
		return -ENOMEM;
	return 0;
}

/* One turn of the blocking loop: send, wait, receive. */
static int turn(struct unary *u, struct err *e)
{
	struct pollfd pfd = { .fd = u->fd, .events = POLLIN };
	uint8_t buf[16384];
	ssize_t n;

	/* A peer that answered and closed makes sending fail; what it said is still to be read. */
	if (nghttp2_session_send(u->session) == 0 && nghttp2_session_want_write(u->session))
		pfd.events |= POLLOUT;
	n = poll(&pfd, 1, remaining_ms(u));
	if (n == 0)
		return err_set(e, -ETIMEDOUT, "no answer in time");
	if (n < 0)
		return errno == EINTR ? 0 : err_errno(e, -errno, "poll");
	if (!(pfd.revents & ~POLLOUT))
		return 0;
	n = recv(u->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(e, -ECONNRESET, "the connection was closed during the call");
	if (nghttp2_session_mem_recv(u->session, buf, n) < 0)
		return err_set(e, -EPROTO, "the answer is no HTTP/2");
	return 0;
}

static int take_reply(struct unary *u, struct grpc_reply *ret, struct err *e)
{
	if (u->http_status != 200)
		return err_set(e, u->http_status ? -EPROTO : -ECONNRESET,
			       u->http_status ? "HTTP status %d" : "the call was reset",
			       u->http_status);
	if (u->grpc_status < 0)
		return err_set(e, u->close_code ? -ECONNRESET : -EPROTO,
			       "the answer has no grpc-status");
	if (u->grpc_status == GRPC_OK && u->in_err)
		return err_errno(e, u->in_err, "the answer's message");
	if (u->grpc_status == GRPC_OK && !grpc_reader_complete(&u->in))
		return err_set(e, -EPROTO, "the answer ends before its message");
	*ret = (struct grpc_reply){ .status = u->grpc_status };
	snprintf(ret->message, sizeof(ret->message), "%s", u->message);
	if (u->grpc_status != GRPC_OK)
		return 0;
	ret->len = u->in.len;
	ret->msg = u->in.msg ? TAKE_PTR(u->in.msg) : calloc(1, 1);
	return ret->msg ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int grpc_unary(const char *socket_path, const char *method_path, const uint8_t *msg, size_t len,
	       unsigned int timeout_ms, struct grpc_reply *ret, struct err *e)
{
	_cleanup_(unary_clear) struct unary u = { .fd = -1, .grpc_status = -1 };
	int err;

	if (len > UINT32_MAX)
		return err_set(e, -EMSGSIZE, "message of %zu bytes is too long", len);
	u.deadline_ms = clock_ms() + timeout_ms;
	u.msg = msg;
	u.len = len;
	grpc_frame_header(u.header, len);
	err = dial(&u, socket_path, e);
	if (err < 0)
		return err;
	if (session_new(&u, method_path, timeout_ms) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	while (!u.closed) {
		err = turn(&u, e);
		if (err < 0)
			return err_prefix(e, "socket '%s'", socket_path);
	}
	err = take_reply(&u, ret, e);
	return err < 0 ? err_prefix(e, "socket '%s'", socket_path) : 0;
}
