// SPDX-License-Identifier: Apache-2.0
#include "agent/core/scheduler.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/sched_int.h"

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 30000

int scheduler_new(struct event_base *base, struct scheduler **ret)
{
	struct scheduler *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->base = base;
	s->retry_min_ms = RETRY_MIN_MS;
	s->retry_max_ms = RETRY_MAX_MS;
	s->timer = event_new(base, -1, 0, sched_on_timer, s);
	if (!s->timer) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void scheduler_free(struct scheduler *s)
{
	struct item *it, *next;
	struct kind *k;

	if (!s)
		return;
	event_free(s->timer);
	HASH_ITER (hh, s->items, it, next)
		item_free(s, it);
	item_list_release(&s->loose);
	while ((k = s->kinds)) {
		s->kinds = k->next;
		free(k);
	}
	free(s);
}

int scheduler_register(struct scheduler *s, const struct descriptor *d, void *ctx)
{
	struct kind *k, **at = &s->kinds;

	if (!d->name || strchr(d->name, '/') || !d->create || !d->delete || !d->equal || !d->free)
		return -EINVAL;
	for (k = s->kinds; k; k = k->next)
		if (strcmp(k->d->name, d->name) == 0)
			return -EEXIST;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->d = d;
	k->ctx = ctx;
	while (*at && (*at)->d->order <= d->order)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	return 0;
}

void scheduler_observe(struct scheduler *s, const struct sched_observer *o, void *arg)
{
	s->observer = o;
	s->observer_arg = arg;
}

void scheduler_set_retry(struct scheduler *s, unsigned int min_ms, unsigned int max_ms)
{
	s->retry_min_ms = min_ms;
	s->retry_max_ms = max_ms;
}

/* ---- looking ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp((*(struct item *const *)a)->key, (*(struct item *const *)b)->key);
}

static struct item_view view_of(const struct item *it)
{
	const struct value *v = it->desired ? it->desired : it->applied;
	struct item_view view = {
		.key = it->key,
		.value = v->data,
		.state = item_state(it),
		.error = it->error,
		.descriptor = it->kind->d,
	};
	const struct item *dep;

	if (view.state == ITEM_PENDING) {
		dep = item_waits_for(it);
		view.waits_for = dep ? dep->key : NULL;
	}
	return view;
}

int scheduler_foreach(struct scheduler *s, const char *prefix,
		      int (*fn)(const struct item_view *item, void *arg), void *arg)
{
	size_t len = strlen(prefix);
	struct item_list found = {};
	struct item *it, *next;
	int ret = 0;

	HASH_ITER (hh, s->items, it, next)
		if ((it->desired || it->applied) && strncmp(it->key, prefix, len) == 0 && !ret)
			ret = item_list_add(&found, it);
	if (!ret && found.n > 1)
		qsort(found.v, found.n, sizeof(struct item *), by_key);
	for (size_t i = 0; i < found.n && !ret; i++) {
		struct item_view view = view_of(found.v[i]);

		ret = fn(&view, arg);
	}
	item_list_release(&found);
	return ret;
}

const void *scheduler_applied(struct scheduler *s, const char *fmt, ...)
{
	_cleanup_(freep) char *key = NULL;
	struct item *it;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&key, fmt, ap);
	va_end(ap);
	if (n < 0) {
		key = NULL;
		return NULL;
	}
	it = item_find(s, key);
	return it && it->applied ? it->applied->data : NULL;
}

void scheduler_totals(struct scheduler *s, struct txn_stats *ret)
{
	struct item *it, *next;

	*ret = s->totals;
	ret->pending = 0;
	ret->failed = 0;
	HASH_ITER (hh, s->items, it, next) {
		if (!it->desired && !it->applied)
			continue;
		ret->pending += item_state(it) == ITEM_PENDING;
		ret->failed += it->error != NULL;
	}
}

void scheduler_foreach_kind(struct scheduler *s,
			    void (*fn)(const char *descriptor, const struct sched_kind_stats *stats,
				       void *arg),
			    void *arg)
{
	struct item *it, *next;

	for (struct kind *k = s->kinds; k; k = k->next)
		memset(k->stats.items, 0, sizeof(k->stats.items));
	HASH_ITER (hh, s->items, it, next)
		if (it->desired || it->applied)
			it->kind->stats.items[item_state(it)]++;
	for (struct kind *k = s->kinds; k; k = k->next)
		fn(k->d->name, &k->stats, arg);
}

const char *item_state_name(enum item_state state)
{
	static const char *const names[] = { "applied", "pending", "failed", "deleting" };

	return names[state];
}
