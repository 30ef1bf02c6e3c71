/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The rules of one set on their way to loom_polrule: collected in any order, then sorted, and freed
 * of those that can never be the one that decides. What is left gives every flow the same answer,
 * and where there are few of them, names the same rule.
 */
#include <stddef.h>

#include "shared/loom_pol.h"

struct wide;

struct rules {
	struct loom_polrule *v;
	size_t n, room;
	struct wide *wide; /* ports of the np tier, once there are more of them than a list is good
			      for */
};

/* 0 or -ENOMEM. */
int rules_add(struct rules *r, const struct loom_polrule *rule);
/* The same, unless the one that was added last makes it needless. */
int rules_add_new(struct rules *r, const struct loom_polrule *rule);
void rules_drop_tier(struct rules *r, unsigned int tier);
/* 0; -E2BIG: more than LOOM_POLSET_MAX are left. */
int rules_settle(struct rules *r);
void rules_fini(struct rules *r);
