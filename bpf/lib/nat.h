/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Masquerade: a pod's flow to the outside leaves with the node's address and a port of
 * loom_cfg.masq_port_min..max. The translation is two conntrack entries that carry each other's
 * tuple: pod side (LOOM_CT_SNAT) and wire side (LOOM_CT_SNAT_BACK). Claiming the wire side with
 * BPF_NOEXIST is what makes a port ours; there is no other table of ports.
 */
#include "bpf/lib/ct.h"

#define NAT_PROBES 32

plat_inline __u32 nat_mix(__u32 h, __u32 v)
{
	h ^= v;
	h *= 0x9e3779b1u;
	return h ^ h >> 15;
}

plat_inline __u32 nat_hash(const struct pkt *p)
{
	__u32 h = nat_mix(p->scope + 1, p->saddr.w[3] ^ p->saddr.w[1]);

	h = nat_mix(h, p->daddr.w[3] ^ p->daddr.w[2]);
	return nat_mix(h, (__u32)p->sport << 16 | p->dport);
}

plat_inline int nat_is_icmp(__u8 proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* Wire-side entry for pod-side entry `ct` of packet p, whose initiator is side b if `init_b`. */
plat_inline void nat_wire_entry(const struct pkt *p, const struct loom_ct *ct, int init_b,
				struct loom_ct *ret)
{
	plat_zero(ret, sizeof(*ret));
	ret->seen = ct->seen;
	ret->created = ct->created;
	ret->flags = LOOM_CT_SNAT_BACK | (init_b ? LOOM_CT_FROM_B : 0);
	addr_copy(&ret->xaddr, &p->saddr);
	ret->xport = p->sport;
	ret->xscope = p->scope;
}

/*
 * Claims one wire-side tuple. 0, -EEXIST when it is taken, or another negative errno. Not inlined:
 * kernel 6.1 refuses a loop whose way back the compiler has laid out as a fall-through, which it
 * does with this body inside.
 */
plat_fn int nat_claim(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;
	int init_b, err;

	if (!p || !ct)
		return -EINVAL;
	init_b = ct_key(&k, &ct->xaddr, ct->xport, &p->daddr,
			nat_is_icmp(p->proto) ? ct->xport : p->dport, p->proto, 0);
	if (plat_lookup(&loom_ct, &k))
		return -EEXIST;
	nat_wire_entry(p, ct, init_b, &p->pair_entry);
	err = plat_update(&loom_ct_new, &k, &p->pair_entry, BPF_NOEXIST);
	if (err)
		return err;
	/* Between look and claim, the flow that had it may have been confirmed. */
	if (plat_lookup(&loom_ct, &k)) {
		plat_delete(&loom_ct_new, &k);
		return -EEXIST;
	}
	return 0;
}

/* Gives the flow of the packet an address and port of the node. 0 or a negative reason. */
plat_fn int nat_masquerade(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	__u32 range, start, i, zero = 0;
	struct loom_state *st;
	int err;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st || !ct)
		return -LOOM_DROP_HELPER;
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP && !nat_is_icmp(p->proto))
		return -LOOM_DROP_NAT_PROTO;
	addr_copy(&ct->xaddr, p->family == 4 ? &st->masq4 : &st->masq6);
	if (addr_is_none(&ct->xaddr))
		return -LOOM_DROP_NAT_NO_ADDR;
	ct->flags |= LOOM_CT_SNAT;
	range = loom_cfg.masq_port_max - loom_cfg.masq_port_min + 1;
	start = nat_hash(p) & 0xffff;
	for (i = 0; i < NAT_PROBES && i < range; i++) {
		ct->xport =
			plat_htons((__u16)(loom_cfg.masq_port_min + (start + i * 7919) % range));
		err = nat_claim(ctx, ct);
		if (!err)
			return 0;
		if (err != -EEXIST)
			return -LOOM_DROP_CT_FULL;
	}
	return -LOOM_DROP_NAT_PORTS;
}

/* Where in the packet a transport checksum is, relative to its header; 0 = none to keep. */
plat_inline __u32 nat_csum_off(__u8 proto)
{
	if (proto == IPPROTO_TCP)
		return 16;
	if (proto == IPPROTO_UDP)
		return 6;
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6 ? 2 : 0;
}

/* Writes an address at `off` of the IP header at `l3` and keeps the checksum of that header. */
plat_inline int nat_put_addr(struct plat_ctx *ctx, int v4, __u32 l3, int source,
			     const union loom_addr *addr, __u32 diff)
{
	__u32 off = l3 + (v4 ? (source ? 12 : 16) : (source ? 8 : 24));
	int err;

	if (!v4)
		return plat_store(ctx, off, addr->b, 16);
	err = plat_csum_ip(ctx, l3 + 10, diff);
	return err ? err : plat_store(ctx, off, addr->b + 12, 4);
}

/* Port (or ICMP identifier) of the transport header and its checksum. */
plat_inline int nat_put_l4(struct plat_ctx *ctx, const struct pkt *p, int source, __be16 port,
			   __u32 diff)
{
	__u32 csum = p->l4 + nat_csum_off(p->proto);
	int udp = p->proto == IPPROTO_UDP, icmp = nat_is_icmp(p->proto);
	__u32 off = p->l4 + (icmp ? 4 : source ? 0 : 2);
	__be16 old = source ? p->sport : p->dport;
	int err = 0;

	if (p->proto != IPPROTO_ICMP) /* ICMP for IPv4 has no pseudo header */
		err = plat_csum_pseudo(ctx, csum, diff, udp, p->family == 6);
	if (!err && old != port)
		err = plat_csum_port(ctx, csum, old, port, udp);
	if (!err && old != port)
		err = plat_store(ctx, off, &port, 2);
	return err;
}

/* The packet's source (or destination) becomes addr:port. 0 or a negative reason. */
plat_fn int nat_rewrite(struct plat_ctx *ctx, struct loom_ct *ct, __u32 source)
{
	struct pkt *p = plat_pkt(ctx);
	union loom_addr addr;
	__u32 diff;
	int err;

	if (!p || !ct)
		return -LOOM_DROP_HELPER;
	addr_copy(&addr, &ct->xaddr);
	diff = plat_csum_diff(source ? &p->saddr : &p->daddr, &addr);
	err = nat_put_addr(ctx, p->family == 4, p->l3, source, &addr, diff);
	if (!err && !(p->flags & PKT_LATER_FRAG))
		err = nat_put_l4(ctx, p, source, ct->xport, diff);
	if (!err)
		return 0;
	p->aux = err;
	return -LOOM_DROP_HELPER;
}
