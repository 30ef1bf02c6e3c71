// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/store/store_int.h"

static int on_data(struct http_call *call, const void *data, size_t len, void *arg)
{
	struct store_attempt *a = arg;

	return a->on_data(a, data, len);
}

static void on_done(struct http_call *call, const struct http_response *res, void *arg)
{
	struct store_attempt *a = arg;

	a->call = NULL;
	a->on_done(a, res);
}

int store_post(struct store *s, unsigned int endpoint, const char *path,
	       const struct http_request *shape, const struct http_ops *ops, void *arg,
	       struct http_call **ret, struct err *e)
{
	struct http_tls tls = {
		.ca_file = s->ca_file,
		.cert_file = s->cert_file,
		.key_file = s->key_file,
	};
	struct http_request req = *shape;
	char url[512];

	if (snprintf(url, sizeof(url), "%s%s", s->endpoints[endpoint], path) >= (int)sizeof(url))
		return err_set(e, -ENAMETOOLONG, "endpoint '%.64s…' is too long",
			       s->endpoints[endpoint]);
	req.method = "POST";
	req.url = url;
	req.tls = &tls;
	req.connect_timeout_ms = MAX(s->timeout_ms / 2, 1u);
	return http_call_new(s->http, &req, ops, arg, ret, e);
}

static int post(struct store_attempt *a, struct err *e)
{
	static const struct http_ops streaming = { .on_data = on_data, .on_done = on_done };
	static const struct http_ops gathering = { .on_done = on_done };
	_cleanup_(freep) char *authorization = NULL;
	const char *headers[3] = {};
	struct http_request req = {
		.headers = headers,
		.body = a->body,
		.body_len = a->len,
		.timeout_ms = a->timeout_ms,
		.stall_timeout_ms = a->stall_ms,
		.once = a->once,
		.max_body = store_answer_max(a->store),
	};
	unsigned int n = 0;

	a->token_serial = a->store->token_serial;
	if (a->store->token) {
		if (asprintf(&authorization, "Authorization: %s", a->store->token) < 0) {
			authorization = NULL;
			return err_set(e, -ENOMEM, "out of memory");
		}
		headers[n++] = authorization;
	}
	if (a->hasleader)
		headers[n++] = "Grpc-Metadata-hasleader: true";
	return store_post(a->store, a->endpoint, a->path, &req,
			  a->on_data ? &streaming : &gathering, a, &a->call, e);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct store_attempt *a = arg;
	struct http_response res = {
		.err = a->failed.code,
		.error = a->failed.msg,
		.body = "",
		.unsent = true,
	};

	a->ending = false;
	a->on_done(a, &res);
}

/* What could not even be started ends from the loop. */
static void end_later(struct store_attempt *a)
{
	evtimer_assign(&a->later, a->store->base, on_later, a);
	a->ending = true;
	event_active(&a->later, EV_TIMEOUT, 0);
}

void attempt_start(struct store_attempt *a)
{
	if (!auth_ready(a))
		return;
	if (post(a, &a->failed) < 0)
		end_later(a);
}

void attempt_auth_done(struct store_attempt *a, const struct err *err)
{
	if (err)
		a->failed = *err;
	if (err || post(a, &a->failed) < 0)
		end_later(a);
}

void attempt_stop(struct store_attempt *a)
{
	http_call_cancel(TAKE_PTR(a->call));
	if (a->ending)
		event_del(&a->later);
	a->ending = false;
	if (a->waiting)
		auth_stop_waiting(a);
}
