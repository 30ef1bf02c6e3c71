/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who holds what: ids, pod CIDRs and addresses of nodes. What is held does not overlap with
 * anything else that is held, so each kind stands in one ordered tree, and looking, taking and
 * dropping take O(log n). Holders are the caller's: borrowed, never touched.
 */
#include "lib/base/addr.h"

enum held { HELD_ID, HELD_CIDR, HELD_ADDR, HELD_KINDS };

/* Zeroed: nothing is held. */
struct holders {
	void *trees[HELD_KINDS]; /* tsearch(3) */
};

/* How ids and addresses are named below. */
struct prefix held_id(uint32_t id);
struct prefix held_addr(const union loom_addr *addr);

void holders_fini(struct holders *h);
/* A holder of something that overlaps with `what`; NULL: it is free. */
void *holders_find(const struct holders *h, enum held kind, const struct prefix *what);
/* Only what is free. 0 or -ENOMEM. */
int holders_take(struct holders *h, enum held kind, const struct prefix *what, void *holder);
/* Exactly what was taken. */
void holders_drop(struct holders *h, enum held kind, const struct prefix *what);
