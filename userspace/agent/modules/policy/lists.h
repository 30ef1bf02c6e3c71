/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Lists of rules, and where in loom_polrule each stands. Equal ones are one list, however many sets
 * have it: a policy of 10,000 CIDRs needs one. Counted.
 */
#include <uthash.h>

#include "agent/modules/policy/rules.h"
#include "agent/modules/services/slots.h"

struct list {
	UT_hash_handle hh; /* by content */
	UT_hash_handle by_first;
	uint32_t first, refs;
	uint16_t count;
	bool hashed, fresh; /* fresh: not written yet */
	struct loom_polrule v[];
};

struct lists {
	struct list *all, *firsts;
	struct slots slots;
};

int lists_init(struct lists *l, uint32_t room);
void lists_fini(struct lists *l);
/* Counted; without rules it needs no room. -ENOSPC: no room. -ENOMEM. */
int list_get(struct lists *l, const struct rules *rules, struct list **ret);
/* What an earlier run has left there. The same as list_get() when it is known. -EINVAL: outside of
 * the map, or overlaps with another. */
int list_adopt(struct lists *l, uint32_t first, const struct rules *rules, struct list **ret);
struct list *list_ref(struct list *l);
void list_put(struct lists *l, struct list *list);
