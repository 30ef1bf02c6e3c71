/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * ICMP errors of our own: hop limit exceeded (traceroute), too big (path MTU discovery), no route.
 * The offending packet is cut to what is quoted, and becomes the error. It goes back to where it
 * came from, with the node's address (or the pods' gateway, when the node has none of that family)
 * as its source. Never for ICMP errors, later fragments or odd senders (RFC 1812 4.3.2.7, RFC 4443
 * 2.4), and at most ICMP_GEN_RATE a second and CPU.
 */
#include "bpf/lib/parse.h"
#include "bpf/lib/route.h"

#define ICMP_GEN_RATE  1000
#define ICMP_GEN_BURST 100
#define ICMP_GEN_QUOTE 112 /* bytes of the packet quoted at most; a multiple of 4 */

struct icmp_gen {
	__u8 type;
	__u8 code;
	__u16 pad;
	__u32 info; /* last word of the ICMP header, host order */
	__u32 quote;
	union loom_addr from;
};

/* Type, code and MTU for the reason; 0 when that reason has no error. */
plat_inline int icmp_gen_kind(const struct pkt *p, int reason, struct icmp_gen *g)
{
	int v4 = p->family == 4;

	g->code = 0;
	g->info = 0;
	switch (-reason) {
	case LOOM_DROP_TTL:
		g->type = v4 ? ICMP_TIME_EXCEED : 3;
		return 1;
	case LOOM_DROP_MTU:
		g->type = v4 ? ICMP_UNREACH : 2;
		g->code = v4 ? 4 : 0;
		g->info = p->v_mtu;
		return 1;
	case LOOM_DROP_NO_ROUTE:
	case LOOM_DROP_NO_NODE:
		g->type = v4 ? ICMP_UNREACH : 1;
		return p->hook == LOOM_HOOK_FROM_POD;
	case LOOM_DROP_SVC_NO_BACKEND:
	case LOOM_DROP_SVC_GONE:
		g->type = v4 ? ICMP_UNREACH : 1;
		g->code = v4 ? 3 : 4;
		return 1;
	default:
		return 0;
	}
}

plat_inline void icmp_gen_source(const struct pkt *p, struct icmp_gen *g)
{
	__u32 zero = 0;
	struct loom_state *st = plat_lookup(&loom_state, &zero);

	/* The host's stack takes nothing from its own address that comes in by a link. */
	if (st && p->hook != LOOM_HOOK_FROM_HOST) {
		addr_copy(&g->from, p->family == 4 ? &st->masq4 : &st->masq6);
		if (!addr_is_none(&g->from))
			return;
	}
	addr_gateway(p->family == 4, &g->from);
}

plat_inline __u16 icmp_gen_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

/* ICMP header's checksum: over header, quote and, for IPv6, the pseudo header. */
plat_inline __u16 icmp_gen_csum(struct plat_ctx *ctx, const struct pkt *p, const struct icmp_gen *g,
				const __u8 *header)
{
	__u8 quote[ICMP_GEN_QUOTE] __attribute__((aligned(8))) = {};
	__u32 n = g->quote, sum, pseudo[2];

	if (n < 28 || n > ICMP_GEN_QUOTE)
		return 0;
	if (plat_load(ctx, p->l3, quote, n))
		return 0;
	sum = plat_csum_add(quote, ICMP_GEN_QUOTE, 0);
	sum = plat_csum_add(header, 8, sum);
	if (p->family == 4)
		return icmp_gen_fold(sum);
	pseudo[0] = plat_htonl(n + 8);
	pseudo[1] = plat_htonl(IPPROTO_ICMPV6);
	sum = plat_csum_add(pseudo, 8, sum);
	sum = plat_csum_add(&g->from, 16, sum);
	sum = plat_csum_add(&p->saddr, 16, sum);
	return icmp_gen_fold(sum);
}

plat_inline int icmp_gen_write4(struct plat_ctx *ctx, const struct pkt *p, const struct icmp_gen *g,
				const __u8 *icmp)
{
	__u8 h[28] __attribute__((aligned(4))) = { 0x45, 0xc0 };
	__u16 len = g->quote + 28, csum;

	h[2] = len >> 8;
	h[3] = len & 0xff;
	h[8] = 64;
	h[9] = IPPROTO_ICMP;
	plat_copy(h + 12, &g->from.w[3], 4);
	plat_copy(h + 16, &p->saddr.w[3], 4);
	csum = icmp_gen_fold(plat_csum_add(h, 20, 0));
	plat_copy(h + 10, &csum, 2);
	plat_copy(h + 20, icmp, 8);
	return plat_grow(ctx, 28) || plat_store(ctx, p->l3, h, 28) ? -EFAULT : 0;
}

plat_inline int icmp_gen_write6(struct plat_ctx *ctx, const struct pkt *p, const struct icmp_gen *g,
				const __u8 *icmp)
{
	__u8 h[48] __attribute__((aligned(8))) = { 0x60 };

	h[5] = g->quote + 8;
	h[6] = IPPROTO_ICMPV6;
	h[7] = 64;
	plat_copy(h + 8, &g->from, 16);
	plat_copy(h + 24, &p->saddr, 16);
	plat_copy(h + 40, icmp, 8);
	return plat_grow(ctx, 48) || plat_store(ctx, p->l3, h, 48) ? -EFAULT : 0;
}

/*
 * Link addresses swapped, and the way back as a verdict: to whom the packet came from, since the
 * host's route to a pod of another node leads to loom_host. 0 or negative.
 */
plat_inline int icmp_gen_return(struct plat_ctx *ctx, struct pkt *p)
{
	__u8 macs[12];

	p->v_node = 0;
	p->v_ifindex = p->ifindex;
	if (p->hook == LOOM_HOOK_FROM_OVERLAY) {
		if (!p->peer_node)
			return -EINVAL;
		p->v_kind = VERDICT_TUNNEL;
		p->v_node = p->peer_node;
		return 0;
	}
	p->v_kind = p->hook == LOOM_HOOK_FROM_HOST ? VERDICT_INGRESS : VERDICT_REDIRECT;
	if (p->flags & PKT_RAW_IP)
		return 0;
	plat_copy(macs, p->eth + 6, 6);
	plat_copy(macs + 6, p->eth, 6);
	return plat_store(ctx, 0, macs, 12);
}

/* 0 when the packet now is the error, with a verdict; negative when there is none to be sent. */
plat_fn int icmp_gen(struct plat_ctx *ctx, int reason)
{
	__u8 h[8] __attribute__((aligned(4))) = {};
	struct pkt *p = plat_pkt(ctx);
	struct icmp_gen g;
	__u16 csum;
	__be32 info;

	if (!p || !p->family || (p->flags & (PKT_ERROR | PKT_LATER_FRAG)))
		return -EINVAL;
	if (p->proto == IPPROTO_ICMPV6 && p->icmp_type >= ICMP6_ND_FIRST)
		return -EINVAL;
	if (!icmp_gen_kind(p, reason, &g) || addr_check_unicast(&p->saddr, p->family == 4) ||
	    addr_check_unicast(&p->daddr, p->family == 4))
		return -EINVAL;
	if (!account_token(1, plat_now_ns(), ICMP_GEN_RATE, ICMP_GEN_BURST))
		return -EAGAIN;
	icmp_gen_source(p, &g);
	g.quote = p->ip_len < ICMP_GEN_QUOTE ? p->ip_len : ICMP_GEN_QUOTE;
	h[0] = g.type;
	h[1] = g.code;
	info = plat_htonl(g.info);
	plat_copy(h + 4, &info, 4);
	csum = icmp_gen_csum(ctx, p, &g, h);
	plat_copy(h + 2, &csum, 2);
	if (g.quote < 28 || plat_trim(ctx, p->l3 + g.quote))
		return -EFAULT;
	if (p->family == 4 ? icmp_gen_write4(ctx, p, &g, h) : icmp_gen_write6(ctx, p, &g, h))
		return -EFAULT;
	return icmp_gen_return(ctx, p);
}
