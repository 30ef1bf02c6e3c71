/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which slots of loom_lut are whose: regions of consecutive slots. Sizes are rounded up to a few
 * classes, so that a region that is given back fits the next one of its kind. Pure bookkeeping; who
 * gives back a region sees to it that nothing reads it any more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region {
	uint32_t first, size; /* size 0: none */
};

#define SLOT_CLASSES 64

struct slots {
	uint32_t n, end; /* of the map; behind the last region */
	uint32_t used;	 /* rounded up */
	struct {
		uint32_t *v;
		size_t n, room;
	} idle[SLOT_CLASSES];
};

void slots_init(struct slots *s, uint32_t n);
void slots_fini(struct slots *s);
/* -ENOSPC when no region of that size is left. */
int slots_take(struct slots *s, uint32_t size, struct region *ret);
void slots_give(struct slots *s, const struct region *r);
/*
 * At the start, with what an earlier run has left in use, in any order and as often as it was seen:
 * the rest of the map is free. -EINVAL when they overlap or lie outside: then nothing is in use.
 */
int slots_adopt(struct slots *s, struct region *used, size_t n);
