// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"
#include "lib/store/store_int.h"

#define CODE_UNAVAILABLE 14
/* A long answer may take so many times the timeout, as long as bytes keep coming. */
#define LONG_ANSWER 20

static int status_decode(const struct http_response *res, int *ret_code, struct err *e)
{
	_json_ *obj = NULL;

	if (json_parse(res->body, res->body_len, &obj, NULL) < 0 ||
	    !json_object_is_type(obj, json_type_object))
		return err_set(e, -EPROTO, "HTTP status %ld where etcd's gateway should be",
			       res->status);
	*ret_code = error_decode(obj, e);
	return e->code;
}

int answer_decode(const struct http_response *res, struct json_object **ret, int *ret_code,
		  struct err *e)
{
	_json_ *obj = NULL;

	*ret_code = 0;
	if (res->err == -EMSGSIZE)
		return err_set(e, -E2BIG, "%s", res->error);
	if (res->err)
		return err_set(e, res->err, "%s", res->error);
	if (res->status != 200)
		return status_decode(res, ret_code, e);
	if (json_parse(res->body, res->body_len, &obj, e) < 0)
		return err_set(e, -EPROTO, "etcd's answer is not JSON");
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EPROTO, "etcd's answer is no object, but %s",
			       json_type_word(obj));
	*ret = TAKE_PTR(obj);
	return 0;
}

static void finish(struct store_request *r, struct json_object *answer)
{
	struct err last = r->last;

	free(TAKE_PTR(r->body));
	r->fn(r, answer, &last);
}

static void attempt(struct store_request *r)
{
	struct store *s = r->store;
	struct store_attempt *a = &r->attempt;
	uint64_t now = clock_ms(), left = r->deadline_ms > now ? r->deadline_ms - now : 1;
	unsigned int untried = s->n_endpoints - r->tried % s->n_endpoints;

	if (!r->pinned) {
		a->endpoint = s->current;
		/* Leave time for the other endpoints. */
		left = MAX(left / untried, MIN(left, 200u));
	}
	a->timeout_ms = r->stream ? left * LONG_ANSWER : left;
	a->stall_ms = r->stream ? left : 0;
	attempt_start(a);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct store_request *r = arg;

	r->waiting = false;
	attempt(r);
}

static void give_up(struct store_request *r)
{
	struct err *e = &r->last;

	if (e->code != -EACCES && e->code != -EPROTO && e->code != -ENOMEM) {
		e->code = -EAGAIN;
		err_prefix(e, "etcd did not answer");
	}
	finish(r, NULL);
}

/* The next endpoint at once; after a round through all of them, a pause. */
static void retry(struct store_request *r)
{
	unsigned int n = r->store->n_endpoints, pause_ms = 0;

	r->tried++;
	if (r->tried % n == 0) {
		/* A certificate or a password does not get right by waiting. */
		if (r->last.code == -EACCES) {
			give_up(r);
			return;
		}
		pause_ms = store_backoff_ms(r->tried / n - 1);
	}
	if (r->pinned || clock_ms() + pause_ms >= r->deadline_ms) {
		give_up(r);
		return;
	}
	r->waiting = true;
	store_timer_add(&r->again, pause_ms);
}

static bool may_repeat(const struct store_request *r, const struct http_response *res)
{
	return r->retry == RETRY_ANY || res->unsent;
}

/* Of the errors, these are about the endpoint and not about what was asked. */
static bool is_endpoints_fault(const struct http_response *res, int code, int err)
{
	if (res->err)
		return err != -E2BIG;
	return code == CODE_UNAVAILABLE || err == -EAGAIN || (err == -EPROTO && code == 0);
}

static void on_done(struct store_attempt *a, const struct http_response *res)
{
	struct store_request *r = container_of(a, struct store_request, attempt);
	_json_ *answer = NULL;
	int code, err;

	r->last = (struct err){};
	err = answer_decode(res, &answer, &code, &r->last);
	if (err < 0 && is_endpoints_fault(res, code, err)) {
		store_endpoint_failed(r->store, a->endpoint);
		if (may_repeat(r, res))
			retry(r);
		else
			give_up(r);
		return;
	}
	store_endpoint_ok(r->store);
	if (err < 0 && r->store->username && !r->reauthenticated &&
	    auth_is_stale(code, r->last.msg)) {
		r->reauthenticated = true;
		auth_forget(r->store, a->token_serial);
		attempt(r);
		return;
	}
	finish(r, answer);
}

void request_start(struct store_request *r)
{
	struct store *s = r->store;

	r->attempt.store = s;
	r->attempt.path = r->path;
	r->attempt.body = r->body;
	r->attempt.len = r->len;
	r->attempt.once = r->retry == RETRY_UNSENT;
	r->attempt.on_done = on_done;
	r->deadline_ms = clock_ms() + s->timeout_ms;
	r->tried = 0;
	r->reauthenticated = false;
	evtimer_assign(&r->again, s->base, on_again, r);
	attempt(r);
}

void request_stop(struct store_request *r)
{
	if (!r->store)
		return;
	attempt_stop(&r->attempt);
	if (r->waiting)
		event_del(&r->again);
	r->waiting = false;
	free(TAKE_PTR(r->body));
}
