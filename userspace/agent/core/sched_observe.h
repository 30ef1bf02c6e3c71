/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the core wants to know of the scheduler beyond what modules need: each operation as it is
 * done, for the history, and figures for metrics. */
#include "agent/core/scheduler.h"

struct sched_op {
	const char *key;
	const char *op; /* "create", "update", "delete" */
	bool undo;	/* takes back what a failed transaction did */
	int err;
	const char *error; /* "" when err is 0 */
};

struct sched_observer {
	void (*on_op)(const struct sched_op *op, void *arg);
	/* Failed items are tried again on a timer's account, not on an event's. */
	void (*on_retry_begin)(void *arg);
	void (*on_retry_end)(const struct txn_stats *stats, void *arg);
};
void scheduler_observe(struct scheduler *s, const struct sched_observer *o, void *arg);
void scheduler_set_retry(struct scheduler *s, unsigned int min_ms, unsigned int max_ms);

struct sched_kind_stats {
	uint64_t created, updated, deleted, failed; /* operations since start */
	size_t items[ITEM_DELETING + 1];	    /* now, by state */
};
/* In the descriptors' order. */
void scheduler_foreach_kind(struct scheduler *s,
			    void (*fn)(const char *descriptor, const struct sched_kind_stats *stats,
				       void *arg),
			    void *arg);
const char *item_state_name(enum item_state state);
