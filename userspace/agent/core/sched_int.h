/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the scheduler.
 *
 *	scheduler.c     descriptors, looking
 *	sched_item.c    items, their values and how they depend on each other
 *	sched_txn.c     transactions, as modules fill them
 *	sched_pass.c    one pass: from what is applied to what is desired
 *	sched_undo.c    taking a pass back
 *	sched_commit.c  what a transaction, a resync, a retry make of a pass
 *
 * Values are counted references: what is desired, what is applied, and what an undo may need are
 * often the same one. A key that only other items name, as their dependency, is an item too, with
 * neither a desired nor an applied value; it goes when nobody names it any more.
 */
#include <uthash.h>

#include "agent/core/sched_observe.h"
#include "agent/core/scheduler.h"

struct value {
	unsigned int refs;
	const struct descriptor *d;
	void *data; /* NULL is a value as well */
};

struct item_list {
	struct item **v;
	size_t n, size;
};

/* A registered descriptor. */
struct kind {
	struct kind *next; /* by order */
	const struct descriptor *d;
	void *ctx;
	struct item *first_queued, *last_queued;
	struct sched_kind_stats stats;
};

struct item {
	char *key;
	const char *name;  /* in key */
	struct kind *kind; /* NULL: no such descriptor, somebody's dependency all the same */
	struct value *desired, *applied;
	struct item_list deps, dependants;
	struct item *next_queued;
	char *error; /* of the last try, NULL when it succeeded */
	unsigned int backoff_ms;
	uint64_t retry_at_ms;
	bool queued;		  /* in the kind's queue */
	bool deferred;		  /* in the pass's list */
	bool leaving;		  /* being removed, dependants first */
	bool loose;		  /* in the scheduler's list of those that may be dropped */
	bool seen;		  /* dumped, or in the transaction of a resync */
	struct item *prev, *next; /* failed items */
	UT_hash_handle hh;
};

struct scheduler {
	struct event_base *base;
	struct event *timer;
	struct kind *kinds;
	struct item *items, *failed;
	struct item_list loose;
	unsigned int retry_min_ms, retry_max_ms;
	struct txn_stats totals;
	const struct sched_observer *observer;
	void *observer_arg;
};

/* ---- sched_item.c ---- */

int value_new(const struct descriptor *d, void *data, struct value **ret); /* takes data, always */
struct value *value_get(struct value *v);				   /* accepts NULL */
void value_put(struct value *v);					   /* accepts NULL */
/* Replaces *at, taking another reference to `v`. */
void value_set(struct value **at, struct value *v);
bool value_equal(const struct value *a, const struct value *b);

int item_list_add(struct item_list *l, struct item *it);
void item_list_del(struct item_list *l, struct item *it); /* keeps the order */
void item_list_release(struct item_list *l);

struct kind *kind_find(const struct scheduler *s, const char *key, const char **ret_name);
struct item *item_find(const struct scheduler *s, const char *key);
/* Finds or makes. */
int item_get(struct scheduler *s, const char *key, struct item **ret);
/* Desired or not (NULL), with the dependencies that follow from it. */
int item_desire(struct scheduler *s, struct item *it, struct value *v);
/* The first dependency that is not there, or NULL. */
const struct item *item_waits_for(const struct item *it);
enum item_state item_state(const struct item *it);
void item_failed(struct scheduler *s, struct item *it, const char *error);
void item_clear_failure(struct scheduler *s, struct item *it);
/* It may be that nobody knows it any more; looked at by items_sweep(), at the end of a pass. */
void item_maybe_loose(struct scheduler *s, struct item *it);
void items_sweep(struct scheduler *s);
void item_free(struct scheduler *s, struct item *it);

/* ---- sched_txn.c ---- */

struct txn_op {
	struct item *item;    /* while it is committed */
	struct value *value;  /* NULL: delete */
	struct value *before; /* desired before, while it is committed */
	char *key;
	UT_hash_handle hh;
};

struct txn {
	struct scheduler *s;
	struct txn_op *ops;
	bool partial;
};

/* ---- sched_pass.c ---- */

enum done_kind { DONE_CREATE, DONE_UPDATE, DONE_DELETE };

struct done_op {
	enum done_kind kind;
	struct item *item;
	struct value *before, *after;
};

struct pass {
	struct scheduler *s;
	struct txn_stats stats;
	bool keep_journal; /* and stop at the first failure */
	struct done_op *journal;
	size_t n_done, size_done;
	struct item_list deferred;
	int err; /* first failure */
	struct err e;
};

/* Removes each (last one's kind first) after what depends on it. Sorts the list. */
void pass_remove(struct pass *p, struct item_list *leaving);
void pass_queue(struct pass *p, struct item *it);
/* Until the queues are empty, or at the first failure when a journal is kept. */
void pass_run(struct pass *p);
void pass_release(struct pass *p);

/* One operation, told to the observer. */
int sched_create(struct scheduler *s, struct item *it, struct value *v, bool undo, struct err *e);
int sched_update(struct scheduler *s, struct item *it, struct value *v, bool undo, struct err *e);
int sched_delete(struct scheduler *s, struct item *it, bool undo, struct err *e);

/* ---- sched_undo.c ---- */

/* Takes back what the pass did, last first. What can't be taken back is left as a failed item. */
void pass_undo(struct pass *p);

/* ---- sched_commit.c ---- */

void sched_on_timer(evutil_socket_t fd, short what, void *arg);
