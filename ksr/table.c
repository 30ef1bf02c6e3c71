// SPDX-License-Identifier: Apache-2.0
#include "ksr/table.h"

#include <errno.h>
#include <string.h>

#include "ksr/filter.h"

TAILQ_HEAD(entry_list, table_entry);

struct table {
	struct table_entry *entries;
	struct entry_list dirty;
	size_t n_dirty;
	struct table_state states[N_RESOURCES];
	unsigned int fill[N_RESOURCES]; /* the current one */
	bool sweep_unknown[N_RESOURCES];
	void (*on_work)(void *arg);
	void *on_work_arg;
};

int table_new(struct table **ret)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	TAILQ_INIT(&t->dirty);
	*ret = t;
	return 0;
}

static void entry_free(struct table_entry *e)
{
	free(e->value);
	free(e->stored);
	free(e);
}

void table_free(struct table *t)
{
	struct table_entry *e, *tmp;

	if (!t)
		return;
	HASH_ITER (hh, t->entries, e, tmp) {
		HASH_DEL(t->entries, e);
		entry_free(e);
	}
	for (size_t i = 0; i < N_RESOURCES; i++)
		free(t->states[i].revision);
	free(t);
}

void table_on_work(struct table *t, void (*fn)(void *arg), void *arg)
{
	t->on_work = fn;
	t->on_work_arg = arg;
}

struct table_state *table_state(struct table *t, enum resource_id res)
{
	return &t->states[res];
}

size_t table_n_dirty(const struct table *t)
{
	return t->n_dirty;
}

static void tell(struct table *t)
{
	if (t->on_work)
		t->on_work(t->on_work_arg);
}

/* ---- entries ---- */

static struct table_entry *find(struct table *t, const char *key)
{
	struct table_entry *e;

	HASH_FIND_STR(t->entries, key, e);
	return e;
}

static struct table_entry *add(struct table *t, enum resource_id res, const char *key)
{
	size_t len = strlen(key);
	struct table_entry *e = calloc(1, sizeof(*e) + len + 1);

	if (!e)
		return NULL;
	memcpy(e->key, key, len + 1);
	e->res = res;
	HASH_ADD_STR(t->entries, key, e);
	return e;
}

static void set_dirty(struct table *t, struct table_entry *e, bool dirty)
{
	if (e->dirty == dirty)
		return;
	e->dirty = dirty;
	if (dirty) {
		TAILQ_INSERT_TAIL(&t->dirty, e, link);
		t->n_dirty++;
		t->states[e->res].dirty++;
	} else {
		TAILQ_REMOVE(&t->dirty, e, link);
		t->n_dirty--;
		t->states[e->res].dirty--;
	}
}

static void drop(struct table *t, struct table_entry *e)
{
	set_dirty(t, e, false);
	HASH_DEL(t->entries, e);
	entry_free(e);
}

/* Takes `value` (NULL: the object is gone). */
static void set_value(struct table *t, struct table_entry *e, char *value)
{
	t->states[e->res].count += (value != NULL) - (e->value != NULL);
	free(e->value);
	e->value = value;
	e->version++;
}

static void forget_stored(struct table_entry *e)
{
	free(e->stored);
	e->stored = NULL;
}

/* ---- for sources ---- */

void table_begin(struct table *t, enum resource_id res)
{
	t->fill[res]++;
}

int table_put(struct table *t, enum resource_id res, const char *key, const char *value)
{
	struct table_entry *e = find(t, key);
	bool known = e && (e->value || e->stored), same;
	char *copy;

	if (e && e->value && filter_same(e->value, value)) {
		e->filled = t->fill[res];
		return 0;
	}
	copy = strdup(value);
	if (!copy || (!e && !(e = add(t, res, key)))) {
		free(copy);
		return -ENOMEM;
	}
	e->filled = t->fill[res];
	same = known && e->stored && filter_same(e->stored, value);
	set_value(t, e, copy);
	forget_stored(e);
	set_dirty(t, e, !same);
	if (!same)
		tell(t);
	return 0;
}

void table_keep(struct table *t, const char *key)
{
	struct table_entry *e = find(t, key);

	if (e)
		e->filled = t->fill[e->res];
}

static void delete_entry(struct table *t, struct table_entry *e)
{
	if (!e->value && !e->stored)
		return;
	set_value(t, e, NULL);
	forget_stored(e);
	set_dirty(t, e, true);
}

void table_delete(struct table *t, const char *key)
{
	struct table_entry *e = find(t, key);

	if (!e)
		return;
	delete_entry(t, e);
	tell(t);
}

void table_end(struct table *t, enum resource_id res, const char *revision, bool sweep_unknown)
{
	struct table_state *st = &t->states[res];
	struct table_entry *e, *tmp;
	char *copy = strdup(revision ? revision : "");

	HASH_ITER (hh, t->entries, e, tmp) {
		if (e->res == res && e->filled != t->fill[res] && (e->value || sweep_unknown))
			delete_entry(t, e);
	}
	if (copy) {
		free(st->revision);
		st->revision = copy;
	}
	t->sweep_unknown[res] = sweep_unknown;
	st->synced = st->unmarked = true;
	st->absent = false;
	st->fills++;
	tell(t);
}

void table_absent(struct table *t, enum resource_id res, bool absent)
{
	t->states[res].absent = absent;
	tell(t);
}

/* ---- for the sink ---- */

void table_compare_begin(struct table *t)
{
	struct table_entry *e, *tmp;

	HASH_ITER (hh, t->entries, e, tmp) {
		e->compared = false;
	}
}

/* A key that no source has put: gone, or not spoken of yet. */
static int compare_unknown(struct table *t, struct table_entry *e, const char *value)
{
	bool spoken_of = e->version > 0;
	char *copy;

	if (spoken_of || (t->states[e->res].synced && t->sweep_unknown[e->res])) {
		forget_stored(e);
		set_dirty(t, e, true);
		return 0;
	}
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(e->stored);
	e->stored = copy;
	set_dirty(t, e, false);
	return 0;
}

int table_compare(struct table *t, const char *key, const char *value)
{
	struct table_entry *e = find(t, key);
	enum resource_id res;

	if (!resource_of_key(key, &res))
		return 0;
	if (!e && !(e = add(t, res, key)))
		return -ENOMEM;
	e->compared = true;
	if (!e->value)
		return compare_unknown(t, e, value);
	set_dirty(t, e, !filter_same(e->value, value));
	return 0;
}

void table_compare_end(struct table *t)
{
	struct table_entry *e, *tmp;

	HASH_ITER (hh, t->entries, e, tmp) {
		if (e->compared)
			continue;
		if (e->value)
			set_dirty(t, e, true);
		else
			drop(t, e);
	}
	for (size_t i = 0; i < N_RESOURCES; i++)
		t->states[i].unmarked = t->states[i].synced;
}

struct table_entry *table_dirty(struct table *t, struct table_entry *after)
{
	return after ? TAILQ_NEXT(after, link) : TAILQ_FIRST(&t->dirty);
}

void table_settle(struct table *t, struct table_entry *e, uint64_t version)
{
	if (e->version != version)
		return;
	set_dirty(t, e, false);
	if (!e->value)
		drop(t, e);
}
