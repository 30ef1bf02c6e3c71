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
void native_gc(struct loom_gc_args *args);
/* Empties all maps and puts the default configuration back. */
void native_reset(void);
/* All maps, NULL-terminated. */
extern struct nmap *const native_maps[];
/* The map of that name, or NULL. */
struct nmap *native_map(const char *name);
