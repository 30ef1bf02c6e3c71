/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the compiler writes to: the maps of shared/loom_pol.h behind five functions, so that the
 * agent writes the kernel's and tests write native ones. All return 0 or a negative errno.
 */
#include <stdint.h>

#include "shared/loom_maps.h"

enum polmap { POLMAP_EPOL, POLMAP_IDENT, POLMAP_CLASS, POLMAP_POL, POLMAP_RULE, POLMAPS };

struct polmaps_ops {
	int (*update)(void *arg, enum polmap map, const void *key, const void *value);
	/* Deleting what is not there succeeds. */
	int (*remove)(void *arg, enum polmap map, const void *key);
	/* -ENOENT: there is no such entry. */
	int (*lookup)(void *arg, enum polmap map, const void *key, void *ret_value);
	/* Every key of a hash or trie; fn removes nothing. Stops when fn returns non-zero, and
	 * returns that. */
	int (*each)(void *arg, enum polmap map, int (*fn)(const void *key, void *ctx), void *ctx);
	/* Live flows are judged again. */
	int (*bump)(void *arg);
};

struct polmaps {
	const struct polmaps_ops *ops;
	void *arg;
	/* How many there may be; of sets the map has twice as many. */
	uint32_t max_sets, max_rules, max_classes, max_idents, max_eps;
	uint64_t writes;
	int failed; /* the first error since it was last cleared */
};

/* Counted, and noted when it fails. */
int polmaps_put(struct polmaps *m, enum polmap map, const void *key, const void *value);
int polmaps_del(struct polmaps *m, enum polmap map, const void *key);
int polmaps_bump(struct polmaps *m);
