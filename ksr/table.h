/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What etcd should hold, by key, and which of it is not there yet. Sources write the one half,
 * the sink reads and settles the other.
 *
 * A source fills a resource whole with table_begin(), table_put() for each object and table_end(),
 * which drops what was not put again (mark and sweep); then it puts and deletes single objects.
 *
 * The sink compares with etcd by table_compare_begin(), one table_compare() for each key that etcd
 * holds, and table_compare_end(). Keys that no source has spoken of are kept until their resource
 * is filled whole, so that an object is never deleted just because its source is slow.
 *
 * Single-threaded. Entries belong to the table, and live until the sink has settled their deletion.
 */
#include <sys/queue.h>
#include <uthash.h>

#include "ksr/resource.h"

struct table_entry {
	char *value;  /* what etcd should hold; NULL: nothing */
	char *stored; /* only while no source has spoken of the key: what etcd holds */
	enum resource_id res;
	bool dirty, compared;
	uint64_t version;    /* of `value` */
	unsigned int filled; /* the fill that it was last seen in */
	TAILQ_ENTRY(table_entry) link;
	UT_hash_handle hh;
	char key[];
};

struct table_state {
	bool synced;	/* filled whole at least once */
	bool unmarked;	/* filled or compared since the mark in etcd was last written */
	bool absent;	/* the server does not have this resource */
	char *revision; /* the source's, of the last fill; heap, NULL at first */
	size_t count;	/* objects */
	size_t dirty;
	uint64_t rejected; /* objects that could not be used, since start */
	uint64_t fills;
};

struct table;
int table_new(struct table **ret);
void table_free(struct table *t);
/* Called after each change that gives the sink work. */
void table_on_work(struct table *t, void (*fn)(void *arg), void *arg);
struct table_state *table_state(struct table *t, enum resource_id res);

/* ---- for sources ---- */

void table_begin(struct table *t, enum resource_id res);
/* Copies; 0 or -ENOMEM. */
int table_put(struct table *t, enum resource_id res, const char *key, const char *value);
/* The object is there, but cannot be used: what was known of it stays. */
void table_keep(struct table *t, const char *key);
void table_delete(struct table *t, const char *key);
/* `sweep_unknown`: also drop keys that etcd holds and this source has never put. */
void table_end(struct table *t, enum resource_id res, const char *revision, bool sweep_unknown);
/* The server does not have (true) or has again (false) this resource. */
void table_absent(struct table *t, enum resource_id res, bool absent);

/* ---- for the sink ---- */

void table_compare_begin(struct table *t);
int table_compare(struct table *t, const char *key, const char *value);
void table_compare_end(struct table *t);

/* The first entry that etcd does not hold as it should, then the next; NULL: no more. */
struct table_entry *table_dirty(struct table *t, struct table_entry *after);
size_t table_n_dirty(const struct table *t);
/* etcd holds `e` as it was at `version`. Frees entries that are gone. */
void table_settle(struct table *t, struct table_entry *e, uint64_t version);
