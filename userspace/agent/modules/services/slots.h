/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which slots of loom_lut are whose: regions of consecutive slots. What is free is kept as a sorted
 * list of gaps that grow together; the first gap that is large enough is taken. Pure bookkeeping:
 * who gives back a region sees to it that nothing reads it any more.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct region {
	uint32_t first, size; /* size 0: none */
};

struct slots {
	struct region *gaps; /* by first; no two touch */
	size_t n_gaps, room;
	uint32_t n, used;
};

/* All `n` slots of the map are free. 0 or -ENOMEM. */
int slots_init(struct slots *s, uint32_t n);
void slots_fini(struct slots *s);
/* 0; -ENOSPC when there is no such gap. */
int slots_take(struct slots *s, uint32_t size, struct region *ret);
/* The largest gap's size, for who can do with less. */
uint32_t slots_largest(const struct slots *s);
/* -ENOMEM: the region is lost until the next start. */
int slots_give(struct slots *s, const struct region *r);
/* At the start: what an earlier run has left in use. -EBUSY when part of it is in use already,
 * -EINVAL when it is not in the map. */
int slots_adopt(struct slots *s, const struct region *r);
