// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <uthash.h>

#include "agent/modules/db/private.h"
#include "lib/json/json.h"

/* Values stay text: a tree takes ten times the room, and most are never asked for twice. */
struct entry {
	UT_hash_handle hh;
	struct entry *next_parsed;
	struct json_object *tree; /* while somebody may hold it: until the loop turns */
	char *text;
	bool marked, lost;
	char key[];
};

struct db_table {
	struct entry *entries;
	struct entry *parsed;
	struct event *turn;
	size_t lost;
};

static void drop_tree(struct entry *en)
{
	json_object_put(TAKE_PTR(en->tree));
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct db_table *t = arg;

	while (t->parsed) {
		struct entry *en = t->parsed;

		t->parsed = en->next_parsed;
		drop_tree(en);
	}
}

int db_table_new(struct event_base *base, struct db_table **ret)
{
	struct db_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->turn = event_new(base, -1, 0, on_turn, t);
	if (!t->turn) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

static void forget_parsed(struct db_table *t, struct entry *en)
{
	for (struct entry **at = &t->parsed; *at; at = &(*at)->next_parsed) {
		if (*at == en) {
			*at = en->next_parsed;
			return;
		}
	}
}

static void entry_remove(struct db_table *t, struct entry *en)
{
	HASH_DEL(t->entries, en);
	if (en->tree)
		forget_parsed(t, en);
	t->lost -= en->lost;
	drop_tree(en);
	free(en->text);
	free(en);
}

void db_table_free(struct db_table *t)
{
	struct entry *en, *tmp;

	if (!t)
		return;
	HASH_ITER (hh, t->entries, en, tmp)
		entry_remove(t, en);
	event_free(t->turn);
	free(t);
}

size_t db_table_size(const struct db_table *t)
{
	return HASH_COUNT(t->entries);
}

size_t db_table_lost(const struct db_table *t)
{
	return t->lost;
}

static struct entry *find(struct db_table *t, const char *key)
{
	struct entry *en;

	HASH_FIND_STR(t->entries, key, en);
	return en;
}

static struct json_object *tree_of(struct db_table *t, struct entry *en)
{
	struct timeval now = {};

	if (en->tree || json_parse(en->text, strlen(en->text), &en->tree, NULL) < 0)
		return en->tree;
	if (!t->parsed)
		event_add(t->turn, &now);
	en->next_parsed = t->parsed;
	t->parsed = en;
	return en->tree;
}

static struct entry *entry_add(struct db_table *t, const char *key)
{
	size_t n = strlen(key) + 1;
	struct entry *en = calloc(1, sizeof(*en) + n);

	if (!en)
		return NULL;
	memcpy(en->key, key, n);
	HASH_ADD_STR(t->entries, key, en);
	return en;
}

static void unmark(struct db_table *t, struct entry *en)
{
	en->marked = false;
	t->lost -= en->lost;
	en->lost = false;
}

int db_table_put(struct db_table *t, const char *key, const char *text, size_t len,
		 struct db_diff *ret, struct err *e)
{
	_cleanup_(freep) char *copy = NULL;
	struct entry *en = find(t, key);
	_json_ *tree = NULL;
	int err;

	if (en) {
		unmark(t, en);
		if (strlen(en->text) == len && memcmp(en->text, text, len) == 0)
			return 0;
	}
	err = json_parse(text, len, &tree, e);
	if (err < 0)
		return err_prefix(e, "'%s'", key), err;
	if (!json_object_is_type(tree, json_type_object))
		return err_set(e, -EINVAL, "'%s': want an object, found %s", key,
			       json_type_word(tree));
	copy = strndup(text, len);
	if (copy && !en)
		en = entry_add(t, key);
	if (!copy || !en)
		return err_set(e, -ENOMEM, "'%s': out of memory", key);

	if (en->text)
		json_parse(en->text, strlen(en->text), &ret->old_value, NULL);
	if (en->tree) {
		forget_parsed(t, en);
		drop_tree(en);
	}
	free(en->text);
	en->text = TAKE_PTR(copy);
	ret->new_value = TAKE_PTR(tree);
	return 1;
}

int db_table_del(struct db_table *t, const char *key, struct db_diff *ret)
{
	struct entry *en = find(t, key);

	if (!en)
		return 0;
	json_parse(en->text, strlen(en->text), &ret->old_value, NULL);
	entry_remove(t, en);
	return 1;
}

struct json_object *db_table_get(struct db_table *t, const char *key)
{
	struct entry *en = find(t, key);

	return en ? tree_of(t, en) : NULL;
}

const char *db_table_text(struct db_table *t, const char *key)
{
	struct entry *en = find(t, key);

	return en ? en->text : NULL;
}

static bool below(const struct entry *en, const char *prefix)
{
	return strncmp(en->key, prefix, strlen(prefix)) == 0;
}

int db_table_foreach(struct db_table *t, const char *prefix,
		     int (*fn)(const char *key, struct json_object *value, void *arg), void *arg)
{
	struct entry *en, *tmp;
	int stop = 0;

	HASH_ITER (hh, t->entries, en, tmp) {
		_json_ *tree = NULL;

		if (!below(en, prefix))
			continue;
		if (en->tree)
			tree = json_object_get(en->tree);
		else
			json_parse(en->text, strlen(en->text), &tree, NULL);
		stop = fn(en->key, tree, arg);
		if (stop)
			break;
	}
	return stop;
}

void db_table_foreach_text(const struct db_table *t,
			   void (*fn)(const char *key, const char *text, void *arg), void *arg)
{
	for (const struct entry *en = t->entries; en; en = en->hh.next)
		fn(en->key, en->text, arg);
}

void db_table_mark(struct db_table *t, const char *prefix)
{
	struct entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp) {
		if (below(en, prefix))
			en->marked = true;
	}
}

void db_table_foreach_marked(struct db_table *t, const char *prefix,
			     void (*fn)(const char *key, void *arg), void *arg)
{
	struct entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp) {
		if (en->marked && below(en, prefix))
			fn(en->key, arg);
	}
}

bool db_table_any_marked(const struct db_table *t, const char *prefix)
{
	for (const struct entry *en = t->entries; en; en = en->hh.next)
		if (en->marked && below(en, prefix))
			return true;
	return false;
}

void db_table_set_lost(struct db_table *t, const char *key)
{
	struct entry *en = find(t, key);

	if (!en || en->lost)
		return;
	en->lost = true;
	en->marked = false;
	t->lost++;
}

void db_table_foreach_lost(struct db_table *t, const char *prefix,
			   void (*fn)(const char *key, void *arg), void *arg)
{
	struct entry *en, *tmp;

	HASH_ITER (hh, t->entries, en, tmp) {
		if (en->lost && below(en, prefix))
			fn(en->key, arg);
	}
}
