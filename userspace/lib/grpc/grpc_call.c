// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "lib/grpc/grpc_int.h"

#define NV(n, v, vl)                                                                       \
	{                                                                                  \
		.name = (uint8_t *)(n), .namelen = sizeof(n) - 1, .value = (uint8_t *)(v), \
		.valuelen = (vl)                                                           \
	}

int grpc_stream_new(struct grpc_conn *c, int32_t id, struct grpc_stream **ret)
{
	struct grpc_stream *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->out = evbuffer_new();
	if (!st->out) {
		free(st);
		return -ENOMEM;
	}
	st->conn = c;
	st->id = id;
	DL_APPEND(c->streams, st);
	*ret = st;
	return 0;
}

static void drop_request(struct grpc_stream *st)
{
	st->conn->server->buffered -= st->buffered;
	st->buffered = 0;
	grpc_reader_clear(&st->in);
}

void grpc_stream_free(struct grpc_stream *st)
{
	if (!st)
		return;
	if (st->call)
		st->call->stream = NULL;
	if (st->deadline)
		event_free(st->deadline);
	drop_request(st);
	nghttp2_session_set_stream_user_data(st->conn->session, st->id, NULL);
	DL_DELETE(st->conn->streams, st);
	evbuffer_free(st->out);
	free(st->message);
	free(st);
}

/* ---- answering ---- */

static size_t status_headers(const struct grpc_stream *st, char digits[static 16],
			     nghttp2_nv ret[static 2])
{
	int n = snprintf(digits, 16, "%d", st->status);

	ret[0] = (nghttp2_nv)NV("grpc-status", digits, (size_t)n);
	if (!st->message || !st->message[0])
		return 1;
	ret[1] = (nghttp2_nv)NV("grpc-message", st->message, strlen(st->message));
	return 2;
}

static ssize_t on_read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t len,
			   uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct grpc_stream *st = source->ptr;
	int n = evbuffer_remove(st->out, buf, len);
	char digits[16];
	nghttp2_nv nv[2];

	if (n < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (evbuffer_get_length(st->out) > 0)
		return n;
	if (!st->finished)
		return n > 0 ? n : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	if (nghttp2_submit_trailer(session, id, nv, status_headers(st, digits, nv)))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return n;
}

/* A plain HTTP error, for who does not speak gRPC. */
static void refuse_http(struct grpc_stream *st, const char *status)
{
	nghttp2_nv nv[] = { NV(":status", status, 3) };

	st->finished = st->responded = true;
	nghttp2_submit_response(st->conn->session, st->id, nv, ARRAY_SIZE(nv), NULL);
}

/* Headers, with the status at once when there is no message to come. */
static int respond(struct grpc_stream *st)
{
	nghttp2_data_provider provider = { .source.ptr = st, .read_callback = on_read_out };
	nghttp2_nv nv[4] = {
		NV(":status", "200", 3),
		NV("content-type", "application/grpc", 16),
	};
	bool trailers_only = st->finished && evbuffer_get_length(st->out) == 0;
	char digits[16];
	size_t n = 2;

	if (st->responded)
		return nghttp2_session_resume_data(st->conn->session, st->id);
	st->responded = true;
	if (trailers_only)
		n += status_headers(st, digits, nv + n);
	return nghttp2_submit_response(st->conn->session, st->id, nv, n,
				       trailers_only ? NULL : &provider);
}

static int queue_message(struct grpc_stream *st, const uint8_t *msg, size_t len)
{
	uint8_t header[GRPC_FRAME_HEADER];

	if (len > UINT32_MAX)
		return -EMSGSIZE;
	grpc_frame_header(header, len);
	if (evbuffer_add(st->out, header, sizeof(header)) < 0 ||
	    (len && evbuffer_add(st->out, msg, len) < 0))
		return -ENOMEM;
	return 0;
}

static void finish(struct grpc_stream *st, enum grpc_status status, const char *message,
		   const uint8_t *msg, size_t len)
{
	int err = 0;

	if (st->finished)
		return;
	if (st->deadline)
		event_del(st->deadline);
	if (msg && queue_message(st, msg, len) < 0) {
		evbuffer_drain(st->out, evbuffer_get_length(st->out));
		status = GRPC_INTERNAL;
		message = "out of memory";
	}
	st->finished = true;
	st->status = status;
	st->message = message ? grpc_percent_encode(message) : NULL;
	err = respond(st);
	/* The data of a stream that was never deferred needs no resuming. */
	if (err && err != NGHTTP2_ERR_INVALID_ARGUMENT)
		nghttp2_submit_rst_stream(st->conn->session, NGHTTP2_FLAG_NONE, st->id,
					  NGHTTP2_INTERNAL_ERROR);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct grpc_stream *st = arg;
	struct grpc_conn *c = st->conn;

	if (st->call)
		st->call->stream = NULL;
	st->call = NULL;
	finish(st, GRPC_DEADLINE_EXCEEDED, "deadline exceeded", NULL, 0);
	grpc_conn_flush(c);
}

/* ---- the request, as it comes in ---- */

static bool value_is(const char *value, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(value, want, len) == 0;
}

/* "application/grpc", "application/grpc+proto", "application/grpc;…". */
static bool is_grpc_type(const char *value, size_t len)
{
	static const char type[] = "application/grpc";
	size_t n = sizeof(type) - 1;

	return len >= n && memcmp(value, type, n) == 0 &&
	       (len == n || value[n] == '+' || value[n] == ';');
}

void grpc_stream_header(struct grpc_stream *st, const char *name, const char *value, size_t len)
{
	if (!strcmp(name, ":method")) {
		st->is_post = value_is(value, len, "POST");
	} else if (!strcmp(name, ":path")) {
		const struct grpc_method *m;

		LL_FOREACH (st->conn->server->methods, m) {
			if (value_is(value, len, m->path))
				st->method = m;
		}
	} else if (!strcmp(name, "content-type")) {
		st->is_grpc = is_grpc_type(value, len);
	} else if (!strcmp(name, "grpc-timeout")) {
		st->has_timeout = true;
		st->bad_timeout = grpc_timeout_parse(value, len, &st->timeout_ms) < 0;
	}
}

static int arm_deadline(struct grpc_stream *st)
{
	struct timeval tv = { .tv_sec = st->timeout_ms / 1000,
			      .tv_usec = st->timeout_ms % 1000 * 1000 };

	st->deadline = evtimer_new(st->conn->server->base, on_deadline, st);
	if (!st->deadline || event_add(st->deadline, &tv) < 0)
		return -ENOMEM;
	return 0;
}

void grpc_stream_begin(struct grpc_stream *st)
{
	if (!st->is_post)
		refuse_http(st, "405");
	else if (!st->is_grpc)
		refuse_http(st, "415");
	else if (!st->method)
		finish(st, GRPC_UNIMPLEMENTED, "unknown method", NULL, 0);
	else if (st->bad_timeout)
		finish(st, GRPC_INTERNAL, "malformed grpc-timeout", NULL, 0);
	else if (st->has_timeout && arm_deadline(st) < 0)
		finish(st, GRPC_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
}

void grpc_stream_data(struct grpc_stream *st, const uint8_t *data, size_t len)
{
	struct grpc_server *s = st->conn->server;
	size_t before = st->in.cap;
	int err;

	if (st->finished || st->call)
		return;
	if (s->buffered + len > GRPC_MAX_BUFFERED) {
		finish(st, GRPC_RESOURCE_EXHAUSTED, "too many requests at once", NULL, 0);
		return;
	}
	err = grpc_reader_feed(&st->in, data, len, s->max_message);
	st->buffered += st->in.cap - before;
	s->buffered += st->in.cap - before;
	switch (err) {
	case 0:
		return;
	case -EOPNOTSUPP:
		finish(st, GRPC_UNIMPLEMENTED, "compressed messages are not supported", NULL, 0);
		break;
	case -EMSGSIZE:
		finish(st, GRPC_RESOURCE_EXHAUSTED, "message is too large", NULL, 0);
		break;
	case -EPROTO:
		finish(st, GRPC_INTERNAL, "more than one message in the request", NULL, 0);
		break;
	default:
		finish(st, GRPC_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
	}
	drop_request(st);
}

void grpc_stream_end(struct grpc_stream *st)
{
	struct grpc_call *call;

	if (st->finished || st->call)
		return;
	if (!grpc_reader_complete(&st->in)) {
		finish(st, GRPC_INTERNAL, "the request ends before its message", NULL, 0);
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		finish(st, GRPC_RESOURCE_EXHAUSTED, "out of memory", NULL, 0);
		return;
	}
	*call = (struct grpc_call){ .stream = st, .pid = st->conn->pid, .uid = st->conn->uid };
	st->call = call;
	/* The connection is busy, so the stream outlives this whatever the method does. */
	st->method->fn(call, st->in.msg ? st->in.msg : st->in.header, st->in.len, st->method->arg);
	drop_request(st);
}

/* ---- what a method sees ---- */

bool grpc_call_alive(const struct grpc_call *call)
{
	return call->stream != NULL;
}

pid_t grpc_call_peer_pid(const struct grpc_call *call)
{
	return call->pid;
}

int grpc_call_peer_pidfd(const struct grpc_call *call)
{
	return call->stream ? call->stream->conn->pidfd : -1;
}

uid_t grpc_call_peer_uid(const struct grpc_call *call)
{
	return call->uid;
}

int grpc_call_send(struct grpc_call *call, const uint8_t *msg, size_t len)
{
	struct grpc_stream *st = call->stream;
	int err;

	if (!st)
		return -EPIPE;
	if (evbuffer_get_length(st->out) + len > GRPC_MAX_QUEUED)
		return -ENOBUFS;
	err = queue_message(st, msg, len);
	if (err < 0)
		return err;
	err = respond(st);
	if (err && err != NGHTTP2_ERR_INVALID_ARGUMENT)
		return -ENOMEM;
	grpc_conn_flush(st->conn);
	return 0;
}

void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message,
		      const uint8_t *msg, size_t len)
{
	struct grpc_stream *st = call->stream;

	free(call);
	if (!st)
		return;
	st->call = NULL;
	finish(st, status, message, msg, len);
	grpc_conn_flush(st->conn);
}
