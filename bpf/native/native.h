/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Runs the data plane's core natively: fill the maps with nmap_update(), hand a packet to
 * native_run(), read the verdict from ctx->pkt (v_kind, v_ifindex, v_node) and the packet from
 * ctx->data. The collector walks the native tables just as the kernel's program walks its own.
 */
#include "bpf/lib/plat.h"

/* 0 with a verdict (an ICMP error made for the sender included), or the negative drop reason. */
int native_run(struct plat_ctx *ctx, enum loom_hook hook);

struct native_policy {
	__u32 policy; /* loom_epol's; 0 passes all */
	__u32 scope;
	union loom_addr peer;
	__be16 port; /* of the destination */
	__u8 proto;
};
/* enum policy_verdict of bpf/lib/policy.h: 0 passes, 1 denied, 2 denied, but log only. */
int native_policy(const struct native_policy *ask);

void native_gc(struct loom_gc_args *args);
/* Empties all maps and puts the default configuration back. */
void native_reset(void);
/* All maps, NULL-terminated. */
extern struct nmap *const native_maps[];
/* The map of that name, or NULL. */
struct nmap *native_map(const char *name);
