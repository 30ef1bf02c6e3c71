/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* The maps of the socket family. All but the last two are the tc family's: the loader shares them
 * by name, and sets their sizes. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shared/loom_config.h"
#include "shared/loom_maps.h"

#define SOCK_MAP(map_name, map_type, max, map_fl, key_type, value_type) \
	struct {                                                        \
		__uint(type, map_type);                                 \
		__uint(max_entries, max);                               \
		__uint(map_flags, map_fl);                              \
		__type(key, key_type);                                  \
		__type(value, value_type);                              \
	} map_name SEC(".maps")

SOCK_MAP(loom_state, BPF_MAP_TYPE_ARRAY, 1, 0, __u32, struct loom_state);
SOCK_MAP(loom_ep, BPF_MAP_TYPE_HASH, 8192, 0, struct loom_ipkey, struct loom_ep);
SOCK_MAP(loom_ip, BPF_MAP_TYPE_HASH, 65536, 0, struct loom_ipkey, struct loom_remote);
SOCK_MAP(loom_svc, BPF_MAP_TYPE_HASH, LOOM_DEFAULT_FRONTENDS, 0, struct loom_svckey,
	 struct loom_svc);
SOCK_MAP(loom_lut, BPF_MAP_TYPE_ARRAY, LOOM_DEFAULT_SLOTS, BPF_F_MMAPABLE, __u32, __u32);
SOCK_MAP(loom_backend, BPF_MAP_TYPE_ARRAY, LOOM_DEFAULT_BACKENDS, 0, __u32, struct loom_backend);
SOCK_MAP(loom_srcrange, BPF_MAP_TYPE_LPM_TRIE, 32768, BPF_F_NO_PREALLOC, struct loom_srckey, __u32);
SOCK_MAP(loom_aff, BPF_MAP_TYPE_LRU_HASH, LOOM_DEFAULT_AFFINITY, 0, struct loom_affkey,
	 struct loom_aff);
SOCK_MAP(loom_sockrev, BPF_MAP_TYPE_LRU_HASH, LOOM_DEFAULT_AFFINITY, 0, struct loom_sockkey,
	 struct loom_sockrev);
/* Backend of an unconnected UDP socket; the key's address is the frontend. */
SOCK_MAP(loom_sockfwd, BPF_MAP_TYPE_LRU_HASH, LOOM_DEFAULT_AFFINITY, 0, struct loom_sockkey,
	 struct loom_aff);

const volatile struct loom_config loom_cfg = LOOM_CONFIG_DEFAULT;
