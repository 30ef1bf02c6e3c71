// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "agent/core/sched_int.h"
#include "lib/base/grow.h"

/* ---- one operation ---- */

static int told(struct scheduler *s, struct item *it, const char *op, bool undo, int err,
		struct err *e)
{
	struct sched_op what = { .key = it->key, .op = op, .undo = undo, .err = err, .error = "" };

	if (err < 0 && (!e->code || !e->msg[0]))
		err_errno(e, err, "can't %s", op);
	if (err < 0) {
		what.error = e->msg;
		it->kind->stats.failed++;
	}
	if (s->observer && s->observer->on_op)
		s->observer->on_op(&what, s->observer_arg);
	return err;
}

int sched_create(struct scheduler *s, struct item *it, struct value *v, bool undo, struct err *e)
{
	int err = it->kind->d->create(it->kind->ctx, it->name, v->data, e);

	if (err >= 0) {
		value_set(&it->applied, v);
		it->kind->stats.created++;
		err = 0;
	}
	return told(s, it, "create", undo, err, e);
}

/* -EOPNOTSUPP is no failure but the way to say "delete and create", so it is told to nobody. */
int sched_update(struct scheduler *s, struct item *it, struct value *v, bool undo, struct err *e)
{
	int err = -EOPNOTSUPP;

	if (it->kind->d->update)
		err = it->kind->d->update(it->kind->ctx, it->name, it->applied->data, v->data, e);
	if (err == -EOPNOTSUPP) {
		*e = (struct err){};
		return err;
	}
	if (err >= 0) {
		value_set(&it->applied, v);
		it->kind->stats.updated++;
		err = 0;
	}
	return told(s, it, "update", undo, err, e);
}

int sched_delete(struct scheduler *s, struct item *it, bool undo, struct err *e)
{
	int err = it->kind->d->delete (it->kind->ctx, it->name, it->applied->data, e);

	if (err >= 0) {
		value_set(&it->applied, NULL);
		it->kind->stats.deleted++;
		err = 0;
	}
	return told(s, it, "delete", undo, err, e);
}

/* ---- within a pass ---- */

static void note(struct pass *p, enum done_kind kind, struct item *it, struct value *before)
{
	if (!p->keep_journal)
		return;
	if (grow_room(&p->journal, &p->size_done, p->n_done + 1, sizeof(*p->journal)) < 0) {
		/* What is not noted can't be taken back; say so and stop here. */
		if (!p->err)
			p->err = err_set(&p->e, -ENOMEM, "out of memory");
		return;
	}
	p->journal[p->n_done++] = (struct done_op){ .kind = kind,
						    .item = it,
						    .before = value_get(before),
						    .after = value_get(it->applied) };
}

static void failed(struct pass *p, struct item *it, int err, struct err *e)
{
	p->stats.failed++;
	if (!p->keep_journal)
		item_failed(p->s, it, e->msg);
	if (p->err)
		return;
	p->err = err;
	p->e = *e;
	err_prefix(&p->e, "%s", it->key);
}

void pass_queue(struct pass *p, struct item *it)
{
	struct kind *k = it->kind;

	if (it->queued || it->deferred || !k)
		return;
	it->queued = true;
	it->next_queued = NULL;
	if (k->last_queued)
		k->last_queued->next_queued = it;
	else
		k->first_queued = it;
	k->last_queued = it;
}

static struct item *next_queued(struct pass *p)
{
	for (struct kind *k = p->s->kinds; k; k = k->next) {
		struct item *it = k->first_queued;

		if (!it)
			continue;
		k->first_queued = it->next_queued;
		if (!k->first_queued)
			k->last_queued = NULL;
		it->queued = false;
		return it;
	}
	return NULL;
}

/* Those that depend on it go first; if they are still desired, they come back with it. */
static int removed(struct pass *p, struct item *it)
{
	struct value *before;
	struct err e = {};
	int err = 0;

	if (!it->applied || it->leaving)
		return 0;
	it->leaving = true;
	for (size_t i = 0; i < it->dependants.n; i++) {
		struct item *d = it->dependants.v[i];
		int derr = removed(p, d);

		if (derr < 0 && !err)
			err = err_set(&e, derr, "'%s', which depends on it, can't be deleted",
				      d->key);
	}
	it->leaving = false;
	if (err < 0) {
		failed(p, it, err, &e);
		return err;
	}
	before = value_get(it->applied);
	err = sched_delete(p->s, it, false, &e);
	if (err < 0) {
		failed(p, it, err, &e);
	} else {
		p->stats.deleted++;
		item_clear_failure(p->s, it);
		note(p, DONE_DELETE, it, before);
		item_maybe_loose(p->s, it);
	}
	value_put(before);
	return err;
}

static int created(struct pass *p, struct item *it)
{
	struct err e = {};
	int err = sched_create(p->s, it, it->desired, false, &e);

	if (err < 0) {
		failed(p, it, err, &e);
		return err;
	}
	p->stats.created++;
	item_clear_failure(p->s, it);
	note(p, DONE_CREATE, it, NULL);
	for (size_t i = 0; i < it->dependants.n; i++)
		if (it->dependants.v[i]->desired && !it->dependants.v[i]->applied)
			pass_queue(p, it->dependants.v[i]);
	return 0;
}

static void updated(struct pass *p, struct item *it)
{
	struct value *before = value_get(it->applied);
	struct err e = {};
	int err = sched_update(p->s, it, it->desired, false, &e);

	if (err == -EOPNOTSUPP) {
		if (removed(p, it) == 0)
			created(p, it);
	} else if (err < 0) {
		failed(p, it, err, &e);
	} else {
		p->stats.updated++;
		item_clear_failure(p->s, it);
		note(p, DONE_UPDATE, it, before);
	}
	value_put(before);
}

static void apply(struct pass *p, struct item *it, bool last_word)
{
	if (!it->desired)
		return;
	if (item_waits_for(it)) {
		/* It stands without what it needs: that may still come in this pass. */
		if (it->applied && !last_word)
			it->deferred = item_list_add(&p->deferred, it) == 0;
		else if (it->applied)
			removed(p, it);
		else
			item_clear_failure(p->s, it);
		return;
	}
	if (!it->applied) {
		created(p, it);
	} else if (value_equal(it->applied, it->desired)) {
		p->stats.unchanged++;
		item_clear_failure(p->s, it);
		value_set(&it->applied, it->desired);
	} else {
		updated(p, it);
	}
}

static bool stopped(const struct pass *p)
{
	return p->keep_journal && p->err < 0;
}

static void drop_queues(struct pass *p)
{
	while (next_queued(p))
		;
	for (size_t i = 0; i < p->deferred.n; i++)
		p->deferred.v[i]->deferred = false;
	p->deferred.n = 0;
}

void pass_run(struct pass *p)
{
	struct item *it;

	while (!stopped(p)) {
		it = next_queued(p);
		if (it) {
			apply(p, it, false);
		} else if (p->deferred.n) {
			it = p->deferred.v[--p->deferred.n];
			it->deferred = false;
			apply(p, it, true);
		} else {
			break;
		}
	}
	drop_queues(p);
}

/* ---- removing ---- */

static int by_order_backwards(const void *a, const void *b)
{
	const struct item *x = *(struct item *const *)a, *y = *(struct item *const *)b;

	if (x->kind->d->order != y->kind->d->order)
		return x->kind->d->order < y->kind->d->order ? 1 : -1;
	return 0;
}

void pass_remove(struct pass *p, struct item_list *leaving)
{
	if (leaving->n > 1)
		qsort(leaving->v, leaving->n, sizeof(struct item *), by_order_backwards);
	for (size_t i = 0; i < leaving->n && !stopped(p); i++)
		removed(p, leaving->v[i]);
}

void pass_release(struct pass *p)
{
	for (size_t i = 0; i < p->n_done; i++) {
		value_put(p->journal[i].before);
		value_put(p->journal[i].after);
	}
	free(p->journal);
	item_list_release(&p->deferred);
}
