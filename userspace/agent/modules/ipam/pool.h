/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Addresses of this node's pod CIDRs, given out and taken back; knows neither the agent nor the
 * clock (callers pass milliseconds of a clock that never goes back).
 *
 * One range a family. Inside of a range an address is its index, at most POOL_SLOTS of them, kept
 * in a bitmap: an IPv6 /64 is used from its beginning, as densely as an IPv4 block. An owner holds
 * at most one address of each family, and either gets all that the ranges call for or none.
 */
#include "agent/modules/ipam/ipam.h"

#define POOL_SLOTS 65536u

struct pool;

struct pool_entry {
	const char *owner; /* NULL: resting */
	struct pod_ips ips;
	uint64_t until_ms; /* resting */
	bool foreign;	   /* an address lies outside of the present ranges */
};

struct pool_stats {
	bool present;
	struct prefix range;
	uint32_t capacity, used, resting; /* used: resting ones included */
};

int pool_new(struct pool **ret);
void pool_free(struct pool *p);
DEFINE_FREEP(struct pool, pool_free)

/* New ranges, at most one per family. Who holds an address keeps it. -EINVAL: too small, or two of
 * one family. */
int pool_set_ranges(struct pool *p, const struct prefix *ranges, size_t n, struct err *e);
/* As ipam_alloc(). -EEXIST: the owner has addresses. */
int pool_alloc(struct pool *p, const char *owner, struct pod_ips *ret, struct err *e);
/* As ipam_reserve(). The same addresses for the same owner again are fine. A resting address is
 * taken out of its rest. */
int pool_reserve(struct pool *p, const char *owner, const struct pod_ips *ips, struct err *e);
/* `until_ms` 0: free at once. The addresses that rested are in *ret (may be NULL). -ENOENT: no such
 * owner. */
int pool_release(struct pool *p, const char *owner, uint64_t until_ms, struct pod_ips *ret);
/* Lets addresses rest that nobody holds (known from before a restart). -EADDRINUSE. */
int pool_rest(struct pool *p, const struct pod_ips *ips, uint64_t until_ms);
/* Frees what has rested; fn is told of each. Returns the time of the next one, 0 when none rests.
 */
uint64_t pool_expire(struct pool *p, uint64_t now_ms,
		     void (*fn)(const struct pod_ips *ips, void *arg), void *arg);
const struct pool_entry *pool_find(const struct pool *p, const char *owner);
void pool_foreach(const struct pool *p, void (*fn)(const struct pool_entry *entry, void *arg),
		  void *arg);
void pool_stats(const struct pool *p, bool v4, struct pool_stats *ret);
/* 0, or -ENOSPC / -EAGAIN with the sentence that an allocation would fail with. */
int pool_room(const struct pool *p, struct err *e);
