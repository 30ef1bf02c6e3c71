/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * ICMP errors belong to the flow of the packet that they quote. icmp_err_parse() reads the quote
 * and makes the packet look as if it were an answer within that flow; xlate.h translates it.
 */
#include "bpf/lib/parse.h"
#include "bpf/lib/xlate.h"

/* What would answer the quoted ICMP message. */
plat_inline __u8 icmp_err_echo(__u8 proto, __u8 type)
{
	if (type == (proto == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO))
		return LOOM_ECHO_REPLY;
	if (type == (proto == IPPROTO_ICMP ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY))
		return LOOM_ECHO_REQUEST;
	return LOOM_ECHO_NONE;
}

/* Quoted ports in `h` (8 bytes), by protocol; p->echo. */
plat_inline void icmp_err_ports(struct pkt *p, const __u8 *h, __be16 *ret_sport, __be16 *ret_dport)
{
	if (ct_is_icmp(p->in_proto)) {
		p->echo = icmp_err_echo(p->in_proto, h[0]);
		*ret_sport = *ret_dport = get16(h + 4);
	} else if (p->in_proto == IPPROTO_TCP || p->in_proto == IPPROTO_UDP ||
		   p->in_proto == IPPROTO_UDPLITE || p->in_proto == IPPROTO_SCTP ||
		   p->in_proto == IPPROTO_DCCP) {
		*ret_sport = get16(h);
		*ret_dport = get16(h + 2);
	} else {
		*ret_sport = *ret_dport = 0;
	}
}

/*
 * IPv6 keeps fragments in a header of their own: p->in_proto and p->in_l4 are of what is behind
 * it. 0, or ICMP_UNRELATED for a later fragment, which has no ports.
 */
plat_inline int icmp_err_skip_frag(struct plat_ctx *ctx, struct pkt *p)
{
	__u8 h[8] __attribute__((aligned(8)));

	if (p->in_proto != 44)
		return 0;
	if (plat_load(ctx, p->in_l4, h, sizeof(h)) || h[2] || (h[3] & 0xf8))
		return -LOOM_DROP_ICMP_UNRELATED;
	p->in_proto = h[0];
	p->in_l4 += 8;
	return 0;
}

/*
 * Reads the quote. Sets key, direction, sport and dport (of the flow, in this packet's direction).
 * 0, or ICMP_UNRELATED when the quote is unusable, was not sent by whom the error is for, or was
 * not for the pod that complains: about others' packets only those on their way may tell.
 */
plat_fn int icmp_err_parse(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	__u8 h[40] __attribute__((aligned(8)));
	union loom_addr src, dst;
	__be16 sport, dport;

	if (!p)
		return -LOOM_DROP_HELPER;
	p->in_l3 = p->l4 + 8;
	if (p->family == 4) {
		if (plat_load(ctx, p->in_l3, h, 20) || h[0] >> 4 != 4 || (h[0] & 15) < 5)
			return -LOOM_DROP_ICMP_UNRELATED;
		if ((h[6] & 0x1f) || h[7])
			return -LOOM_DROP_ICMP_UNRELATED; /* quotes a later fragment */
		addr_set_v4(&src, get32(h + 12));
		addr_set_v4(&dst, get32(h + 16));
		p->in_proto = h[9];
		p->in_l4 = p->in_l3 + (h[0] & 15) * 4;
	} else {
		if (plat_load(ctx, p->in_l3, h, 40) || h[0] >> 4 != 6)
			return -LOOM_DROP_ICMP_UNRELATED;
		addr_get(&src, h + 8);
		addr_get(&dst, h + 24);
		p->in_proto = h[6];
		p->in_l4 = p->in_l3 + 40;
	}
	if (p->family == 6 && icmp_err_skip_frag(ctx, p))
		return -LOOM_DROP_ICMP_UNRELATED;
	if ((p->flags & PKT_END) && !addr_eq(&dst, &p->saddr))
		return -LOOM_DROP_ICMP_UNRELATED;
	if (!addr_eq(&src, &p->daddr) || plat_load(ctx, p->in_l4, h, 8))
		return -LOOM_DROP_ICMP_UNRELATED;
	icmp_err_ports(p, h, &sport, &dport);
	p->sport = dport;
	p->dport = sport;
	ct_key_of(p, &dst, &src, p->in_proto);
	return 0;
}
