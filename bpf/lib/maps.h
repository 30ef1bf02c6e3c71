/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The maps of the tc family. Names, keys and values are a public interface (shared/loom_maps.h,
 * docs/bpf-maps.md); sizes of the conntrack maps are set by the loader.
 */
#define LOOM_MAP(map_name, map_type, max, key_type, value_type) \
	struct {                                                \
		__uint(type, map_type);                         \
		__uint(max_entries, max);                       \
		__type(key, key_type);                          \
		__type(value, value_type);                      \
	} map_name SEC(".maps")

LOOM_MAP(loom_state, BPF_MAP_TYPE_ARRAY, 1, __u32, struct loom_state);
LOOM_MAP(loom_ifcfg, BPF_MAP_TYPE_ARRAY, LOOM_MAX_IFINDEX, __u32, struct loom_ifcfg);
LOOM_MAP(loom_ep, BPF_MAP_TYPE_HASH, 8192, struct loom_ipkey, struct loom_ep);
LOOM_MAP(loom_ip, BPF_MAP_TYPE_HASH, 65536, struct loom_ipkey, struct loom_remote);
LOOM_MAP(loom_node, BPF_MAP_TYPE_ARRAY, LOOM_MAX_NODES, __u32, struct loom_node);
LOOM_MAP(loom_ct, BPF_MAP_TYPE_HASH, 262144, struct loom_ctkey, struct loom_ct);
LOOM_MAP(loom_ct_new, BPF_MAP_TYPE_LRU_HASH, 65536, struct loom_ctkey, struct loom_ct);
LOOM_MAP(loom_frag, BPF_MAP_TYPE_LRU_HASH, 8192, struct loom_fragkey, struct loom_frag);
LOOM_MAP(loom_metrics, BPF_MAP_TYPE_PERCPU_ARRAY, LOOM_DROP_MAX *LOOM_HOOK_MAX, __u32,
	 struct loom_counter);
LOOM_MAP(loom_epstats, BPF_MAP_TYPE_PERCPU_ARRAY, LOOM_MAX_EPS, __u32, struct loom_epstats);
LOOM_MAP(loom_denied, BPF_MAP_TYPE_LRU_HASH, LOOM_MAX_DENIED, struct loom_deniedkey,
	 struct loom_denied);
LOOM_MAP(loom_evlimit, BPF_MAP_TYPE_PERCPU_ARRAY, 2, __u32, struct loom_evlimit);
LOOM_MAP(loom_svc, BPF_MAP_TYPE_HASH, LOOM_DEFAULT_FRONTENDS, struct loom_svckey, struct loom_svc);
LOOM_MAP(loom_backend, BPF_MAP_TYPE_ARRAY, LOOM_DEFAULT_BACKENDS, __u32, struct loom_backend);
LOOM_MAP(loom_vip, BPF_MAP_TYPE_ARRAY, LOOM_VIP_MAX, __u32, union loom_addr);
LOOM_MAP(loom_ports, BPF_MAP_TYPE_ARRAY, LOOM_PORTS_SETS *LOOM_PORTS_WORDS, __u32, __u64);
LOOM_MAP(loom_aff, BPF_MAP_TYPE_LRU_HASH, LOOM_DEFAULT_AFFINITY, struct loom_affkey,
	 struct loom_aff);
LOOM_MAP(loom_epol, BPF_MAP_TYPE_ARRAY, LOOM_MAX_EPS, __u32, struct loom_epol);
LOOM_MAP(loom_polrule, BPF_MAP_TYPE_ARRAY, LOOM_POL_RULES, __u32, struct loom_polrule);
LOOM_MAP(loom_scratch, BPF_MAP_TYPE_PERCPU_ARRAY, 1, __u32, struct pkt);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct loom_cidrkey);
	__type(value, struct loom_remote);
} loom_cidr SEC(".maps");

/* Of these a node has a few or very many. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LOOM_POL_IDENTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct loom_ipkey);
	__type(value, __u32);
} loom_ident SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * LOOM_POL_SETS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct loom_polkey);
	__type(value, struct loom_polset);
} loom_pol SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LOOM_POL_CLASSES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct loom_cidrkey);
	__type(value, __u32);
} loom_class SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOOM_DEFAULT_SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u32);
} loom_lut SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct loom_srckey);
	__type(value, __u32);
} loom_srcrange SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} loom_events SEC(".maps");
