// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_int.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

/* ---- the queue ---- */

static void append(struct event_queue *q, struct agent_event *ev)
{
	ev->next = NULL;
	if (q->last)
		q->last->next = ev;
	else
		q->first = ev;
	q->last = ev;
	q->n++;
}

static struct agent_event *take(struct event_queue *q, bool only_opening)
{
	struct agent_event *before = NULL, *ev = q->first;

	while (ev && only_opening && !ev->type->opens) {
		before = ev;
		ev = ev->next;
	}
	if (!ev)
		return NULL;
	if (before)
		before->next = ev->next;
	else
		q->first = ev->next;
	if (q->last == ev)
		q->last = before;
	q->n--;
	return ev;
}

void event_push(struct agent *a, struct agent_event *ev)
{
	ev->seq = ++a->seq;
	ev->pushed_ms = clock_ms();
	ev->follow_up_to = a->current ? a->current->seq : 0;
	append(a->current ? &a->follow_ups : &a->queue, ev);
	if (a->turn)
		event_active(a->turn, EV_TIMEOUT, 0);
}

size_t event_queue_len(const struct agent *a)
{
	return a->queue.n + a->follow_ups.n;
}

static struct agent_event *next_event(struct agent *a)
{
	struct agent_event *ev = take(&a->follow_ups, false);

	return ev ? ev : take(&a->queue, !a->open);
}

/* ---- one event ---- */

struct run {
	struct agent *a;
	struct agent_event *ev;
	struct txn *txn;
	struct txn_stats stats;
	bool *handled; /* by module: update() succeeded */
	bool failed;   /* somewhere */
	bool taken_back;
	int err; /* first error */
	struct err e;
};

static void fail(struct run *r, const char *who, int err, const struct err *e)
{
	r->failed = true;
	if (r->err)
		return;
	r->err = err;
	r->e = *e;
	if (!r->e.code)
		err_errno(&r->e, err, "failed");
	if (who)
		err_prefix(&r->e, "%s", who);
}

static bool reverts(const struct run *r)
{
	return r->ev->type->method == EVENT_UPDATE && r->ev->type->mode == TXN_REVERT_ON_FAILURE;
}

/* One module's part; its error is the record's, and the event's. */
static int call(struct run *r, const struct module *m, bool resync)
{
	uint64_t start = clock_ns();
	struct err e = {};
	int err;

	err = resync ? m->resync(r->a, r->ev, r->txn, &e) : m->update(r->a, r->ev, r->txn, &e);
	if (err < 0 && !e.code)
		err_errno(&e, err, "failed");
	history_handler(r->a->history, m->name, resync ? "resync" : "update",
			(clock_ns() - start) / 1000, err < 0 ? e.msg : NULL);
	if (err < 0)
		fail(r, m->name, err, &e);
	return err;
}

static void call_updates(struct run *r)
{
	struct agent *a = r->a;

	for (size_t n = 0; n < a->n_modules; n++) {
		size_t i = r->ev->type->reverse ? a->n_modules - 1 - n : n;
		const struct module *m = a->modules[i].m;

		if (!m->update || !m->handles || !m->handles(a, r->ev))
			continue;
		if (call(r, m, false) == 0)
			r->handled[i] = true;
		else if (reverts(r))
			return;
	}
}

static void call_resyncs(struct run *r)
{
	for (size_t i = 0; i < r->a->n_modules; i++) {
		const struct module *m = r->a->modules[i].m;

		if (m->resync && call(r, m, true) < 0)
			txn_mark_partial(r->txn);
	}
}

static void call_reverts(struct run *r)
{
	struct agent *a = r->a;

	for (size_t n = 0; n < a->n_modules; n++) {
		size_t i = r->ev->type->reverse ? n : a->n_modules - 1 - n;
		const struct module *m = a->modules[i].m;
		uint64_t start = clock_ns();

		if (!r->handled[i] || !m->revert)
			continue;
		m->revert(a, r->ev);
		history_handler(a->history, m->name, "revert", (clock_ns() - start) / 1000, NULL);
	}
}

static void run_update(struct run *r)
{
	struct err e = {};
	int err;

	call_updates(r);
	if (!(r->failed && reverts(r))) {
		err = scheduler_commit(r->a->scheduler, r->txn, r->ev->type->mode, &r->stats, &e);
		if (err < 0)
			fail(r, NULL, err, &e);
	}
	r->taken_back = r->failed && reverts(r);
	if (r->taken_back)
		call_reverts(r);
}

static void run_resync(struct run *r)
{
	struct err e = {};
	int err;

	if (r->ev->type->method == EVENT_DOWNSTREAM_RESYNC) {
		err = scheduler_verify(r->a->scheduler, &r->stats, &e);
	} else {
		call_resyncs(r);
		err = scheduler_resync(r->a->scheduler, r->txn, &r->stats, &e);
	}
	if (err < 0)
		fail(r, NULL, err, &e);
}

/* ---- what is kept of it ---- */

static const char *method_name(const struct event_type *t)
{
	static const char *const names[] = {
		[EVENT_UPDATE] = "update",
		[EVENT_FULL_RESYNC] = "full-resync",
		[EVENT_UPSTREAM_RESYNC] = "upstream-resync",
		[EVENT_DOWNSTREAM_RESYNC] = "downstream-resync",
	};

	return names[t->method];
}

static void begin(struct run *r)
{
	const struct agent_event *ev = r->ev;
	struct history_head head = {
		.seq = ev->seq,
		.follow_up_to = ev->follow_up_to,
		.waited_ms = clock_ms() - ev->pushed_ms,
		.event = ev->type->name,
		.method = method_name(ev->type),
		.facts = ev->type->describe ? ev->type->describe(ev) : NULL,
	};

	history_begin(r->a->history, &head);
}

static void count(struct run *r, uint64_t ns)
{
	struct event_stats *s = r->a->stats;

	while (s && strcmp(s->name, r->ev->type->name) != 0)
		s = s->next;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return;
		s->name = r->ev->type->name;
		s->next = r->a->stats;
		r->a->stats = s;
	}
	s->ok += !r->failed;
	s->reverted += r->taken_back;
	s->failed += r->failed && !r->taken_back;
	s->seconds += ns / 1e9;
}

static void say(const struct run *r, uint64_t ns)
{
	const struct event_type *t = r->ev->type;
	const struct txn_stats *s = &r->stats;

	/* A reverted event has somebody who asked for it and is told. */
	if (r->failed && !r->taken_back)
		log_warn("event %llu '%s': %s", (unsigned long long)r->ev->seq, t->name, r->e.msg);
	log_at(t->method == EVENT_UPDATE ? LOG_LVL_DEBUG : LOG_LVL_INFO,
	       "event %llu '%s' %s after %.1f ms: created %u, updated %u, deleted %u, unchanged "
	       "%u, "
	       "pending %u, failed %u",
	       (unsigned long long)r->ev->seq, t->name,
	       r->taken_back ? "taken back"
	       : r->failed   ? "done in part"
			     : "done",
	       ns / 1e6, s->created, s->updated, s->deleted, s->unchanged, s->pending, s->failed);
}

static void finish(struct run *r, uint64_t start_ns)
{
	const struct event_type *t = r->ev->type;
	uint64_t ns = clock_ns() - start_ns;

	history_end(r->a->history, &r->stats, r->failed ? r->e.msg : NULL);
	count(r, ns);
	say(r, ns);
	if (r->taken_back && r->stats.failed)
		agent_heal(r->a, "a failed transaction could not be taken back whole");
	else if (r->failed && !r->taken_back)
		agent_heal(r->a, r->e.msg);
	if (t->method != EVENT_UPDATE)
		healing_resynced(r->a, !r->failed);
	if (t->done)
		t->done(r->ev, r->taken_back ? r->err : 0, r->taken_back ? &r->e : NULL);
}

static void handle(struct agent *a, struct agent_event *ev)
{
	_cleanup_(freep) bool *handled = calloc(a->n_modules + 1, sizeof(*handled));
	struct run r = { .a = a, .ev = ev, .handled = handled };
	uint64_t start = clock_ns();

	a->current = ev;
	a->open |= ev->type->opens;
	begin(&r);
	if (!handled || txn_new(a->scheduler, &r.txn) < 0) {
		err_set(&r.e, -ENOMEM, "out of memory");
		r.taken_back = reverts(&r);
		fail(&r, NULL, -ENOMEM, &r.e);
	} else if (ev->type->method == EVENT_UPDATE) {
		run_update(&r);
	} else {
		run_resync(&r);
	}
	txn_free(r.txn);
	finish(&r, start);
	a->current = NULL;
	if (ev->type->free)
		ev->type->free(ev);
	agent_ready_changed(a);
}

/* One event a turn: sockets get their share between two of them. */
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	struct agent_event *ev = next_event(a);

	if (ev)
		handle(a, ev);
	if (a->follow_ups.n || (a->open && a->queue.n))
		event_active(a->turn, EV_TIMEOUT, 0);
}

/* ---- resync events without data ---- */

struct resync {
	struct agent_event ev;
	char *reason;
};

static struct json_object *describe_resync(const struct agent_event *ev)
{
	const struct resync *r = container_of(ev, struct resync, ev);
	struct json_object *o = json_object_new_object();

	if (o && r->reason)
		json_add_str(o, "reason", r->reason);
	return o;
}

static void free_resync(struct agent_event *ev)
{
	struct resync *r = container_of(ev, struct resync, ev);

	free(r->reason);
	free(r);
}

#define RESYNC_TYPE(n, m)                                                                \
	{                                                                                \
		.name = n, .method = m, .describe = describe_resync, .free = free_resync \
	}

static const struct event_type resync_types[] = {
	[EVENT_FULL_RESYNC] = RESYNC_TYPE("full-resync", EVENT_FULL_RESYNC),
	[EVENT_UPSTREAM_RESYNC] = RESYNC_TYPE("upstream-resync", EVENT_UPSTREAM_RESYNC),
	[EVENT_DOWNSTREAM_RESYNC] = RESYNC_TYPE("downstream-resync", EVENT_DOWNSTREAM_RESYNC),
};

static const struct agent_event *waiting(const struct event_queue *q, const struct event_type *type)
{
	const struct agent_event *ev = q->first;

	while (ev && ev->type != type)
		ev = ev->next;
	return ev;
}

uint64_t event_push_resync(struct agent *a, enum event_method method, const char *reason)
{
	const struct event_type *type = &resync_types[method];
	const struct agent_event *same = waiting(&a->follow_ups, type);
	struct resync *r;

	/* It will see all that this one would. */
	if (!same)
		same = waiting(&a->queue, type);
	if (same)
		return same->seq;
	r = calloc(1, sizeof(*r));
	if (!r) {
		agent_heal(a, reason);
		return 0;
	}
	r->ev.type = type;
	r->reason = strdup(reason);
	event_push(a, &r->ev);
	return r->ev.seq;
}

/* ---- operations that the scheduler tells of ---- */

static void on_op(const struct sched_op *op, void *arg)
{
	struct agent *a = arg;

	history_op(a->history, op);
	if (op->err < 0)
		log_at(op->undo ? LOG_LVL_WARN : LOG_LVL_DEBUG, "can't %s item '%s': %s", op->op,
		       op->key, op->error);
}

static void on_retry_begin(void *arg)
{
	struct agent *a = arg;
	struct history_head head = { .seq = ++a->seq, .event = "retry", .method = "retry" };

	history_begin(a->history, &head);
}

static void on_retry_end(const struct txn_stats *stats, void *arg)
{
	struct agent *a = arg;

	history_end(a->history, stats, stats->failed ? "items failed again" : NULL);
	agent_ready_changed(a);
}

static const struct sched_observer observer = { on_op, on_retry_begin, on_retry_end };

/* ---- start and stop ---- */

int loop_init(struct agent *a)
{
	scheduler_observe(a->scheduler, &observer, a);
	a->turn = event_new(a->base, -1, 0, on_turn, a);
	return a->turn ? 0 : -ENOMEM;
}

static void drop_all(struct event_queue *q)
{
	struct agent_event *ev;

	while ((ev = take(q, false)))
		if (ev->type->free)
			ev->type->free(ev);
}

void loop_fini(struct agent *a)
{
	struct event_stats *s;

	drop_all(&a->follow_ups);
	drop_all(&a->queue);
	if (a->turn)
		event_free(a->turn);
	a->turn = NULL;
	while ((s = a->stats)) {
		a->stats = s->next;
		free(s);
	}
}
