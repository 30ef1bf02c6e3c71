/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Numbers of local endpoints, 1 to LOOM_MAX_EPS - 1, lowest free first; 0 is "none". */
#include "lib/base/util.h"
#include "shared/loom_limits.h"

struct epnum {
	uint64_t taken[LOOM_MAX_EPS / 64];
};

void epnum_init(struct epnum *n);
uint32_t epnum_alloc(struct epnum *n); /* 0: all are taken */
void epnum_reserve(struct epnum *n, uint32_t ep);
void epnum_release(struct epnum *n, uint32_t ep);
unsigned int epnum_count(const struct epnum *n);
bool epnum_taken(const struct epnum *n, uint32_t ep);
/* The number's per-CPU counters back to zero. 0 or negative errno. */
int epnum_clear_stats(int epstats_fd, uint32_t ep);
