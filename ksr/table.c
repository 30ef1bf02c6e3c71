// SPDX-License-Identifier: Apache-2.0
#include "ksr/table.h"

#include <errno.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "api/etcd_keys.h"
#include "ksr/reduce.h"

enum have {
	HAVE_NOTHING,
	HAVE_EQUAL, /* to `want` */
	HAVE_OTHER,
};

struct table_entry {
	UT_hash_handle hh;
	struct table_entry *prev, *next; /* in the queue */
	enum kind kind;
	enum have have;
	char *want; /* NULL: shall not be */
	char *had;  /* etcd's value while nothing is wanted: to be compared with what may come */
	int64_t revision;
	uint64_t listed; /* the list that named it last */
	bool held, refused, dirty, taken, changed;
	bool known; /* the source has named it once */
	char key[];
};

struct kind_state {
	uint64_t list;	 /* number of the one that runs or ran last */
	uint64_t listed; /* lists completed */
	char *revision;
	size_t wanted, pending;
	bool partial;
};

struct table {
	struct table_entry *entries, *queue;
	struct kind_state kinds[KIND_COUNT];
};

/* ---- entries ---- */

static void set_want(struct table *t, struct table_entry *en, char *value)
{
	t->kinds[en->kind].wanted += (value ? 1 : 0) - (en->want ? 1 : 0);
	free(en->want);
	en->want = value;
}

static bool is_dirty(const struct table *t, const struct table_entry *en)
{
	const struct kind_state *ks = &t->kinds[en->kind];

	if (en->refused)
		return false;
	if (en->want)
		return en->have != HAVE_EQUAL;
	if (en->held || (ks->partial && !en->known))
		return false;
	return ks->listed && en->have != HAVE_NOTHING;
}

static void entry_free(struct table *t, struct table_entry *en)
{
	set_want(t, en, NULL);
	HASH_DEL(t->entries, en);
	free(en->had);
	free(en);
}

/* Counts and queues after any change; frees what neither side knows. */
static void settle(struct table *t, struct table_entry *en)
{
	bool dirty = is_dirty(t, en), queued = en->dirty && !en->taken;

	t->kinds[en->kind].pending += (dirty ? 1 : 0) - (en->dirty ? 1 : 0);
	if (en->taken) {
		en->dirty = dirty;
		return;
	}
	if (dirty && !queued)
		DL_APPEND(t->queue, en);
	if (!dirty && queued)
		DL_DELETE(t->queue, en);
	en->dirty = dirty;
	if (!en->want && !en->held && en->have == HAVE_NOTHING)
		entry_free(t, en);
}

static struct table_entry *find(struct table *t, const char *key)
{
	struct table_entry *en;

	HASH_FIND_STR(t->entries, key, en);
	return en;
}

static struct table_entry *find_or_add(struct table *t, enum kind kind, const char *key)
{
	struct table_entry *en = find(t, key);
	size_t n = strlen(key) + 1;

	if (en)
		return en;
	en = calloc(1, sizeof(*en) + n);
	if (!en)
		return NULL;
	memcpy(en->key, key, n);
	en->kind = kind;
	HASH_ADD_KEYPTR(hh, t->entries, en->key, n - 1, en);
	return en;
}

int table_new(struct table **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void table_clear(struct table *t)
{
	struct table_entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp)
		entry_free(t, en);
	for (enum kind k = 0; k < KIND_COUNT; k++)
		free(t->kinds[k].revision);
	*t = (struct table){};
}

void table_free(struct table *t)
{
	if (!t)
		return;
	table_clear(t);
	free(t);
}

/* ---- the source ---- */

void table_list(struct table *t, enum kind kind)
{
	t->kinds[kind].list++;
}

int table_put(struct table *t, enum kind kind, const char *key, const char *value)
{
	struct table_entry *en = find_or_add(t, kind, key);
	char *copy = strdup(value);

	if (!en || !copy) {
		free(copy);
		if (en)
			settle(t, en);
		return -ENOMEM;
	}
	en->held = false;
	en->known = true;
	en->listed = t->kinds[kind].list;
	if (en->want && reduced_equal(en->want, value)) {
		/* What etcd has been given, or will be, is as good. */
		free(copy);
		settle(t, en);
		return 0;
	}
	if (en->had)
		en->have = reduced_equal(en->had, value) ? HAVE_EQUAL : HAVE_OTHER;
	else if (en->have == HAVE_EQUAL)
		en->have = HAVE_OTHER;
	free(TAKE_PTR(en->had));
	set_want(t, en, copy);
	en->refused = false;
	en->changed = true;
	settle(t, en);
	return 0;
}

int table_hold(struct table *t, enum kind kind, const char *key)
{
	struct table_entry *en = find_or_add(t, kind, key);

	if (!en)
		return -ENOMEM;
	en->held = en->known = true;
	en->listed = t->kinds[kind].list;
	settle(t, en);
	return 0;
}

static void unwant(struct table *t, struct table_entry *en)
{
	en->held = false;
	if (en->want) {
		set_want(t, en, NULL);
		en->changed = true;
		en->refused = false;
		if (en->have == HAVE_EQUAL)
			en->have = HAVE_OTHER;
	}
	settle(t, en);
}

void table_del(struct table *t, const char *key)
{
	struct table_entry *en = find(t, key);

	if (en)
		unwant(t, en);
}

int table_listed(struct table *t, enum kind kind, const char *revision, bool partial)
{
	struct kind_state *ks = &t->kinds[kind];
	struct table_entry *en, *tmp;
	char *copy = strdup(revision);

	if (!copy)
		return -ENOMEM;
	free(ks->revision);
	ks->revision = copy;
	ks->listed++;
	ks->partial = partial;
	HASH_ITER (hh, t->entries, en, tmp) {
		if (en->kind != kind)
			continue;
		if (en->listed != ks->list)
			unwant(t, en);
		else
			settle(t, en);
	}
	return 0;
}

/* ---- etcd ---- */

static bool find_kind(const char *key, enum kind *ret)
{
	const char *at = key + strlen(KEY_K8S);

	if (strncmp(key, KEY_K8S, strlen(KEY_K8S)) != 0)
		return false;
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		size_t n = strlen(kinds[k].name);

		if (strncmp(at, kinds[k].name, n) == 0 && at[n] == '/') {
			*ret = k;
			return true;
		}
	}
	return false;
}

/* A reading takes keys away by not naming them: forget first what is known. */
void table_etcd_begin(struct table *t)
{
	struct table_entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp) {
		en->have = HAVE_NOTHING;
		en->revision = 0;
		free(TAKE_PTR(en->had));
	}
}

static int note_value(struct table_entry *en, const char *value)
{
	if (!value) {
		en->have = HAVE_NOTHING;
		free(TAKE_PTR(en->had));
		return 0;
	}
	if (en->want) {
		en->have = reduced_equal(en->want, value) ? HAVE_EQUAL : HAVE_OTHER;
		return 0;
	}
	en->have = HAVE_OTHER;
	free(en->had);
	en->had = strdup(value);
	return en->had ? 0 : -ENOMEM;
}

int table_etcd(struct table *t, const char *key, const char *value, int64_t revision)
{
	struct table_entry *en;
	enum kind kind;
	int err;

	if (!find_kind(key, &kind))
		return 0;
	en = value ? find_or_add(t, kind, key) : find(t, key);
	if (!en)
		return value ? -ENOMEM : 0;
	if (revision <= en->revision)
		return 0;
	en->revision = revision;
	err = note_value(en, value);
	settle(t, en);
	return err;
}

void table_etcd_end(struct table *t)
{
	struct table_entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp)
		settle(t, en);
}

/* ---- the writer ---- */

const char *table_entry_key(const struct table_entry *en)
{
	return en->key;
}

const char *table_entry_value(const struct table_entry *en)
{
	return en->want;
}

size_t table_take(struct table *t, struct table_entry **ret, size_t max, size_t max_bytes)
{
	size_t n = 0, bytes = 0;

	while (n < max && t->queue) {
		struct table_entry *en = t->queue;

		bytes += strlen(en->key) + (en->want ? strlen(en->want) : 0);
		if (n && bytes > max_bytes)
			break;
		DL_DELETE(t->queue, en);
		en->taken = true;
		en->changed = false;
		ret[n++] = en;
	}
	return n;
}

/* The entry leaves the writer's hands and is queued again if it has to be. */
static void give_back(struct table *t, struct table_entry *en)
{
	/* As settle() counts it: taken entries are in `pending`, but in no queue. */
	if (en->dirty)
		t->kinds[en->kind].pending--;
	en->dirty = false;
	en->taken = false;
	settle(t, en);
}

void table_written(struct table *t, struct table_entry *en, int64_t revision)
{
	/* etcd's own news may have been faster, and newer. */
	if (revision > en->revision) {
		en->revision = revision;
		if (en->changed)
			en->have = HAVE_OTHER;
		else
			en->have = en->want ? HAVE_EQUAL : HAVE_NOTHING;
		free(TAKE_PTR(en->had));
	}
	give_back(t, en);
}

void table_failed(struct table *t, struct table_entry *en, bool refused)
{
	en->refused = refused && !en->changed;
	give_back(t, en);
}

bool table_is_listed(const struct table *t, enum kind kind)
{
	return t->kinds[kind].listed;
}

bool table_in_step(const struct table *t, enum kind kind)
{
	return t->kinds[kind].listed && !t->kinds[kind].pending;
}

bool table_has(const struct table *t, const char *key, const char **ret_value)
{
	const struct table_entry *en;

	HASH_FIND_STR(t->entries, key, en);
	if (!en || !(en->want || en->held))
		return false;
	if (ret_value)
		*ret_value = en->held ? NULL : en->want;
	return true;
}

uint64_t table_lists(const struct table *t, enum kind kind)
{
	return t->kinds[kind].listed;
}

const char *table_revision(const struct table *t, enum kind kind)
{
	return t->kinds[kind].revision ? t->kinds[kind].revision : "";
}

size_t table_count(const struct table *t, enum kind kind)
{
	return t->kinds[kind].wanted;
}

size_t table_pending(const struct table *t, enum kind kind)
{
	return t->kinds[kind].pending;
}
