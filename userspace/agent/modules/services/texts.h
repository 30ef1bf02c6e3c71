/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Copies of strings that live as long as their object, in few allocations: an EndpointSlice has
 * thousands of small ones. A string that is the same as the one copied before it is not copied
 * again when the caller offers that one.
 */
#include "lib/base/util.h"

struct texts {
	struct texts_block *blocks;
};

/* NULL on out-of-memory. `like` may be NULL. */
const char *texts_add(struct texts *t, const char *s, const char *like);
void texts_clear(struct texts *t);
