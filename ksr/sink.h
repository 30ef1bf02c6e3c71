/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Brings etcd in step with the table, while this replica leads.
 *
 *   claim    /netloom/ksr/leader gets our name and the next epoch, if it is as we last saw it
 *   compare  everything below /netloom/k8s/ is read once and compared: mark and sweep
 *   write    what differs, in batches; then /netloom/ksr/synced/<resource> for each resource
 *            that is now reflected whole
 *
 * Every write is fenced: it happens only while the leader key stands as our claim left it, so a
 * replica that was replaced without noticing cannot write. The leader key is followed: when etcd
 * comes back, was restored or has lost its data, everything is compared anew; the same is done
 * every ten minutes. A failed write is tried again after 0.5 s to 30 s, compared first.
 *
 * Single-threaded, on the loop. The table and the store must outlive the sink.
 */
#include <event2/event.h>

#include "ksr/table.h"
#include "lib/store/store.h"

struct sink_ops {
	/* Another replica has claimed; this one has stopped writing, as after sink_lead(false). */
	void (*on_fenced)(const char *holder, void *arg);
};

struct sink_stats {
	uint64_t puts, deletes, failures, compares, claims;
	int64_t epoch;	    /* of our claim, else of the leader's that was last seen */
	const char *holder; /* of the leader key, "" when there is none; borrowed */
	bool claimed;
	bool in_step; /* claimed, compared, and nothing is left to write */
};

struct sink;
int sink_new(struct event_base *base, struct store *store, struct table *table,
	     const char *identity, const struct sink_ops *ops, void *arg, struct sink **ret);
void sink_free(struct sink *s);
/* Leads or stands by. Standing by, nothing is written. */
void sink_lead(struct sink *s, bool lead);
struct sink_stats sink_stats(const struct sink *s);
