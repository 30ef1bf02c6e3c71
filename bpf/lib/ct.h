/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Conntrack: one entry a flow, found by either direction under one sorted key. Flows that are not
 * confirmed live in the LRU loom_ct_new; confirmation moves them to the hash loom_ct, from which
 * only the collector removes (and nat_evict(), where tuples are short). Confirmed is a flow whose
 * other side has answered, and a TCP connection whose initiator has answered that too: a flood of
 * SYNs with forged senders makes a listening pod answer, but fills nothing that lasts.
 *
 * A pointer to an entry is good until the entry is moved; entries of a preallocated map are never
 * unmapped, so a racing removal costs one packet's bookkeeping, not memory safety.
 */
#include "bpf/lib/addr.h"

plat_inline void ct_key_set(struct loom_ctkey *k, const union loom_addr *src, __be16 sport,
			    const union loom_addr *dst, __be16 dport, int swap)
{
	const union loom_addr *a = swap ? dst : src, *b = swap ? src : dst;

	addr_copy(&k->a, a);
	addr_copy(&k->b, b);
	k->pa = swap ? dport : sport;
	k->pb = swap ? sport : dport;
}

plat_inline __u8 ct_echo_kind(int asks_b)
{
	return asks_b ? LOOM_CT_ECHO_B : LOOM_CT_ECHO_A;
}

plat_inline int ct_is_icmp(__u8 proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* Key of the tuple, LOOM_CT_PLAIN; returns non-zero when the source is side b. */
plat_inline int ct_key(struct loom_ctkey *k, const union loom_addr *src, __be16 sport,
		       const union loom_addr *dst, __be16 dport, __u8 proto, __u32 scope)
{
	int order = addr_order(src, dst);
	int from_b = order > 0 || (!order && plat_ntohs(sport) > plat_ntohs(dport));

	ct_key_set(k, src, sport, dst, dport, from_b);
	k->proto = proto;
	k->kind = LOOM_CT_PLAIN;
	k->scope = (__u16)scope;
	return from_b;
}

/* The packet's key: its sender and the tuple in its direction. */
plat_inline void ct_key_of(struct pkt *p, const union loom_addr *src, const union loom_addr *dst,
			   __u8 proto)
{
	int from_b = ct_key(&p->key, src, p->sport, dst, p->dport, proto, p->scope);

	if (from_b)
		p->flags |= PKT_FROM_B;
	if (p->echo)
		p->key.kind = ct_echo_kind(!from_b == (p->echo == LOOM_ECHO_REPLY));
}

/* The packet is of the side that began the flow. */
plat_inline int ct_from_initiator(const struct pkt *p, const struct loom_ct *ct)
{
	return !(p->flags & PKT_FROM_B) == !(ct->flags & LOOM_CT_FROM_B);
}

#define CT_NAT	      (LOOM_CT_SNAT | LOOM_CT_SNAT_BACK)
#define CT_SVC	      (LOOM_CT_SVC | LOOM_CT_SVC_BACK)
#define CT_TRANSLATED (CT_NAT | CT_SVC)

/* The entry is half of a pair. */
plat_inline int ct_has_pair(const struct loom_ct *ct)
{
	return (ct->flags & CT_TRANSLATED) && !(ct->flags & LOOM_CT_DSR);
}

/* The node's address that translated packets leave with; :: when it has none. */
plat_inline void ct_node_addr(int v4, union loom_addr *ret)
{
	__u32 zero = 0;
	struct loom_state *st = plat_lookup(&loom_state, &zero);

	ret->d[0] = 0;
	ret->d[1] = 0;
	if (st)
		addr_copy(ret, v4 ? &st->masq4 : &st->masq6);
}

/* The source that a service's backend sees (LOOM_CT_SVC_SNAT). */
plat_inline void ct_svc_source(const struct loom_ct *ct, int v4, union loom_addr *ret)
{
	if (ct->flags & LOOM_CT_HAIRPIN)
		addr_hairpin(v4, ret);
	else
		ct_node_addr(v4, ret);
}

/* Address of that number (enum loom_vip_number); :: when there is none. */
plat_inline void ct_vip(__u32 vip, union loom_addr *ret)
{
	const union loom_addr *a = plat_lookup(&loom_vip, &vip);

	ret->d[0] = 0;
	ret->d[1] = 0;
	if (a)
		addr_copy(ret, a);
}

/* The other half of a service's flow: front key -> back key and back (shared/loom_svc.h). */
plat_inline int ct_svc_pair_key(const struct loom_ctkey *k, const struct loom_ct *ct,
				struct loom_ctkey *ret)
{
	int init_b = !!(ct->flags & LOOM_CT_FROM_B), snat = ct->flags & LOOM_CT_SVC_SNAT;
	union loom_addr src, dst;

	addr_copy(&src, init_b ? &k->b : &k->a);
	addr_copy(&dst, &ct->xaddr);
	if (snat && (ct->flags & LOOM_CT_SVC)) {
		ct_svc_source(ct, addr_is_mapped(&src), &src);
	} else if (snat) {
		addr_copy(&src, &ct->xaddr);
		ct_vip(ct->vip, &dst);
	}
	return ct_key(ret, &src, ct->xport2, &dst, ct->xport, k->proto, k->scope);
}

/* The other half of a masqueraded flow. */
plat_inline int ct_nat_pair_key(const struct loom_ctkey *k, const struct loom_ct *ct,
				struct loom_ctkey *ret)
{
	int init_b = !!(ct->flags & LOOM_CT_FROM_B);
	const union loom_addr *remote = init_b ? &k->a : &k->b;
	__be16 rport = init_b ? k->pa : k->pb;
	int icmp = ct_is_icmp(k->proto);
	__u32 scope = ct->flags & LOOM_CT_SNAT_BACK ? ct->xscope : 0;

	init_b = ct_key(ret, &ct->xaddr, ct->xport, remote, icmp ? ct->xport : rport, k->proto,
			scope);
	if (icmp)
		ret->kind = ct_echo_kind(init_b);
	return init_b;
}

/*
 * The other half of a translated flow: pod-side key -> wire-side key, front -> back, and the other
 * way round. Returns non-zero when the initiator is side b of it. For what ct_has_pair().
 */
plat_inline int ct_pair_key(const struct loom_ctkey *k, const struct loom_ct *ct,
			    struct loom_ctkey *ret)
{
	return ct->flags & CT_SVC ? ct_svc_pair_key(k, ct, ret) : ct_nat_pair_key(k, ct, ret);
}

/* Both halves of a translated flow see a part of it; this is what they know together. */
struct ct_state {
	__u32 flags;
	__s32 idle;		  /* ticks */
	__u8 tcp_init, tcp_other; /* what the initiator, and the other side, has sent */
};

plat_inline __u8 ct_tcp_of(const struct loom_ct *ct, int initiator)
{
	return !!(ct->flags & LOOM_CT_FROM_B) == initiator ? ct->tcp_b : ct->tcp_a;
}

/* `other`: the other half, or NULL. */
plat_inline void ct_state(const struct loom_ct *ct, const struct loom_ct *other, __u32 now,
			  struct ct_state *ret)
{
	ret->flags = ct->flags;
	ret->idle = now - ct->seen;
	ret->tcp_init = ct_tcp_of(ct, 1);
	ret->tcp_other = ct_tcp_of(ct, 0);
	if (other) {
		__s32 idle = now - other->seen;

		if (idle < ret->idle)
			ret->idle = idle;
		ret->flags |= other->flags;
		ret->tcp_init |= ct_tcp_of(other, 1);
		ret->tcp_other |= ct_tcp_of(other, 0);
	}
}

/* A connection of TCP that has ended: both sides have said so, or one has reset it. */
plat_inline int ct_has_ended(const struct ct_state *s)
{
	return (s->flags & (LOOM_CT_CLOSING | LOOM_CT_DEAD)) ||
	       (s->tcp_init & s->tcp_other & TCP_FIN);
}

/*
 * What a side has sent by now. Who goes on has not reset the connection, whoever said so in its
 * name, and a SYN begins one that has not ended. Half of a masqueraded or a service's flow hears
 * of a new connection on its ports by that alone.
 */
plat_inline __u8 ct_tcp_sent(__u8 before, __u8 now)
{
	if (!(now & TCP_RST))
		before &= ~TCP_RST;
	if (now & TCP_SYN)
		before &= ~TCP_FIN;
	return before | now;
}

/* Keeps the entry's clock and the state of TCP; writes only what has changed. */
plat_inline void ct_touch(const struct pkt *p, struct loom_ct *ct)
{
	__u8 *mine = p->flags & PKT_FROM_B ? &ct->tcp_b : &ct->tcp_a;
	__u8 seen;

	if (ct->seen != p->tick)
		ct->seen = p->tick;
	if (p->proto != IPPROTO_TCP)
		return;
	seen = ct_tcp_sent(*mine, p->tcp_flags);
	if (seen == *mine)
		return;
	*mine = seen;
	if (((ct->tcp_a | ct->tcp_b) & TCP_RST) || (ct->tcp_a & ct->tcp_b & TCP_FIN))
		ct->flags |= LOOM_CT_CLOSING;
	else if (ct->flags & LOOM_CT_CLOSING)
		ct->flags &= ~LOOM_CT_CLOSING;
}

/*
 * A SYN from a side that is done with its connection begins another one on the same ports: see
 * flow_restart(). Half of a service's flow has not seen the other side's packets, so svc_restart()
 * has the last word on it.
 */
plat_inline int ct_restarts(const struct pkt *p, const struct loom_ct *ct)
{
	__u8 mine = p->flags & PKT_FROM_B ? ct->tcp_b : ct->tcp_a;

	return p->proto == IPPROTO_TCP && (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
	       ((ct->flags & (LOOM_CT_CLOSING | CT_SVC)) || (mine & TCP_FIN));
}

/*
 * The initiator begins another connection: starts the entry anew where it is, to be judged and
 * routed again; addresses and ports of its translation stay.
 */
plat_inline void ct_restart(const struct pkt *p, struct loom_ct *ct)
{
	ct->tcp_a = 0;
	ct->tcp_b = 0;
	ct->created = p->tick;
	ct->route_gen = 0;
	ct->policy_gen = 0;
	ct->flags &= LOOM_CT_SNAT | LOOM_CT_SNAT_BACK | LOOM_CT_FROM_B;
	if (p->hook == LOOM_HOOK_FROM_HOST)
		ct->flags |= LOOM_CT_FROM_HOST;
}

plat_inline int ct_confirmed(const struct loom_ctkey *k, const struct loom_ct *ct)
{
	__u8 init = ct->flags & LOOM_CT_FROM_B ? ct->tcp_b : ct->tcp_a;

	if (!(ct->flags & LOOM_CT_REPLIED))
		return 0;
	return k->proto != IPPROTO_TCP || (ct->flags & (LOOM_CT_SNAT | LOOM_CT_SNAT_BACK)) ||
	       (init & TCP_ACK);
}

/* -EBUSY is what kernels before 6.15 say when another CPU holds the bucket. */
plat_inline int ct_insert(const struct loom_ctkey *k, const struct loom_ct *v)
{
	int err = 0, i;

	for (i = 0; i < 3; i++) {
		err = plat_update(&loom_ct, k, v, BPF_NOEXIST);
		if (err != -EBUSY)
			break;
	}
	return err;
}

/*
 * Moves an entry (v: a copy of it) to loom_ct. When that is full the flow lives on in loom_ct_new,
 * which is counted; -ENOSPC then.
 */
plat_inline int ct_promote(const struct loom_ctkey *k, const struct loom_ct *v)
{
	int err = ct_insert(k, v);
	struct loom_state *st;
	__u32 zero = 0;

	if (err && err != -EEXIST) {
		st = plat_lookup(&loom_state, &zero);
		if (st)
			plat_add(&st->ct_full_total, 1);
		return -ENOSPC;
	}
	plat_delete(&loom_ct_new, k);
	return 0;
}
