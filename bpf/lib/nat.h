/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Masquerade: a pod's flow to the outside leaves with the node's address and a port of
 * loom_cfg.masq_port_min..max. The translation is two conntrack entries that carry each other's
 * tuple: pod side (LOOM_CT_SNAT) and wire side (LOOM_CT_SNAT_BACK). Claiming the wire side with
 * BPF_NOEXIST is what makes a port ours; there is no other table of ports.
 */
#include "bpf/lib/xlate.h"

#define NAT_PROBES 32
/* How many of these are then asked whether their connection has ended, by chance: who asks again
 * may have better luck. */
#define NAT_EVICTIONS 8

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

plat_inline __u32 nat_range(void)
{
	return loom_cfg.masq_port_max - loom_cfg.masq_port_min + 1;
}

/* The i-th port to be tried. */
plat_inline __be16 nat_port(__u32 start, __u32 i)
{
	return plat_htons((__u16)(loom_cfg.masq_port_min + (start + i * 7919) % nat_range()));
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

/* The wire-side tuple of pod-side entry `ct`. Non-zero when the initiator is side b of it. */
plat_inline int nat_wire_key(const struct pkt *p, const struct loom_ct *ct, struct loom_ctkey *ret)
{
	int init_b = ct_key(ret, &ct->xaddr, ct->xport, &p->daddr,
			    ct_is_icmp(p->proto) ? ct->xport : p->dport, p->proto, 0);

	if (ct_is_icmp(p->proto))
		ret->kind = ct_echo_kind(init_b);
	return init_b;
}

/* Ticks of rest, a second at least, after which what may still come of an ended connection has. */
#define NAT_OVER_TICKS 1

/*
 * Forgets whose the tuple is, if it was a connection of TCP that has ended: it would be there until
 * the collector takes it, and the tuples do not suffice for all that begin until then. 0, or
 * -EEXIST.
 */
plat_inline int nat_evict(const struct pkt *p, const struct loom_ctkey *k)
{
	struct loom_ct *ct = plat_lookup(&loom_ct, k), *other = NULL;
	struct loom_ctkey pair;
	struct ct_state s;

	if (!ct || k->proto != IPPROTO_TCP)
		return -EEXIST;
	if (ct_has_pair(ct)) {
		ct_pair_key(k, ct, &pair);
		other = plat_lookup(&loom_ct, &pair);
	}
	ct_state(ct, other, p->tick, &s);
	if (!ct_has_ended(&s) || s.idle <= NAT_OVER_TICKS)
		return -EEXIST;
	if (other)
		plat_delete(&loom_ct, &pair);
	plat_delete(&loom_ct, k);
	return 0;
}

/* nat_evict() for the tuple that `ct` would have. */
plat_fn int nat_evict_wire(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;

	if (!p || !ct)
		return -EINVAL;
	nat_wire_key(p, ct, &k);
	return nat_evict(p, &k);
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
	init_b = nat_wire_key(p, ct, &k);
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
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP && p->proto != IPPROTO_SCTP &&
	    !ct_is_icmp(p->proto))
		return -LOOM_DROP_NAT_PROTO;
	addr_copy(&ct->xaddr, p->family == 4 ? &st->masq4 : &st->masq6);
	if (addr_is_none(&ct->xaddr))
		return -LOOM_DROP_NAT_NO_ADDR;
	ct->flags |= LOOM_CT_SNAT;
	range = nat_range();
	start = nat_hash(p) & 0xffff;
	for (i = 0; i < NAT_PROBES && i < range; i++) {
		ct->xport = nat_port(start, i);
		err = nat_claim(ctx, ct);
		if (!err)
			return 0;
		if (err != -EEXIST)
			return -LOOM_DROP_CT_FULL;
	}
	for (i = 0; i < NAT_EVICTIONS; i++) {
		ct->xport = nat_port(start, plat_random(ctx) % NAT_PROBES);
		if (!nat_evict_wire(ctx, ct) && !nat_claim(ctx, ct))
			return 0;
	}
	return -LOOM_DROP_NAT_PORTS;
}
