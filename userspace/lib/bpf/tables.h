/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The data plane's maps as tables that people read: one record an entry, a JSON object whose fields
 * have words where the map has numbers. `netloom dump`, the agent's REST view and the descriptions
 * of scheduler items all come from here.
 *
 *	const struct table *t = table_find("ct");
 *	table_read(map_fd, t, &names, on_record, arg);
 *
 * Fields of a record keep their meaning between releases; new ones may come. Addresses that a
 * resolver knows get a second field "<field>Name" ("default/web-1"), ports a field "<field>Port".
 */
#include <json-c/json.h>

#include "lib/base/err.h"
#include "shared/loom_addr.h"

/* Who knows names. Every callback is optional and may return NULL: then the number stands alone.
 * Strings are borrowed until the next call. */
struct table_names {
	const char *(*addr)(void *arg, uint32_t scope, const union loom_addr *addr);
	const char *(*node)(void *arg, uint32_t id);
	const char *(*link)(void *arg, uint32_t ifindex);
	const char *(*ep)(void *arg, uint32_t ep);
	void *arg;
	uint32_t now_tick; /* for ages (loom_limits.h); 0: no ages */
};

enum column_kind {
	COLUMN_PLAIN,	 /* the field; arrays joined by commas */
	COLUMN_ENDPOINT, /* field, with its port and its name */
	COLUMN_NAMED,	 /* field, with its name */
	COLUMN_SECONDS,	 /* a number of seconds as "3m12s" */
};

struct column {
	const char *heading;
	const char *field;
	enum column_kind kind;
	bool right; /* numbers */
};

struct table {
	const char *name; /* "ct" */
	const char *map;  /* "loom_ct" */
	const char *about;
	size_t key_size, value_size;
	int (*record)(const void *key, const void *value, const struct table_names *n,
		      struct json_object *ret);
	const struct column *columns; /* ends with a NULL heading */
};

extern const struct table tables[]; /* ends with a NULL name */
const struct table *table_find(const char *name);
const struct table *table_of_map(const char *map);

/* The entry as a new object; per-CPU values already summed. NULL on out-of-memory. `n` may be NULL.
 */
struct json_object *table_record(const struct table *t, const void *key, const void *value,
				 const struct table_names *n);
/*
 * Each entry of the map (of arrays: each that is not all zero) to `fn`, which takes the record
 * over; non-zero stops and is returned. -EINVAL when the pinned map is not shaped as this program
 * knows it.
 */
int table_read(int map_fd, const struct table *t, const struct table_names *n,
	       int (*fn)(struct json_object *record, void *arg), void *arg, struct err *e);
/* One cell's text in `buf` ("-" when the record has no such field). */
const char *column_text(const struct column *c, struct json_object *record, char *buf, size_t len);
