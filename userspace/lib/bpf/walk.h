/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading a whole BPF map: in batches where the kernel has them for the map's type, else key by
 * key. Entries that come or go meanwhile may be missed or seen twice, as the kernel's iteration
 * has it; nothing is locked and nothing is changed.
 */
#include <linux/bpf.h>

#include "lib/base/err.h"

struct map_shape {
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size, value_size, max_entries, flags;
	uint32_t id, btf_id, btf_key_type, btf_value_type;
};
int map_shape(int map_fd, struct map_shape *ret);
bool map_is_array(const struct map_shape *s);
bool map_is_percpu(const struct map_shape *s);
/* Bytes of one value as userspace sees it: per-CPU maps have one, rounded up to 8, for each
 * possible CPU. */
size_t map_user_value_size(const struct map_shape *s);

/* `value` is one per CPU in per-CPU maps. Both are valid until fn returns; non-zero stops and is
 * returned. */
typedef int (*map_entry_fn)(const void *key, const void *value, void *arg);
int map_walk(int map_fd, map_entry_fn fn, void *arg);
/* Entries in the map; arrays: those that are not all zero. Negative errno. */
int map_count(int map_fd);
/* Sums a per-CPU value that consists of 64-bit counters into ret (value_size bytes). */
void map_percpu_sum(const void *values, size_t value_size, void *ret);
/* All bytes zero: an array's entry that nobody has written. */
bool map_value_is_zero(const void *value, size_t len);
