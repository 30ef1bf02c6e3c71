// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/epnum.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "lib/bpf/walk.h"

void epnum_init(struct epnum *n)
{
	memset(n, 0, sizeof(*n));
	n->taken[0] = 1;
}

uint32_t epnum_alloc(struct epnum *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(n->taken); i++) {
		int bit;

		if (n->taken[i] == UINT64_MAX)
			continue;
		bit = __builtin_ctzll(~n->taken[i]);
		n->taken[i] |= 1ull << bit;
		return i * 64 + bit;
	}
	return 0;
}

void epnum_reserve(struct epnum *n, uint32_t ep)
{
	if (ep < LOOM_MAX_EPS)
		n->taken[ep / 64] |= 1ull << ep % 64;
}

void epnum_release(struct epnum *n, uint32_t ep)
{
	if (ep && ep < LOOM_MAX_EPS)
		n->taken[ep / 64] &= ~(1ull << ep % 64);
}

bool epnum_taken(const struct epnum *n, uint32_t ep)
{
	return ep && ep < LOOM_MAX_EPS && n->taken[ep / 64] & 1ull << ep % 64;
}

unsigned int epnum_count(const struct epnum *n)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < ARRAY_SIZE(n->taken); i++)
		sum += __builtin_popcountll(n->taken[i]);
	return sum - 1;
}

int epnum_clear_stats(int epstats_fd, uint32_t ep)
{
	_cleanup_(freep) void *zeros = NULL;
	struct map_shape shape;
	int err = map_shape(epstats_fd, &shape);

	if (err < 0)
		return err;
	zeros = calloc(1, map_user_value_size(&shape));
	if (!zeros)
		return -ENOMEM;
	return bpf_map_update_elem(epstats_fd, &ep, zeros, BPF_ANY) < 0 ? -errno : 0;
}
