/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent's view of etcd: follows /netloom/ prefixes that modules care for, keeps the last known
 * state in memory and in a local mirror (LMDB under paths.state), and starts from the mirror when
 * etcd is silent. Also the way to publish keys, which are written as soon as etcd is there and
 * written again if they get lost.
 *
 * Events: db-resync (EVENT_FULL_RESYNC; state replaced as a whole) and db-change (EVENT_UPDATE,
 * best effort; one changed key). No db-change comes before the first db-resync.
 */
#include "agent/core/event.h"

enum db_origin { DB_NONE, DB_MIRROR, DB_ETCD };

struct db_change {
	struct agent_event ev;
	const char *key;
	struct json_object *old_value; /* NULL: was absent */
	struct json_object *new_value; /* NULL: deleted */
};
extern const struct event_type db_change_type, db_resync_type;
/* The event as a db_change, or NULL when it is something else or not below `prefix`. */
const struct db_change *db_change_below(const struct agent_event *ev, const char *prefix);

/* Follows everything below `prefix` too; for modules' init(). -EBUSY after the start. */
int db_follow(struct agent *a, const char *prefix);

/* Where the present state is from. */
enum db_origin db_origin(struct agent *a);
bool db_connected(struct agent *a);
/* Current value, borrowed until the loop turns; NULL when absent. */
struct json_object *db_get(struct agent *a, const char *key);
/* Values are borrowed until fn returns, so that a walk over thousands does not hold them all: take
 * a reference to keep one. fn non-zero stops, and is returned. */
int db_foreach(struct agent *a, const char *prefix,
	       int (*fn)(const char *key, struct json_object *value, void *arg), void *arg);

/*
 * Keeps /netloom/… `key` at `value` in etcd until db_unpublish(), whatever happens to etcd.
 * db_unpublish() deletes it there, also later, when etcd is away now. Values are copied.
 *
 * A key that can pass to another node has "node" and "since" (ms since 1970) in its value: what
 * another node wrote is never deleted, and only replaced by what is newer.
 */
int db_publish(struct agent *a, const char *key, const char *value);
void db_unpublish(struct agent *a, const char *key);

/* The store itself, for transactions (node ids). */
struct store *db_store(struct agent *a);

/*
 * Small durable facts of this node (its id, attachments): key-value tables in the same LMDB file.
 * They survive the agent's death from the moment that a call returns, and the machine's from a
 * second later.
 */
int db_local_put(struct agent *a, const char *table, const char *key, const char *value);
int db_local_del(struct agent *a, const char *table, const char *key);
/* fn must not call db_local_put(), _del() or _foreach(); see mirror_foreach(). */
int db_local_foreach(struct agent *a, const char *table,
		     int (*fn)(const char *key, const char *value, void *arg), void *arg);
