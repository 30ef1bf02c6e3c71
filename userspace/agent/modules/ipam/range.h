/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One family's range of a pool: a bitmap of indexes with a cursor. Not for others. */
#include "lib/base/addr.h"

struct range {
	struct prefix prefix;
	uint32_t slots; /* 0: the family is not used */
	uint32_t first; /* lowest index that is given out */
	uint32_t cursor, used, resting;
	uint64_t *bits;
};

/* -EINVAL: nothing is left to give. */
int range_init(struct range *r, const struct prefix *prefix, struct err *e);
void range_fini(struct range *r);
uint32_t range_capacity(const struct range *r);
/* Index of an address that the range gives out; -ERANGE for any other. */
int range_index(const struct range *r, const union loom_addr *addr, uint32_t *ret);
/* Takes the next free one. -ENOSPC. */
int range_next(struct range *r, union loom_addr *ret);
/* false: taken already, or none of ours. */
bool range_take(struct range *r, const union loom_addr *addr);
void range_give_back(struct range *r, const union loom_addr *addr);
bool range_holds(const struct range *r, const union loom_addr *addr);
