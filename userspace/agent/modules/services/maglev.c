// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/maglev.h"

#include <errno.h>

#include "lib/base/util.h"

static const uint32_t primes[] = { 101,	    211,     409,     809,	1613,	  3221,	   6449,
				   12899,   25801,   51599,   103183,	206369,	  412739,  825479,
				   1650983, 3301919, 6603869, 13207721, 26415401, 52830829 };

uint32_t maglev_size(size_t n, uint32_t per_backend)
{
	uint64_t want = (uint64_t)n * per_backend;

	if (n < 2)
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(primes); i++)
		if (primes[i] >= want && primes[i] >= n)
			return primes[i];
	return primes[ARRAY_SIZE(primes) - 1];
}

/* splitmix64's finalizer. */
static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
	v = (v ^ v >> 27) * 0x94d049bb133111ebu;
	return v ^ v >> 31;
}

int maglev_fill(const uint64_t *names, size_t n, uint32_t size, uint32_t *ret)
{
	_cleanup_(freep) uint32_t *next = calloc(n, sizeof(*next));
	_cleanup_(freep) uint32_t *skip = calloc(n, sizeof(*skip));
	uint32_t filled = 0;

	if (!next || !skip)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		next[i] = mix(names[i]) % size;
		skip[i] = size > 1 ? mix(names[i] + 0x9e3779b97f4a7c15u) % (size - 1) + 1 : 1;
	}
	for (uint32_t s = 0; s < size; s++)
		ret[s] = UINT32_MAX;
	while (filled < size)
		for (size_t i = 0; i < n && filled < size; i++) {
			while (ret[next[i]] != UINT32_MAX)
				next[i] = ((uint64_t)next[i] + skip[i]) % size;
			ret[next[i]] = i;
			filled++;
		}
	return 0;
}
