/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What etcd shall hold below /netloom/k8s/ and what it does hold, key by key, and so what is to be
 * written. No I/O.
 *
 * The source says what is wanted:
 *	table_list(t, kind), table_put() for each object, table_listed(t, kind): what was not named
 *	is gone (mark and sweep). Between lists, table_put() and table_del() follow changes. Nothing
 *	of a kind is deleted before its first list is complete.
 *	table_hold() names an object that is there but can't be read: what etcd has of it stays.
 * etcd says what is there:
 *	table_etcd() for each key, in any order, with the revision, so that late news is known as
 *	such; table_etcd_begin() and _end() around a whole reading.
 * The writer takes what differs with table_take(), and reports with table_written() or
 *	table_failed().
 */
#include "ksr/kinds.h"
#include "lib/base/util.h"

struct table;
struct table_entry;

int table_new(struct table **ret);
void table_free(struct table *t); /* accepts NULL */
/* Forgets all; nothing may be taken. */
void table_clear(struct table *t);

/* ---- the source ---- */

void table_list(struct table *t, enum kind kind);
/* 0 or -ENOMEM. Copies. */
int table_put(struct table *t, enum kind kind, const char *key, const char *value);
int table_hold(struct table *t, enum kind kind, const char *key);
void table_del(struct table *t, const char *key);
/* Copies `revision`, the source's version of the list. `partial`: something that may have been in
 * earlier lists can't be read, so what etcd has from before this process stays. */
int table_listed(struct table *t, enum kind kind, const char *revision, bool partial);

/* ---- etcd ---- */

void table_etcd_begin(struct table *t);
/* `value` NULL: deleted. Keys that are no kind's are ignored: they are not ours. */
int table_etcd(struct table *t, const char *key, const char *value, int64_t revision);
void table_etcd_end(struct table *t);

/* ---- the writer ---- */

const char *table_entry_key(const struct table_entry *en);
/* What to write; NULL: delete. Borrowed until anything changes. */
const char *table_entry_value(const struct table_entry *en);
/* Up to `max` entries of at most `max_bytes` together (but at least one); returns how many. */
size_t table_take(struct table *t, struct table_entry **ret, size_t max, size_t max_bytes);
void table_written(struct table *t, struct table_entry *en, int64_t revision);
/* `refused`: etcd will never take this value; it isn't tried again until it changes. */
void table_failed(struct table *t, struct table_entry *en, bool refused);

/* True when the kind has been listed, and all of it stands in etcd. */
bool table_in_step(const struct table *t, enum kind kind);
bool table_is_listed(const struct table *t, enum kind kind);
/* Whether the source has the object, also when it can't be read; `ret_value` (may be NULL) gets
 * what is wanted in etcd, NULL if it can't. Borrowed until anything changes. */
bool table_has(const struct table *t, const char *key, const char **ret_value);
/* Counts whole lists, so that each can be acknowledged once. */
uint64_t table_lists(const struct table *t, enum kind kind);
const char *table_revision(const struct table *t, enum kind kind);
size_t table_count(const struct table *t, enum kind kind);   /* wanted objects */
size_t table_pending(const struct table *t, enum kind kind); /* writes to do */
