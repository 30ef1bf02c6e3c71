/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of db: table.c holds what etcd said, follow.c listens to it, publish.c says to etcd what
 * we publish, local.c is the mirror, db.c ties them to the loop. Everything runs on the loop's
 * thread, but for mirror_sync(), which a chore's thread calls and which is all that this calls.
 */
#include <event2/event.h>

#include "agent/modules/db/db.h"
#include "lib/mirror/mirror.h"
#include "lib/store/store.h"

/* Rounds of waiting for what was lost with etcd's data to be written again by its owners. */
#define DB_LOST_GRACE_S 600

struct db_table;
struct db_publisher;
struct db_diff;

struct db {
	struct agent *agent;
	struct store *store;
	struct mirror *mirror;
	struct db_table *table;
	struct db_publisher *publisher;
	struct event *deadline; /* etcd silent for so long at start: the mirror */
	struct event *begin;	/* first turn of the loop: follow */
	struct event *flush;	/* a moment after the first write: */
	struct chore *to_disk;
	struct event *lost; /* end of the grace */
	struct db_prefix *prefixes;
	struct db_sweep *sweeps; /* under way */
	bool following;		 /* no prefix can be added any more */
	enum db_origin origin;
	bool delivered;	 /* a db-resync was pushed */
	bool dirty;	 /* mirror has writes that are not on disk */
	bool key_by_key; /* a batch of writes failed */
	uint64_t cluster_id;
	int64_t revision;
	uint64_t resyncs, changes, losses, breaks;
	char last_error[256];
};

struct db *db_of(struct agent *a);

/* ---- db.c ---- */

void db_push_resync(struct db *db);
/* Takes the trees. Before the first db-resync nobody needs to be told. */
void db_push_change(struct db *db, const char *key, struct db_diff *diff);

/* ---- follow.c: what etcd says ---- */

/* -EINVAL for a key that can't be: of a node, with a name that none can have, or with NUL bytes. */
int db_key_check(const char *key, size_t len, struct err *e);
int db_follow_init(struct db *db);
int db_follow_add(struct db *db, const char *prefix);
int db_follow_start(struct db *db);
void db_follow_stop(struct db *db);
/* The grace is over: what was lost and not written again is dropped. */
void db_follow_give_up(struct db *db);

/* ---- table.c: keys and values as last known ---- */

int db_table_new(struct event_base *base, struct db_table **ret);
void db_table_free(struct db_table *t);
size_t db_table_size(const struct db_table *t);
/* What a write changed: old and new trees, owned by the caller (NULL: absent). */
struct db_diff {
	struct json_object *old_value, *new_value;
};
/* 1 when the value changed, 0 when not, -EINVAL when `text` is no JSON object (the old one stays;
 * message), -ENOMEM. */
int db_table_put(struct db_table *t, const char *key, const char *text, size_t len,
		 struct db_diff *ret, struct err *e);
int db_table_del(struct db_table *t, const char *key, struct db_diff *ret);
struct json_object *db_table_get(struct db_table *t, const char *key);
const char *db_table_text(struct db_table *t, const char *key);
int db_table_foreach(struct db_table *t, const char *prefix,
		     int (*fn)(const char *key, struct json_object *value, void *arg), void *arg);
/* All, as they stand. `fn` must not change the table. */
void db_table_foreach_text(const struct db_table *t,
			   void (*fn)(const char *key, const char *text, void *arg), void *arg);

/*
 * Sweeping: mark all below a prefix, put what still is, then ask for what was neither put nor
 * deleted since. `fn` may change the table.
 */
void db_table_mark(struct db_table *t, const char *prefix);
void db_table_foreach_marked(struct db_table *t, const char *prefix,
			     void (*fn)(const char *key, void *arg), void *arg);
bool db_table_any_marked(const struct db_table *t, const char *prefix);
/* Lost with etcd's data, and kept until its owner writes it again. */
void db_table_set_lost(struct db_table *t, const char *key);
size_t db_table_lost(const struct db_table *t);
void db_table_foreach_lost(struct db_table *t, const char *prefix,
			   void (*fn)(const char *key, void *arg), void *arg);

/* ---- publish.c: keys that we keep in etcd ---- */

int db_publisher_new(struct db *db, struct db_publisher **ret);
void db_publisher_free(struct db_publisher *p);
int db_publisher_put(struct db_publisher *p, const char *key, const char *value);
void db_publisher_del(struct db_publisher *p, const char *key);
/* etcd is (back) there: write what it does not have. `all`: also what we believe it has. */
void db_publisher_push(struct db_publisher *p, bool all);
/* etcd says that `key` is `value` (NULL: gone): write it again if that is not what we published. */
void db_publisher_seen(struct db_publisher *p, const char *key, const char *value, size_t len);
size_t db_publisher_pending(const struct db_publisher *p);

/* ---- local.c ---- */

int db_local_open(struct db *db, struct err *e);
/*
 * What is stored in between becomes one write. False: it does not (there is one under way), and
 * db_local_end() does nothing. A batch fails as a whole, when there is no room for one of its
 * writes: then all that is known is stored anew, key by key, so that what fits is there, and from
 * then on there are no batches.
 */
bool db_local_begin(struct db *db);
void db_local_end(struct db *db, bool begun);
/* Mirror of what etcd said; best effort, logged once a second when it fails: then the mirror lacks
 * keys or has old ones, until an agent starts with etcd there and room. */
void db_local_store(struct db *db, const char *key, const char *value);
void db_local_store_meta(struct db *db);
int db_local_load(struct db *db);
