/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * ICMP errors belong to the flow of the packet that they quote. icmp_err_parse() reads the quote
 * and makes the packet look as if it were an answer within that flow; icmp_err_nat() translates
 * the outer address and the quoted tuple together (RFC 5508, 4.2). The quoted transport checksum is
 * left alone: the quote is cut short anyway, and receivers match by ports.
 */
#include "bpf/lib/nat.h"
#include "bpf/lib/parse.h"

/* Quoted ports in `h` (8 bytes), by protocol. */
plat_inline void icmp_err_ports(struct pkt *p, const __u8 *h, __be16 *ret_sport, __be16 *ret_dport)
{
	if (nat_is_icmp(p->in_proto)) {
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
 * 0, or ICMP_UNRELATED when the quote is unusable or was not sent by whom the error is for.
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
	if (!addr_eq(&src, &p->daddr) || plat_load(ctx, p->in_l4, h, 8))
		return -LOOM_DROP_ICMP_UNRELATED;
	icmp_err_ports(p, h, &sport, &dport);
	p->sport = dport;
	p->dport = sport;
	if (ct_key(&p->key, &dst, dport, &src, sport, p->in_proto, p->scope))
		p->flags |= PKT_FROM_B;
	return 0;
}

/* 16-bit field at `off` of the ICMP payload, with the ICMP checksum. */
plat_inline int icmp_err_put16(struct plat_ctx *ctx, const struct pkt *p, __u32 off, __be16 from,
			       __be16 to)
{
	int err;

	if (from == to)
		return 0;
	err = plat_csum_port(ctx, p->l4 + 2, from, to, 0);
	return err ? err : plat_store(ctx, off, &to, 2);
}

/* Address of the quoted header; for IPv4 the quoted header's own checksum makes up for it. */
plat_inline int icmp_err_put_addr(struct plat_ctx *ctx, const struct pkt *p, int source,
				  const union loom_addr *to, __u32 diff)
{
	int err = nat_put_addr(ctx, p->family == 4, p->in_l3, source, to, diff);

	if (err || p->family == 4)
		return err;
	return plat_csum_pseudo(ctx, p->l4 + 2, diff, 0, 0);
}

/*
 * Translates an error within a masqueraded flow. `source`: the error leaves the pod (its source and
 * the quoted destination are the pod); else it comes for it (destination and quoted source).
 */
plat_fn int icmp_err_nat(struct plat_ctx *ctx, struct loom_ct *ct, __u32 source)
{
	struct pkt *p = plat_pkt(ctx);
	union loom_addr addr;
	__u32 diff, port_off;
	__be16 port;
	int err;

	if (!p || !ct)
		return -LOOM_DROP_HELPER;
	addr_copy(&addr, &ct->xaddr);
	port = ct->xport;
	diff = plat_csum_diff(source ? &p->saddr : &p->daddr, &addr);
	err = nat_put_addr(ctx, p->family == 4, p->l3, source, &addr, diff);
	if (!err && p->family == 6)
		err = plat_csum_pseudo(ctx, p->l4 + 2, diff, 0, 1);
	if (!err)
		err = icmp_err_put_addr(ctx, p, !source, &addr, diff);
	port_off = p->in_l4 + (nat_is_icmp(p->in_proto) ? 4 : source ? 2 : 0);
	if (!err)
		err = icmp_err_put16(ctx, p, port_off, source ? p->sport : p->dport, port);
	if (!err)
		return 0;
	p->aux = err;
	return -LOOM_DROP_HELPER;
}
