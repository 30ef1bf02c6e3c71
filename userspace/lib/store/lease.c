// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <utlist.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"
#include "lib/store/store_int.h"

/*
 * Without an id: grant. With one: keep alive each third of the TTL. The lease counts as lost when
 * etcd says so, or when the TTL has passed without a renewal, since then its keys may be gone.
 */
struct store_lease {
	struct store *store; /* NULL: the store was freed */
	struct store_lease *prev, *next;
	const struct store_lease_ops *ops;
	void *arg;
	struct store_request req;
	struct event *timer;
	unsigned int ttl_s, failures, busy;
	int64_t id, granted_ttl_s;
	uint64_t sent_ms, expires_ms;
	bool dead;
};

/* A revocation outlives its lease; the store owns it. */
struct revoke_op {
	struct store_op op;
};

static void destroy(struct store_lease *l)
{
	if (l->timer)
		event_free(l->timer);
	free(l);
}

static void enter(struct store_lease *l)
{
	l->busy++;
}

static void leave(struct store_lease *l)
{
	if (--l->busy == 0 && l->dead)
		destroy(l);
}

static int build(struct store_request *r, const char *name, int64_t value)
{
	_cleanup_(freep) char *body = NULL;
	FILE *f = open_memstream(&body, &r->len);

	if (!f)
		return -ENOMEM;
	fprintf(f, "{\"%s\":\"%lld\"}", name, (long long)value);
	if (put_close(f, &body) < 0)
		return -ENOMEM;
	r->body = TAKE_PTR(body);
	return 0;
}

static void wait_ms(struct store_lease *l, uint64_t ms)
{
	store_timer_add(l->timer, MIN(ms, 1u << 30));
}

static void lost(struct store_lease *l)
{
	l->id = 0;
	wait_ms(l, 0);
	l->ops->on_lost(l->arg);
}

/* ---- grant ---- */

static void on_granted(struct store_request *r, struct json_object *answer, const struct err *err)
{
	struct store_lease *l = container_of(r, struct store_lease, req);
	int64_t id = 0, ttl = 0;

	if (err->code || int64_decode(answer, "ID", &id, NULL) < 0 || id == 0 ||
	    int64_decode(answer, "TTL", &ttl, NULL) < 0 || ttl <= 0) {
		wait_ms(l, store_backoff_ms(l->failures++));
		return;
	}
	l->failures = 0;
	l->id = id;
	l->granted_ttl_s = MIN(ttl, 1 << 20);
	l->expires_ms = l->sent_ms + l->granted_ttl_s * 1000;
	wait_ms(l, l->granted_ttl_s * 1000 / 3);
	enter(l);
	l->ops->on_granted(id, l->arg);
	leave(l);
}

/* ---- keep alive ---- */

/* The answer is the first line of a stream: errors may come with status 200. -ENOENT: forgotten. */
static int renewed_ttl(struct json_object *answer, int64_t *ret)
{
	struct json_object *error = json_field(answer, "error");
	struct err e = {};
	int err;

	if (error) {
		error_decode(error, &e);
		return e.code;
	}
	err = int64_decode(json_field(answer, "result"), "TTL", ret, NULL);
	if (err < 0)
		return err;
	return *ret > 0 ? 0 : -ENOENT;
}

static void on_kept(struct store_request *r, struct json_object *answer, const struct err *err)
{
	struct store_lease *l = container_of(r, struct store_lease, req);
	uint64_t now = clock_ms();
	int64_t ttl = 0;
	int kept;

	kept = err->code ? err->code : renewed_ttl(answer, &ttl);
	enter(l);
	if (kept == 0) {
		l->failures = 0;
		l->expires_ms = l->sent_ms + MIN(ttl, 1 << 20) * 1000;
		wait_ms(l, l->granted_ttl_s * 1000 / 3);
	} else if (kept == -ENOENT || now >= l->expires_ms) {
		lost(l);
	} else {
		wait_ms(l, MIN(store_backoff_ms(l->failures++), l->expires_ms - now));
	}
	leave(l);
}

/* ---- steps ---- */

static void next_step(struct store_lease *l)
{
	struct store_request *r = &l->req;
	int err;

	r->store = l->store;
	r->retry = RETRY_ANY;
	l->sent_ms = clock_ms();
	if (l->id) {
		/* The timer ends a renewal that does not come in time. */
		wait_ms(l, l->expires_ms - l->sent_ms);
		r->path = "/v3/lease/keepalive";
		r->fn = on_kept;
		err = build(r, "ID", l->id);
	} else {
		r->path = "/v3/lease/grant";
		r->fn = on_granted;
		err = build(r, "TTL", l->ttl_s);
	}
	if (err < 0)
		wait_ms(l, store_backoff_ms(l->failures++));
	else
		request_start(r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct store_lease *l = arg;

	/* A renewal that did not come in time. The timer may be early: a loop that is behind counts
	 * from when its round began. */
	request_stop(&l->req);
	if (!l->id || clock_ms() < l->expires_ms) {
		next_step(l);
		return;
	}
	enter(l);
	lost(l);
	leave(l);
}

int store_lease_new(struct store *s, unsigned int ttl_s, const struct store_lease_ops *ops,
		    void *arg, struct store_lease **ret)
{
	struct store_lease *l;

	if (!ttl_s)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->store = s;
	l->ttl_s = ttl_s;
	l->ops = ops;
	l->arg = arg;
	l->timer = evtimer_new(s->base, on_timer, l);
	if (!l->timer) {
		free(l);
		return -ENOMEM;
	}
	DL_APPEND(s->leases, l);
	next_step(l);
	*ret = l;
	return 0;
}

/* ---- end ---- */

void lease_orphan(struct store_lease *l)
{
	event_del(l->timer);
	request_stop(&l->req);
	DL_DELETE(l->store->leases, l);
	l->store = NULL;
}

static void revoke_free(struct store_op *op)
{
	free(container_of(op, struct revoke_op, op));
}

static void on_revoked(struct store_request *r, struct json_object *answer, const struct err *err)
{
	struct store_op *op = container_of(r, struct store_op, req);

	op_done(op);
	op->free(op);
}

/* Best effort: a lease that nobody revokes ends by itself. */
static void lease_revoke(struct store *s, int64_t id)
{
	struct revoke_op *r = calloc(1, sizeof(*r));

	if (!r)
		return;
	op_init(&r->op, s, revoke_free);
	r->op.req.store = s;
	r->op.req.path = "/v3/lease/revoke";
	r->op.req.retry = RETRY_ANY;
	r->op.req.fn = on_revoked;
	if (build(&r->op.req, "ID", id) < 0)
		store_op_cancel(&r->op);
	else
		request_start(&r->op.req);
}

void store_lease_free(struct store_lease *l)
{
	if (!l || l->dead)
		return;
	if (l->store) {
		struct store *s = l->store;

		lease_orphan(l);
		if (l->id)
			lease_revoke(s, l->id);
	}
	l->dead = true;
	if (!l->busy)
		destroy(l);
}
