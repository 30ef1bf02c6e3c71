/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Tables of one side, in their regions of loom_lut. */
#include "agent/modules/services/private.h"

/*
 * side->tables become what `w` says. A table of the same size stays where it is, a smaller one too;
 * a larger one gets new slots. What nobody needs once the frontends are written is in freed[].
 * numbers[i]: that of w->v[i], 0 when it has none. When the map is full a table gets coarser, or
 * shorter, which is a problem of the service; it never names a backend that is not the service's.
 */
void tables_set(struct services *s, struct side *side, const struct wants *w,
		const uint32_t *numbers, struct region freed[N_TABLES]);
