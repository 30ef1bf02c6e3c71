/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The scheduler owns what the node shall look like (desired items) and makes it so.
 *
 * An item is a key "<descriptor>/<name>" and a value, opaque to the scheduler. The descriptor that
 * the key names knows how to create, update, delete and dump such items, and which other keys an
 * item depends on. An item whose dependency is absent or failed waits as pending, and is created as
 * soon as the dependency is there; before an item goes, the items that depend on it go first (and
 * become pending if they are still desired).
 *
 * A failed create, update or delete is retried with exponential backoff (1 s … 30 s), unless the
 * transaction asks for a revert: then everything that this transaction did is undone in reverse
 * order, and scheduler_commit() returns the first error.
 *
 * A resync compares desired with dumped state and touches only what differs. Items that a
 * descriptor dumps and nobody desires are deleted.
 *
 * Everything runs on the loop's thread. Descriptor operations are synchronous and short (netlink
 * and map writes: micro- to milliseconds).
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "lib/base/err.h"

struct scheduler;
struct txn;

struct dep_list; /* filled by descriptor->depends */
int dep_add(struct dep_list *deps, const char *fmt, ...) _printf_(2, 3); /* a full key */

struct dump_list; /* filled by descriptor->dump */
/* Takes ownership of `value`, also on failure. `name` is copied. */
int dump_add(struct dump_list *dump, const char *name, void *value);

struct descriptor {
	const char *name; /* no '/' */
	/* Applied in this order within one resync or transaction when no dependency says otherwise:
	 * lower first. */
	int order;
	/* Optional callbacks are marked. `ctx` is what scheduler_register() was given. */
	int (*create)(void *ctx, const char *name, const void *value, struct err *e);
	/* Optional; -EOPNOTSUPP (or NULL): delete and create anew, dependants included. */
	int (*update)(void *ctx, const char *name, const void *old_value, const void *new_value,
		      struct err *e);
	/* Deleting what is already gone succeeds. */
	int (*delete)(void *ctx, const char *name, const void *value, struct err *e);
	/* Optional (NULL: what was applied is taken for what is). All that exists and is ours,
	 * desired or not. */
	int (*dump)(void *ctx, struct dump_list *ret, struct err *e);
	/* Optional. */
	void (*depends)(void *ctx, const char *name, const void *value, struct dep_list *ret);
	bool (*equal)(const void *a, const void *b);
	void (*free)(void *value);
	/* For history, REST and CLI. A new object, or NULL. */
	struct json_object *(*describe)(const char *name, const void *value);
};

int scheduler_new(struct event_base *base, struct scheduler **ret);
void scheduler_free(struct scheduler *s); /* leaves the node as it is */
int scheduler_register(struct scheduler *s, const struct descriptor *d, void *ctx);

/* ---- transactions ---- */

enum txn_mode {
	TXN_BEST_EFFORT,       /* go on after a failure, retry failed items in the background */
	TXN_REVERT_ON_FAILURE, /* all or nothing; an item that would have to wait fails it too
				  (-EAGAIN) */
};

int txn_new(struct scheduler *s, struct txn **ret);
void txn_free(struct txn *t);
/* Takes ownership of `value` (freed with the descriptor's free), also on failure. -ENOENT: no such
 * descriptor. */
int txn_put(struct txn *t, void *value, const char *fmt, ...) _printf_(3, 4);
int txn_delete(struct txn *t, const char *fmt, ...) _printf_(2, 3);
size_t txn_size(const struct txn *t);
/* For scheduler_resync(): somebody failed to put all that shall be, so what is not in the
 * transaction stays as it is. */
void txn_mark_partial(struct txn *t);

/* After a revert, `failed` are those that could not be taken back; they are retried. */
struct txn_stats {
	unsigned int created, updated, deleted, pending, failed, unchanged, reverted;
};

/* Applies an update. Consumes nothing: the caller frees `t`. */
int scheduler_commit(struct scheduler *s, struct txn *t, enum txn_mode mode, struct txn_stats *ret,
		     struct err *e);
/*
 * The transaction is the whole desired state: what is desired and not in it goes. Dumps every
 * descriptor, adopts what is already right, and changes the rest. Never reverts.
 */
int scheduler_resync(struct scheduler *s, struct txn *t, struct txn_stats *ret, struct err *e);
/* Downstream: compares the desired state that is held with what dump says, and heals. */
int scheduler_verify(struct scheduler *s, struct txn_stats *ret, struct err *e);

/* ---- looking ---- */

enum item_state { ITEM_APPLIED, ITEM_PENDING, ITEM_FAILED, ITEM_DELETING };
struct item_view {
	const char *key;
	const void *value;
	enum item_state state;
	const char *error;     /* ITEM_FAILED */
	const char *waits_for; /* ITEM_PENDING: first absent key */
	const struct descriptor *descriptor;
};
/* Items whose key starts with `prefix`, sorted; stops when fn returns non-zero and returns that. */
int scheduler_foreach(struct scheduler *s, const char *prefix,
		      int (*fn)(const struct item_view *item, void *arg), void *arg);
/* Value as applied, borrowed until the next commit; NULL when not applied. */
const void *scheduler_applied(struct scheduler *s, const char *fmt, ...) _printf_(2, 3);
void scheduler_totals(struct scheduler *s,
		      struct txn_stats *ret); /* since start; pending/failed: now */
