/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sentences about what is wrong with one object, for its owner: each names the field and quotes the
 * value. The first few are kept, the rest is counted, so that a hostile object can't fill memory.
 */
#include "lib/base/err.h"

#define PROBLEMS_MAX 8

struct problems {
	char *v[PROBLEMS_MAX];
	size_t n, more;
};

void problems_add(struct problems *p, const char *fmt, ...) _printf_(2, 3);
void problems_clear(struct problems *p);
/* Different for different problems; 0 for none. */
uint64_t problems_hash(const struct problems *p, uint64_t seed);
