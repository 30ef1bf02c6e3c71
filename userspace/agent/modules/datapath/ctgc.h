/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Conntrack's collector: runs the program loom_ct_gc inside the kernel (docs/decisions/0003), at
 * once when the table fills, seldom when it is idle, and raises an alarm while it is nearly full.
 */
#include <event2/event.h>

#include "lib/base/err.h"
#include "shared/loom_maps.h"

struct ctgc_config {
	struct event_base *base; /* NULL: no timer, for tests and for one run by hand */
	int prog_fd, state_fd;	 /* borrowed */
	uint32_t capacity, new_capacity;
	uint32_t interval_ms; /* conntrack.gcInterval */
};

struct ctgc_stats {
	uint64_t runs, failed_runs, removed, new_removed, run_ns;
	uint32_t entries, new_entries; /* after the last run */
	uint32_t by_proto[4];	       /* tcp, udp, icmp, other; of the last run */
	uint64_t full_total;	       /* loom_state.ct_full_total */
	uint32_t next_ms;	       /* till the next run */
	bool alarm; /* above 95 % full, or flows did not fit since the run before */
};

struct ctgc;
/* The first run is after interval_ms. */
int ctgc_new(const struct ctgc_config *c, struct ctgc **ret);
void ctgc_free(struct ctgc *g); /* accepts NULL */
const struct ctgc_stats *ctgc_stats(const struct ctgc *g);
/* Runs now. */
int ctgc_run(struct ctgc *g, struct err *e);
/* Removes what concerns an address; the number of entries, or negative errno. */
int ctgc_forget(struct ctgc *g, uint32_t scope, const union loom_addr *addr, struct err *e);

/* LOOM_GC_SERVICES: ends the flows that services no longer have. How many were removed or marked,
 * or negative errno. */
int ctgc_end_services(struct ctgc *g, struct err *e);

/*
 * Delay to the next run: four times the interval while less than 1 % is in use, a quarter from 80 %
 * on or when a run found more than half of the table idle, 1 s from 95 % on; never under 1 s (or
 * the interval, when that is shorter).
 */
uint32_t ctgc_delay_ms(uint32_t interval_ms, uint32_t capacity, uint32_t entries, uint32_t removed);
