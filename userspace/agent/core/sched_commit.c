// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <utlist.h>

#include "agent/core/sched_int.h"
#include "lib/base/clock.h"
#include "lib/base/grow.h"

/* ---- what every pass ends with ---- */

static void arm(struct scheduler *s)
{
	uint64_t next = UINT64_MAX, now = clock_ms(), wait;
	struct timeval tv;
	struct item *it;

	DL_FOREACH (s->failed, it)
		next = MIN(next, it->retry_at_ms);
	if (next == UINT64_MAX) {
		event_del(s->timer);
		return;
	}
	wait = next > now ? next - now : 0;
	tv = (struct timeval){ .tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000 };
	event_add(s->timer, &tv);
}

static int finish(struct pass *p, struct txn_stats *ret, struct err *e)
{
	struct scheduler *s = p->s;
	int err = p->err;

	s->totals.created += p->stats.created;
	s->totals.updated += p->stats.updated;
	s->totals.deleted += p->stats.deleted;
	s->totals.unchanged += p->stats.unchanged;
	s->totals.reverted += p->stats.reverted;
	if (ret)
		*ret = p->stats;
	if (err < 0 && e)
		*e = p->e;
	pass_release(p);
	items_sweep(s);
	arm(s);
	return err;
}

static void no_memory(struct pass *p)
{
	if (!p->err)
		p->err = err_set(&p->e, -ENOMEM, "out of memory");
}

/* ---- transactions ---- */

static void desire_all(struct pass *p, struct txn *t)
{
	struct txn_op *op, *next;

	HASH_ITER (hh, t->ops, op, next) {
		if (item_get(p->s, op->key, &op->item) < 0) {
			op->item = NULL;
			no_memory(p);
			continue;
		}
		value_set(&op->before, op->item->desired);
		if (item_desire(p->s, op->item, op->value) < 0) {
			no_memory(p);
			item_maybe_loose(p->s, op->item);
		}
	}
}

static void remove_unwanted(struct pass *p, struct txn *t)
{
	struct item_list leaving = {};
	struct txn_op *op, *next;

	HASH_ITER (hh, t->ops, op, next) {
		if (!op->item || op->item->desired)
			continue;
		if (op->item->applied && item_list_add(&leaving, op->item) < 0)
			no_memory(p);
		else if (!op->item->applied)
			item_clear_failure(p->s, op->item);
	}
	pass_remove(p, &leaving);
	item_list_release(&leaving);
}

/* All or nothing means that nothing waits either: the caller relies on what it asked for. */
static void check_pending(struct pass *p, struct txn *t)
{
	struct txn_op *op, *next;

	HASH_ITER (hh, t->ops, op, next) {
		const struct item *it = op->item, *dep;

		if (!it || item_state(it) != ITEM_PENDING)
			continue;
		p->stats.pending++;
		dep = item_waits_for(it);
		if (p->keep_journal && !p->err)
			p->err = err_set(&p->e, -EAGAIN, "%s: waits for '%s'", it->key,
					 dep ? dep->key : "?");
	}
}

static void take_back(struct pass *p, struct txn *t)
{
	struct txn_op *op, *next;

	p->stats.failed = 0;
	pass_undo(p);
	HASH_ITER (hh, t->ops, op, next) {
		struct item *it = op->item;

		if (!it)
			continue;
		item_desire(p->s, it, op->before);
		if (it->desired && it->applied && value_equal(it->applied, it->desired))
			value_set(&it->applied, it->desired);
		if (it->applied == it->desired)
			item_clear_failure(p->s, it);
		else if (!it->error && !(it->desired && item_waits_for(it)))
			item_failed(p->s, it, "left as it is by a transaction that was taken back");
		item_maybe_loose(p->s, it);
	}
}

int scheduler_commit(struct scheduler *s, struct txn *t, enum txn_mode mode, struct txn_stats *ret,
		     struct err *e)
{
	struct pass p = { .s = s, .keep_journal = mode == TXN_REVERT_ON_FAILURE };
	struct txn_op *op, *next;

	desire_all(&p, t);
	if (!(p.keep_journal && p.err < 0)) {
		remove_unwanted(&p, t);
		HASH_ITER (hh, t->ops, op, next)
			if (op->item && op->item->desired)
				pass_queue(&p, op->item);
		pass_run(&p);
		check_pending(&p, t);
	}
	if (p.keep_journal && p.err < 0)
		take_back(&p, t);
	return finish(&p, ret, e);
}

/* ---- resync ---- */

struct dumped {
	char *name;
	void *value;
};
struct dump_list {
	const struct descriptor *d;
	struct dumped *v;
	size_t n, size;
	int err;
};

int dump_add(struct dump_list *dump, const char *name, void *value)
{
	char *copy = strdup(name);

	if (!copy || grow_room(&dump->v, &dump->size, dump->n + 1, sizeof(*dump->v)) < 0) {
		free(copy);
		dump->d->free(value);
		dump->err = -ENOMEM;
		return -ENOMEM;
	}
	dump->v[dump->n++] = (struct dumped){ copy, value };
	return 0;
}

static void dump_release(struct dump_list *dump)
{
	for (size_t i = 0; i < dump->n; i++) {
		if (dump->v[i].value)
			dump->d->free(dump->v[i].value);
		free(dump->v[i].name);
	}
	free(dump->v);
}

/* What was applied may say more than a dump can see, so it stays where both agree. */
static int found(struct scheduler *s, struct kind *k, struct dumped *one)
{
	_cleanup_(freep) char *key = NULL;
	size_t len = strlen(k->d->name) + strlen(one->name) + 2;
	struct value *v;
	struct item *it;
	int err;

	key = malloc(len);
	if (!key)
		return -ENOMEM;
	memcpy(key, k->d->name, strlen(k->d->name));
	key[strlen(k->d->name)] = '/';
	memcpy(key + strlen(k->d->name) + 1, one->name, strlen(one->name) + 1);
	err = item_get(s, key, &it);
	if (err < 0)
		return err;
	item_maybe_loose(s, it);
	err = value_new(k->d, TAKE_PTR(one->value), &v);
	if (err < 0)
		return err;
	it->seen = true;
	if (!it->applied || !value_equal(it->applied, v))
		value_set(&it->applied, v);
	value_put(v);
	return 0;
}

static void look(struct pass *p, struct kind *k)
{
	struct dump_list dump = { .d = k->d };
	struct item *it, *next;
	struct err e = {};
	int err = k->d->dump(k->ctx, &dump, &e);

	if (err >= 0)
		err = dump.err;
	for (size_t i = 0; err >= 0 && i < dump.n; i++)
		err = found(p->s, k, &dump.v[i]);
	dump_release(&dump);
	if (err < 0) {
		/* Half a view is none: what was applied is taken for what is. */
		p->stats.failed++;
		if (!p->err) {
			if (!e.code)
				err_errno(&e, err, "can't dump");
			p->err = err;
			p->e = e;
			err_prefix(&p->e, "%s", k->d->name);
		}
	}
	HASH_ITER (hh, p->s->items, it, next) {
		if (it->kind != k)
			continue;
		if (err >= 0 && !it->seen && it->applied) {
			value_set(&it->applied, NULL);
			if (!it->desired)
				item_clear_failure(p->s, it);
		}
		it->seen = false;
		item_maybe_loose(p->s, it);
	}
}

static void look_all(struct pass *p)
{
	for (struct kind *k = p->s->kinds; k; k = k->next)
		if (k->d->dump)
			look(p, k);
}

static void reconcile(struct pass *p, bool keep_unknown)
{
	struct item_list leaving = {};
	struct item *it, *next;

	HASH_ITER (hh, p->s->items, it, next)
		if (it->applied && !it->desired && !keep_unknown && item_list_add(&leaving, it) < 0)
			no_memory(p);
	pass_remove(p, &leaving);
	item_list_release(&leaving);
	HASH_ITER (hh, p->s->items, it, next)
		if (it->desired)
			pass_queue(p, it);
	pass_run(p);
	HASH_ITER (hh, p->s->items, it, next)
		if (it->desired && item_state(it) == ITEM_PENDING)
			p->stats.pending++;
}

int scheduler_resync(struct scheduler *s, struct txn *t, struct txn_stats *ret, struct err *e)
{
	struct pass p = { .s = s };
	struct txn_op *op, *next_op;
	struct item *it, *next;

	look_all(&p);
	desire_all(&p, t);
	HASH_ITER (hh, t->ops, op, next_op)
		if (op->item)
			op->item->seen = true;
	HASH_ITER (hh, s->items, it, next) {
		if (!it->seen && it->desired && !t->partial && !p.err)
			item_desire(s, it, NULL);
		if (!it->desired && !it->applied)
			item_clear_failure(s, it);
		it->seen = false;
	}
	reconcile(&p, t->partial);
	return finish(&p, ret, e);
}

int scheduler_verify(struct scheduler *s, struct txn_stats *ret, struct err *e)
{
	struct pass p = { .s = s };

	look_all(&p);
	reconcile(&p, false);
	return finish(&p, ret, e);
}

/* ---- retry ---- */

static void queue_due(struct pass *p)
{
	struct item_list leaving = {};
	uint64_t now = clock_ms();
	struct item *it;

	DL_FOREACH (p->s->failed, it) {
		if (it->retry_at_ms > now)
			continue;
		if (it->desired)
			pass_queue(p, it);
		else if (it->applied)
			item_list_add(&leaving, it);
	}
	pass_remove(p, &leaving);
	item_list_release(&leaving);
}

void sched_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct scheduler *s = arg;
	const struct sched_observer *o = s->observer;
	struct pass p = { .s = s };
	struct txn_stats stats;

	if (o && o->on_retry_begin)
		o->on_retry_begin(s->observer_arg);
	queue_due(&p);
	pass_run(&p);
	finish(&p, &stats, NULL);
	if (o && o->on_retry_end)
		o->on_retry_end(&stats, s->observer_arg);
}
