/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Native runs over somebody else's maps, which stay as they are: what the core reads is fetched
 * once and kept, what it writes changes the kept copy only. So a packet can be sent through a
 * node's live maps without anybody noticing, and what was looked up on its way, in order, tells
 * afterwards why it went there.
 *
 *	struct overlay o = { .fetch = fetch, .arg = maps };
 *	overlay_begin(&o);
 *	native_run(&ctx, hook);
 *	... o.seen[0 .. o.n_seen - 1] ...
 *	overlay_end(&o);
 *
 * Between begin and end all native maps are the overlay's, but for the counters (loom_metrics,
 * loom_epstats, loom_evlimit): they are tables in memory, empty at the start, and not recorded. The
 * collector (native_gc) knows nothing of overlays. One at a time: the maps are globals.
 */
#include <stdbool.h>

#include "bpf/native/nmap.h"

/* Key and value stay where they are until overlay_end(); the core may have written to the value. */
struct overlay_lookup {
	const struct nmap *map;
	const void *key;
	void *value; /* NULL: there was no such entry */
};

struct overlay {
	/* The entry as it is out there. 0, -ENOENT, or another negative errno, which ends up in
	 * `error`; the core sees no entry then. */
	int (*fetch)(void *arg, const struct nmap *map, const void *key, void *ret_value);
	void *arg;
	bool quiet; /* lookups are not recorded */
	struct overlay_lookup *seen;
	size_t n_seen, room;
	int error; /* the first one; 0 while all went well */
};

void overlay_begin(struct overlay *o);
/* Frees what was kept and recorded; native maps are again what they were. */
void overlay_end(struct overlay *o);
