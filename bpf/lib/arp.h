/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * ARP of pods: their neighbours are static, so a request is a pod's tool or a lost entry. A request
 * for the gateway (169.254.1.1) is answered with the MAC of the host's end; nothing else is.
 */
#include "bpf/lib/account.h"

/* Ethernet and ARP header of IPv4 over Ethernet, as one (RFC 826). */
struct arp_frame {
	__u8 dst[6];
	__u8 src[6];
	__be16 ethertype;
	__be16 htype;
	__be16 ptype;
	__u8 hlen;
	__u8 plen;
	__be16 op;
	__u8 sha[6];
	__u8 spa[4];
	__u8 tha[6];
	__u8 tpa[4];
} __attribute__((packed, aligned(2)));

/* 0 with a verdict, or a negative reason. */
plat_fn int arp_from_pod(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ifcfg *cfg;
	struct arp_frame f;
	__be32 spa, tpa;
	__u32 ifindex;

	if (!p)
		return -LOOM_DROP_HELPER;
	ifindex = p->ifindex;
	cfg = plat_lookup(&loom_ifcfg, &ifindex);
	if (!cfg)
		return -LOOM_DROP_NO_ENDPOINT;
	if (plat_load(ctx, 0, &f, sizeof(f)))
		return -LOOM_DROP_SHORT;
	if (f.htype != plat_htons(1) || f.ptype != plat_htons(ETH_P_IP) || f.hlen != 6 ||
	    f.plen != 4)
		return -LOOM_DROP_MALFORMED;
	if (!(cfg->flags & LOOM_IF_NO_SPOOF_CHECK)) {
		if (!mac_eq(f.src, cfg->mac) || !mac_eq(f.sha, cfg->mac))
			return -LOOM_DROP_SPOOF_MAC;
		plat_copy(&spa, f.spa, 4);
		if (spa && spa != cfg->ip4)
			return -LOOM_DROP_SPOOF_IP;
	}
	plat_copy(&tpa, f.tpa, 4);
	if (f.op != plat_htons(1) || tpa != plat_htonl(ADDR_GATEWAY4)) {
		p->flags |= PKT_QUIET;
		return -LOOM_DROP_LINK_LOCAL;
	}
	f.op = plat_htons(2);
	plat_copy(f.dst, f.sha, 6);
	plat_copy(f.tha, f.sha, 6);
	plat_copy(f.tpa, f.spa, 4);
	plat_copy(f.src, cfg->hmac, 6);
	plat_copy(f.sha, cfg->hmac, 6);
	plat_copy(f.spa, &tpa, 4);
	if (plat_store(ctx, 0, &f, sizeof(f)))
		return -LOOM_DROP_HELPER;
	p->v_kind = VERDICT_REDIRECT;
	p->v_ifindex = p->ifindex;
	account_forward(ctx, p);
	return 0;
}
