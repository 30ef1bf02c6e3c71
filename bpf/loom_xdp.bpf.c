// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * XDP on the uplink: one program, which does the plain part of what loom_tc does for services and
 * passes all else on to it (bpf/lib/xdp.h). "frags": it also attaches where the link's MTU asks for
 * packets in several pieces (5.18), of which only the first is ever touched.
 */
#define PLAT_XDP
#include "bpf/lib/xdp.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile struct loom_config loom_cfg = LOOM_CONFIG_DEFAULT;

SEC("xdp.frags")
int loom_xdp_uplink(struct xdp_md *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	int ret = p ? hook_xdp(ctx, p) : 0;

	return ret > 0 ? XDP_TX : ret < 0 ? XDP_DROP : XDP_PASS;
}
