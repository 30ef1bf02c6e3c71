/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* loom_build: one pinned entry that says what the pinned programs were loaded from. */
#include "agent/modules/datapath/image.h"

#define BUILD_MAP "loom_build"

enum build_phase { BUILD_NONE, BUILD_STABLE, BUILD_SWAPPING };

struct build_record {
	uint16_t phase;	  /* enum build_phase */
	uint16_t refused; /* 1 << i: the kernel did not take object i */
	struct fingerprint print;
};

/* BUILD_NONE when there is no record. */
int build_read(const char *dir, struct build_record *ret, struct err *e);
int build_write(const char *dir, const struct build_record *b, struct err *e);
