// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "agent/core/sched_int.h"
#include "lib/base/clock.h"
#include "lib/base/grow.h"

/* ---- values ---- */

int value_new(const struct descriptor *d, void *data, struct value **ret)
{
	struct value *v = malloc(sizeof(*v));

	if (!v) {
		d->free(data);
		return -ENOMEM;
	}
	*v = (struct value){ .refs = 1, .d = d, .data = data };
	*ret = v;
	return 0;
}

struct value *value_get(struct value *v)
{
	if (v)
		v->refs++;
	return v;
}

void value_put(struct value *v)
{
	if (!v || --v->refs > 0)
		return;
	v->d->free(v->data);
	free(v);
}

void value_set(struct value **at, struct value *v)
{
	struct value *old = *at;

	*at = value_get(v);
	value_put(old);
}

bool value_equal(const struct value *a, const struct value *b)
{
	return a == b || a->d->equal(a->data, b->data);
}

/* ---- lists ---- */

int item_list_add(struct item_list *l, struct item *it)
{
	if (grow_room(&l->v, &l->size, l->n + 1, sizeof(struct item *)) < 0)
		return -ENOMEM;
	l->v[l->n++] = it;
	return 0;
}

void item_list_del(struct item_list *l, struct item *it)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i] != it)
			continue;
		l->n--;
		memmove(&l->v[i], &l->v[i + 1], (l->n - i) * sizeof(struct item *));
		return;
	}
}

void item_list_release(struct item_list *l)
{
	free(l->v);
	*l = (struct item_list){};
}

/* ---- keys ---- */

struct kind *kind_find(const struct scheduler *s, const char *key, const char **ret_name)
{
	const char *slash = strchr(key, '/');
	size_t n = slash ? (size_t)(slash - key) : 0;

	for (struct kind *k = n ? s->kinds : NULL; k; k = k->next) {
		if (strncmp(k->d->name, key, n) == 0 && !k->d->name[n]) {
			*ret_name = slash + 1;
			return k;
		}
	}
	return NULL;
}

struct item *item_find(const struct scheduler *s, const char *key)
{
	struct item *it;

	HASH_FIND_STR(s->items, key, it);
	return it;
}

int item_get(struct scheduler *s, const char *key, struct item **ret)
{
	struct item *it = item_find(s, key);

	if (!it) {
		it = calloc(1, sizeof(*it));
		if (it)
			it->key = strdup(key);
		if (!it || !it->key) {
			free(it);
			return -ENOMEM;
		}
		it->name = it->key;
		it->kind = kind_find(s, it->key, &it->name);
		HASH_ADD_KEYPTR(hh, s->items, it->key, strlen(it->key), it);
	}
	*ret = it;
	return 0;
}

/* ---- dependencies ---- */

struct dep_list {
	struct scheduler *s;
	struct item_list items;
	int err;
};

int dep_add(struct dep_list *deps, const char *fmt, ...)
{
	_cleanup_(freep) char *key = NULL;
	struct item *it;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&key, fmt, ap);
	va_end(ap);
	if (n < 0)
		key = NULL;
	if (!key || item_get(deps->s, key, &it) < 0 || item_list_add(&deps->items, it) < 0)
		deps->err = -ENOMEM;
	return deps->err;
}

static void unlink_deps(struct scheduler *s, struct item *it)
{
	for (size_t i = 0; i < it->deps.n; i++) {
		item_list_del(&it->deps.v[i]->dependants, it);
		item_maybe_loose(s, it->deps.v[i]);
	}
	item_list_release(&it->deps);
}

static int link_deps(struct scheduler *s, struct item *it, struct item_list *deps)
{
	unlink_deps(s, it);
	for (size_t i = 0; i < deps->n; i++) {
		if (item_list_add(&deps->v[i]->dependants, it) < 0) {
			deps->n = i;
			it->deps = *deps;
			*deps = (struct item_list){};
			return -ENOMEM;
		}
	}
	it->deps = *deps;
	*deps = (struct item_list){};
	return 0;
}

int item_desire(struct scheduler *s, struct item *it, struct value *v)
{
	struct dep_list deps = { .s = s };
	int err;

	if (v && it->kind->d->depends)
		it->kind->d->depends(it->kind->ctx, it->name, v->data, &deps);
	err = deps.err;
	/* An item that goes keeps its dependencies until it is gone: they go after it. */
	if (!err && v)
		err = link_deps(s, it, &deps.items);
	for (size_t i = 0; i < deps.items.n; i++)
		item_maybe_loose(s, deps.items.v[i]);
	item_list_release(&deps.items);
	if (err < 0)
		return err;
	value_set(&it->desired, v);
	if (!v)
		item_maybe_loose(s, it);
	return 0;
}

const struct item *item_waits_for(const struct item *it)
{
	for (size_t i = 0; i < it->deps.n; i++)
		if (!it->deps.v[i]->applied || it->deps.v[i]->leaving)
			return it->deps.v[i];
	return NULL;
}

/* ---- state ---- */

enum item_state item_state(const struct item *it)
{
	if (!it->desired)
		return ITEM_DELETING;
	if (it->error)
		return ITEM_FAILED;
	return it->applied == it->desired ? ITEM_APPLIED : ITEM_PENDING;
}

void item_clear_failure(struct scheduler *s, struct item *it)
{
	if (!it->error)
		return;
	free(it->error);
	it->error = NULL;
	it->backoff_ms = 0;
	DL_DELETE(s->failed, it);
}

void item_failed(struct scheduler *s, struct item *it, const char *error)
{
	static const char *const unknown = "failed";
	char *copy = strdup(error && *error ? error : unknown);

	/* Without memory for the words the failure would be forgotten: keep the old ones. */
	if (!copy && !it->error)
		return;
	if (!it->error)
		DL_APPEND(s->failed, it);
	if (copy) {
		free(it->error);
		it->error = copy;
	}
	it->backoff_ms =
		it->backoff_ms ? MIN(it->backoff_ms * 2, s->retry_max_ms) : s->retry_min_ms;
	it->retry_at_ms = clock_ms() + it->backoff_ms;
}

/* ---- end of life ---- */

void item_maybe_loose(struct scheduler *s, struct item *it)
{
	if (it->loose || it->desired || it->applied || it->dependants.n)
		return;
	it->loose = item_list_add(&s->loose, it) == 0;
}

void item_free(struct scheduler *s, struct item *it)
{
	item_clear_failure(s, it);
	HASH_DEL(s->items, it);
	value_put(it->desired);
	value_put(it->applied);
	item_list_release(&it->deps);
	item_list_release(&it->dependants);
	free(it->key);
	free(it);
}

void items_sweep(struct scheduler *s)
{
	/* Dropping one may loosen those that it depended on. */
	while (s->loose.n) {
		struct item *it = s->loose.v[--s->loose.n];

		it->loose = false;
		if (it->desired || it->applied || it->dependants.n)
			continue;
		unlink_deps(s, it);
		item_free(s, it);
	}
	item_list_release(&s->loose);
}
