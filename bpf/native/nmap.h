/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * A map for the native build of the data plane, with the kernel's semantics: values are looked up
 * by pointer and written in place. The default ops keep tables in memory; others may sit behind the
 * same struct (a node's live maps, say). Not thread-safe.
 */
#include <linux/types.h>
#include <stddef.h>

struct nmap;

struct nmap_ops {
	void *(*lookup)(struct nmap *m, const void *key); /* NULL when absent */
	int (*update)(struct nmap *m, const void *key, const void *value, __u64 flags);
	int (*delete)(struct nmap *m, const void *key);
	void (*clear)(struct nmap *m);
};

struct nmap {
	const char *name;
	const struct nmap_ops *ops;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 count;
	void *priv; /* of the ops */
};

/* u32 index -> value, zeroed; no deletion. An empty array costs nothing until its first use. */
extern const struct nmap_ops nmap_array;
/* Any key. Full: -E2BIG, as the kernel says. */
extern const struct nmap_ops nmap_hash;
/* The same, but the oldest entry goes when it is full. */
extern const struct nmap_ops nmap_lru;
/* Key: u32 prefix length, then data; the longest match is looked up. */
extern const struct nmap_ops nmap_lpm;

void *nmap_lookup(struct nmap *m, const void *key);
/* 0, -EEXIST (BPF_NOEXIST), -ENOENT (BPF_EXIST), -E2BIG, -ENOMEM. */
int nmap_update(struct nmap *m, const void *key, const void *value, __u64 flags);
/* 0 or -ENOENT. */
int nmap_delete(struct nmap *m, const void *key);
/* Frees all that the map holds; it can be used again. */
void nmap_clear(struct nmap *m);
/* Calls fn for each entry of a hash, in insertion order. fn may delete that entry. */
void nmap_each(struct nmap *m, void (*fn)(const void *key, void *value, void *arg), void *arg);
