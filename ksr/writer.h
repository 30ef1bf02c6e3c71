/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keeps etcd in step with a table, while it may: follows /netloom/k8s/, writes what differs in
 * fenced transactions of up to 100 keys, one under way at a time, and acknowledges each complete
 * list of the source, and each recovery of etcd's data, with /netloom/ksr/synced/<resource> once
 * all of the resource stands. What others change below the prefix is put right.
 */
#include "ksr/fence.h"
#include "ksr/table.h"

struct writer_ops {
	/* Someone else's fence stands in etcd, or none (`text` NULL: lost data). Nothing is written
	 * until writer_fence() gives a new one. */
	void (*on_fenced)(const char *text, void *arg);
	void (*on_refused)(const char *key, const char *error, void *arg);
	/* Writing or reading etcd fails; retried. */
	void (*on_trouble)(const char *error, void *arg);
	/* A resource is reflected whole. */
	void (*on_synced)(enum kind kind, void *arg);
};

struct writer_stats {
	uint64_t puts, deletes, errors, etcd_syncs;
	uint64_t synced_ms[KIND_COUNT]; /* clock_ms() of the last acknowledgement, 0 = never */
};

struct writer;
int writer_new(struct event_base *base, struct store *s, struct table *t,
	       const struct writer_ops *ops, void *arg, struct writer **ret);
void writer_free(struct writer *w); /* accepts NULL */
/* Starts, or goes on with another fence. */
int writer_fence(struct writer *w, const struct fence_value *fence);
/* Stops at once; what is under way may still happen in etcd as long as the fence holds. */
void writer_stop(struct writer *w);
/* The table has changed: write soon, once for many calls. */
void writer_kick(struct writer *w);
/* etcd has been read, and every listed resource acknowledged. */
bool writer_in_step(const struct writer *w, enum kind kind);
const struct writer_stats *writer_stats(const struct writer *w);
