// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/clock.h"
#include "lib/store/follow_int.h"

/* etcd's progress notifications come every 10 minutes, give or take one. */
#define SILENCE_MAX_MS (15u * 60 * 1000)

static void listen_on(struct store_follow *f)
{
	f->doubted = false;
	store_timer_add(f->timer, 2 * f->store->timeout_ms);
}

static void broken(struct store_follow *f, const struct err *err)
{
	store_endpoint_failed(f->store, f->watch.endpoint);
	follow_broken(f, err);
}

/* What was told so far is not told again; what is pending is not told before it is checked. */
static bool tell(struct store_follow *f, const struct watch_msg *m)
{
	if (!f->checked)
		return true;
	if (!follow_deliver(f, !m->fragment))
		return false;
	/* Progress: nothing is below the header's revision that was not told. */
	if (!m->created && !m->n_events && !m->fragment && m->header.revision > f->at.revision)
		f->at.revision = m->header.revision;
	return true;
}

/* False: the stream has ended, and perhaps f with it. */
static bool take_message(struct store_follow *f, const struct watch_msg *m)
{
	struct err e = {};

	if (m->header.cluster_id != f->at.cluster_id) {
		err_set(&e, -ESTALE, "the cluster was replaced");
		follow_broken(f, &e);
		return false;
	}
	f->fragment = m->fragment;
	if (m->created && !f->created) {
		f->created = true;
		store_endpoint_ok(f->store);
		if (check_start(f) < 0) {
			err_set(&e, -ENOMEM, "out of memory");
			follow_broken(f, &e);
			return false;
		}
	}
	return tell(f, m);
}

static void refused(struct store_follow *f, const struct watch_msg *m, const struct err *err)
{
	if (f->store->username && (err->code == -EACCES || auth_is_stale(m->grpc_code, err->msg)))
		auth_forget(f->store, f->watch.token_serial);
	if (err->code == -EAGAIN)
		broken(f, err);
	else
		follow_broken(f, err);
}

static bool take_line(struct store_follow *f, const char *line, size_t len)
{
	struct watch_msg m;
	struct err e = {};

	if (!len)
		return true;
	if (watch_msg_decode(line, len, &f->pending, &m, &e) < 0) {
		refused(f, &m, &e);
		return false;
	}
	return take_message(f, &m);
}

static int on_data(struct store_attempt *a, const void *data, size_t len)
{
	struct store_follow *f = container_of(a, struct store_follow, watch);
	struct err e = {};
	const char *line;
	size_t n;

	follow_enter(f);
	f->heard_ms = clock_ms();
	if (line_buf_append(&f->lines, data, len, store_answer_max(f->store)) < 0) {
		err_set(&e, -E2BIG, "a change is larger than the bound on memory");
		follow_broken(f, &e);
		follow_leave(f);
		return 0;
	}
	while (line_buf_next(&f->lines, &line, &n)) {
		if (!take_line(f, line, n))
			break;
		line_buf_drop(&f->lines, n);
	}
	if (follow_alive(f) && f->state == FOLLOW_WATCHING)
		listen_on(f);
	follow_leave(f);
	return 0;
}

static void on_done(struct store_attempt *a, const struct http_response *res)
{
	struct store_follow *f = container_of(a, struct store_follow, watch);
	struct json_object *answer = NULL;
	struct err e = {};
	int code = 0;

	follow_enter(f);
	if (res->err || res->status != 200)
		answer_decode(res, &answer, &code, &e);
	else
		err_set(&e, -EAGAIN, "etcd ended the watch");
	if (f->store->username && auth_is_stale(code, e.msg))
		auth_forget(f->store, a->token_serial);
	if (res->err || code == 0 || e.code == -EAGAIN) {
		/* Of transport, only etcd itself may say that it lost our place. */
		e.code = e.code == -EACCES ? -EACCES : -EAGAIN;
		broken(f, &e);
	} else {
		follow_broken(f, &e);
	}
	follow_leave(f);
}

/* ---- what check.c found ---- */

void stream_checked(struct store_follow *f, const struct err *err)
{
	if (err) {
		if (err->code == -EAGAIN)
			broken(f, err);
		else
			follow_broken(f, err);
		return;
	}
	f->checked = true;
	f->told_broken = false;
	if (follow_deliver(f, !f->fragment))
		listen_on(f);
}

void stream_alive(struct store_follow *f, const struct err *err)
{
	if (err) {
		follow_broken(f, err);
		return;
	}
	f->breaks = 0;
	listen_on(f);
}

bool stream_shares_endpoint(const struct store_follow *f, const struct store_follow *other)
{
	return f != other && f->state == FOLLOW_WATCHING && f->checked &&
	       f->watch.endpoint == other->watch.endpoint;
}

void stream_reassure(struct store_follow *f)
{
	if (!f->asking)
		listen_on(f);
}

void stream_doubt(struct store_follow *f)
{
	if (f->asking)
		return;
	f->doubted = true;
	store_timer_add(f->timer, 0);
}

static bool another_asks(const struct store_follow *f)
{
	const struct store_follow *other;

	DL_FOREACH (f->store->follows, other)
		if (other->probing && stream_shares_endpoint(other, f))
			return true;
	return false;
}

void stream_silence(struct store_follow *f)
{
	struct err e = {};

	if (!f->created) {
		err_set(&e, -EAGAIN, "no watch within %u ms", 2 * f->store->timeout_ms);
		broken(f, &e);
	} else if (clock_ms() - f->heard_ms > SILENCE_MAX_MS) {
		err_set(&e, -EAGAIN, "no progress for %u s", SILENCE_MAX_MS / 1000);
		broken(f, &e);
	} else if (f->doubted) {
		err_set(&e, -EAGAIN, "the watch's endpoint hangs");
		follow_broken(f, &e);
	} else if (another_asks(f)) {
		/* That one may be stopped before it has an answer. */
		store_timer_add(f->timer, f->store->timeout_ms);
	} else if (!f->asking && probe_start(f) < 0) {
		listen_on(f);
	}
}

/* ---- start and stop ---- */

static int build(struct store_follow *f)
{
	_cleanup_(freep) char *body = NULL;
	FILE *file = open_memstream(&body, &f->watch.len);

	if (!file)
		return -ENOMEM;
	fputs("{\"create_request\":{", file);
	put_prefix(file, f->prefix);
	fprintf(file, ",\"start_revision\":\"%lld\",\"progress_notify\":true,\"fragment\":true}}",
		(long long)f->at.revision + 1);
	if (put_close(file, &body) < 0)
		return -ENOMEM;
	free(f->watch_body);
	f->watch_body = TAKE_PTR(body);
	return 0;
}

int stream_start(struct store_follow *f)
{
	struct store_attempt *a = &f->watch;
	int err = build(f);

	if (err < 0)
		return err;
	f->state = FOLLOW_WATCHING;
	f->created = f->checked = f->fragment = false;
	f->heard_ms = clock_ms();
	a->store = f->store;
	a->endpoint = f->store->current;
	a->path = "/v3/watch";
	a->body = f->watch_body;
	a->hasleader = true;
	a->on_data = on_data;
	a->on_done = on_done;
	listen_on(f);
	attempt_start(a);
	return 0;
}

void stream_stop(struct store_follow *f)
{
	if (f->watch.store)
		attempt_stop(&f->watch);
	line_buf_clear(&f->lines);
}
