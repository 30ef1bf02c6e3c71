/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Flows of services: the two entries that each is (shared/loom_svc.h), made for its first packet,
 * kept together while nobody has answered, and ended when the backend is no more.
 *
 *	svc_start(ctx)      entry `front` in p->entry: which backend
 *	svc_resolve(ctx)    where its packets go, and whether their source changes
 *	svc_enter(ctx)      both entries into loom_ct_new: from here on the tuple is the flow's
 *	svc_keep(ctx, ct)   before a packet of an unconfirmed flow
 *	svc_confirm(ctx, ct)  after it: moves both to loom_ct when both sides have spoken
 *	svc_restart(ctx, ct)  a SYN on ports that an earlier connection has had
 */
#include "bpf/lib/nat.h"
#include "bpf/lib/svc.h"

plat_inline int svc_leaves(int out)
{
	return LOOM_OUT_KIND(out) != LOOM_OUT_PEER && LOOM_OUT_KIND(out) != LOOM_OUT_STACK;
}

/* As masquerade would: for the pods' own packets to what is not of the cluster. */
plat_inline int svc_masquerades(const struct pkt *p, const struct loom_state *st)
{
	return p->target_outside && (st->flags & LOOM_STATE_MASQUERADE) &&
	       !(p->target_flags & LOOM_REMOTE_NO_MASQ);
}

/*
 * The host asks its own backend by an address that it routes to others, who sent the packet back. A
 * stack takes nothing from its own address that comes in by a link.
 */
plat_inline int svc_comes_back(const struct pkt *p, int out)
{
	struct loom_ipkey k = { .scope = p->scope };
	struct loom_ep *ep;

	if (p->hook != LOOM_HOOK_FROM_NET || LOOM_OUT_KIND(out) != LOOM_OUT_STACK)
		return 0;
	addr_copy(&k.addr, &p->saddr);
	ep = plat_lookup(&loom_ep, &k);
	return ep && (ep->flags & LOOM_EP_HOST);
}

/* Does the source address change, and into which? Flags for both entries. */
plat_inline __u32 svc_source(const struct pkt *p, const struct loom_state *st, int out)
{
	if (p->hook == LOOM_HOOK_FROM_POD) {
		if (addr_eq(&p->target, &p->saddr))
			return LOOM_CT_SVC_SNAT | LOOM_CT_HAIRPIN;
		return svc_masquerades(p, st) ? LOOM_CT_SVC_SNAT : 0;
	}
	if (p->hook == LOOM_HOOK_FROM_HOST) {
		if (LOOM_OUT_KIND(out) == LOOM_OUT_STACK)
			return LOOM_CT_SVC_SNAT | LOOM_CT_HAIRPIN;
		/* Answers that come by the tunnel or from a pod here meet the programs, others the
		 * stack. */
		return p->target_outside || (p->target_flags & LOOM_REMOTE_NODE) ||
				       (svc_leaves(out) && LOOM_OUT_KIND(out) != LOOM_OUT_TUNNEL)
			       ? LOOM_CT_SVC_SNAT
			       : 0;
	}
	if (svc_comes_back(p, out))
		return LOOM_CT_SVC_SNAT | LOOM_CT_HAIRPIN;
	return svc_leaves(out) ? LOOM_CT_SVC_SNAT : 0;
}

/* From node to node there is the underlay; tunnels are for what only they can carry. */
plat_fn int svc_underlay(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0;

	st = plat_lookup(&loom_state, &zero);
	return p && st ? route_kernel(ctx, p, st) : -LOOM_DROP_HELPER;
}

/*
 * The packet can be sent to the backend's node as it is: through the tunnel, or to a next hop that
 * we know, since the kernel's routes would ask where the frontend is.
 */
plat_inline int svc_dsr(const struct pkt *p, int out)
{
	__u32 id = LOOM_OUT_INDEX(out);
	struct loom_node *n;

	if (!p->svc_outside || !(p->svc.flags & LOOM_SVC_DSR) || p->hook != LOOM_HOOK_FROM_NET)
		return 0;
	if (LOOM_OUT_KIND(out) == LOOM_OUT_TUNNEL)
		return 1;
	if (LOOM_OUT_KIND(out) != LOOM_OUT_NODE)
		return 0;
	n = plat_lookup(&loom_node, &id);
	return n && !addr_is_none(p->family == 4 ? &n->nexthop4 : &n->nexthop6);
}

/* Where packets to the backend in p->target go; `flags` are the flow's. */
plat_inline int svc_route(struct plat_ctx *ctx, struct pkt *p, __u32 flags, int out)
{
	if (out >= 0 && (flags & LOOM_CT_SVC_SNAT) && !(flags & LOOM_CT_HAIRPIN) &&
	    (p->target_flags & LOOM_REMOTE_NODE))
		return svc_underlay(ctx);
	return out;
}

/* What p->entry is to say about the backend; the rest of it is flow_entry()'s. */
plat_inline void svc_front(struct pkt *p, const struct loom_backend *b, __u32 number)
{
	struct loom_ct *ct = &p->entry;

	plat_zero(ct, sizeof(*ct));
	ct->flags = LOOM_CT_SVC;
	addr_copy(&ct->xaddr, &b->addr);
	ct->xport = b->port;
	ct->xport2 = p->sport;
	ct->service = p->svc.service;
	ct->backend = number;
}

/*
 * Where the flow of p->entry goes, whose flags are completed: LOOM_OUT() value, or a negative
 * reason. 0: as if there were no service, since an answer would need the number of another node's
 * address. That node is asked instead, and sees to it.
 */
plat_fn int svc_resolve(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0, flags;
	int out;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st)
		return -LOOM_DROP_HELPER;
	p->flags |= PKT_TRANSIT;
	p->target_scope = p->scope;
	addr_copy(&p->target, &p->entry.xaddr);
	out = route_resolve(ctx);
	if (out < 0)
		return out;
	if (svc_dsr(p, out)) {
		p->entry.flags |= LOOM_CT_DSR;
		return out;
	}
	flags = svc_source(p, st, out);
	if ((flags & LOOM_CT_SVC_SNAT) && !(flags & LOOM_CT_HAIRPIN) &&
	    addr_is_none(p->family == 4 ? &st->masq4 : &st->masq6))
		return -LOOM_DROP_NAT_NO_ADDR;
	/* An answer from outside comes back to the default network. */
	if ((flags & LOOM_CT_SVC_SNAT) && p->scope && svc_leaves(out))
		return -LOOM_DROP_NO_ROUTE;
	if ((flags & LOOM_CT_SVC_SNAT) && !p->svc_vip) {
		p->flags &= ~PKT_TRANSIT;
		return 0;
	}
	p->entry.flags |= flags;
	return svc_route(ctx, p, flags, out);
}

/*
 * A new flow to a service: front entry in p->entry, without what flow_entry() knows. 1; 0 when the
 * packet is for no service; or a negative reason.
 */
plat_fn int svc_start(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_backend *b;
	int number, err;

	if (!p || !svc_find(p) || svc_is_hosts(ctx, p))
		return 0;
	err = svc_allowed(p);
	if (err <= 0)
		return err;
	number = svc_choose(ctx, p);
	if (number < 0)
		return number;
	b = svc_backend(p, number);
	if (!b)
		return -LOOM_DROP_SVC_NO_BACKEND;
	svc_front(p, b, number);
	return 1;
}

/* The back entry for front entry `ct` of packet p, whose initiator is side b if `init_b`. */
plat_inline void svc_back(const struct pkt *p, const struct loom_ct *ct, int init_b,
			  struct loom_ct *ret)
{
	plat_zero(ret, sizeof(*ret));
	ret->seen = ct->seen;
	ret->created = ct->created;
	ret->flags = LOOM_CT_SVC_BACK | (init_b ? LOOM_CT_FROM_B : 0) |
		     (ct->flags & (LOOM_CT_SVC_SNAT | LOOM_CT_HAIRPIN | LOOM_CT_FROM_HOST));
	ret->backend = ct->backend;
	if (ct->flags & LOOM_CT_SVC_SNAT) {
		addr_copy(&ret->xaddr, &p->saddr);
		ret->xport = p->dport;
		ret->xport2 = p->sport;
		ret->vip = p->svc_vip;
	} else {
		addr_copy(&ret->xaddr, &p->daddr);
		ret->xport = p->dport;
		ret->xport2 = p->sport;
		ret->service = ct->service;
	}
}

/* `have` is the back entry of this very flow. */
plat_inline int svc_is_back(const struct loom_ct *have, const struct loom_ct *want)
{
	__u32 kind = LOOM_CT_SVC_BACK | LOOM_CT_SVC_SNAT;

	return (have->flags & kind) == (want->flags & kind) && have->xport == want->xport &&
	       have->xport2 == want->xport2 && have->vip == want->vip &&
	       have->backend == want->backend && addr_eq(&have->xaddr, &want->xaddr);
}

/*
 * Claims the tuple that front entry `ct` gives its packets. 0 when it is the flow's now, 1 when it
 * has been already, -EEXIST when somebody else has it, or another negative errno.
 */
plat_fn int svc_claim(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *have;
	struct loom_ctkey k;
	int init_b, err;

	if (!p || !ct)
		return -EINVAL;
	init_b = ct_pair_key(&p->key, ct, &k);
	svc_back(p, ct, init_b, &p->pair_entry);
	have = plat_lookup(&loom_ct, &k);
	if (have)
		return svc_is_back(have, &p->pair_entry) ? 1 : -EEXIST;
	err = plat_update(&loom_ct_new, &k, &p->pair_entry, BPF_NOEXIST);
	if (err == -EEXIST) {
		have = plat_lookup(&loom_ct_new, &k);
		return have && svc_is_back(have, &p->pair_entry) ? 1 : -EEXIST;
	}
	if (err)
		return err;
	/* Between look and claim, the flow that had it may have been confirmed. */
	if (plat_lookup(&loom_ct, &k)) {
		plat_delete(&loom_ct_new, &k);
		return -EEXIST;
	}
	return 0;
}

/* Both sides have spoken, and of TCP the client twice. */
plat_inline int svc_both_spoke(const struct loom_ctkey *k, const struct loom_ct *front,
			       const struct loom_ct *back)
{
	__u8 init = front->flags & LOOM_CT_FROM_B ? front->tcp_b : front->tcp_a;

	if (!(back->flags & LOOM_CT_REPLIED))
		return 0;
	return k->proto != IPPROTO_TCP || (init & TCP_ACK);
}

/*
 * The tuple of p->entry is somebody else's: forgets that flow if it is not confirmed. So a flood of
 * half-open ones costs some of these, and no port for long. 0 or negative.
 */
plat_fn int svc_evict(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *back, *front;
	struct loom_ctkey k, front_k;

	if (!p)
		return -EINVAL;
	ct_pair_key(&p->key, &p->entry, &k);
	back = plat_lookup(&loom_ct_new, &k);
	if (!back || !(back->flags & LOOM_CT_SVC_BACK))
		return -EEXIST;
	ct_pair_key(&k, back, &front_k);
	front = plat_lookup(&loom_ct_new, &front_k);
	if (front && svc_both_spoke(&k, front, back))
		return -EEXIST;
	plat_delete(&loom_ct_new, &front_k);
	plat_delete(&loom_ct_new, &k);
	return 0;
}

/* nat_evict() for the tuple of p->entry. */
plat_fn int svc_evict_ended(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;

	if (!p)
		return -EINVAL;
	ct_pair_key(&p->key, &p->entry, &k);
	return nat_evict(p, &k);
}

/* A source port for the flow in p->entry: the client's own when the node's address isn't needed. */
plat_fn int svc_claim_any(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	__u32 start, own, i;
	struct loom_ct *ct;
	int err;

	if (!p)
		return -LOOM_DROP_HELPER;
	ct = &p->entry;
	start = nat_hash(p) & 0xffff;
	own = !(ct->flags & LOOM_CT_SVC_SNAT) || (ct->flags & LOOM_CT_HAIRPIN);
	for (i = 0; i < NAT_PROBES && i < nat_range() + own; i++) {
		ct->xport2 = own && !i ? p->sport : nat_port(start, i - own);
		err = svc_claim(ctx, ct);
		if (err >= 0)
			return 0;
		if (err != -EEXIST)
			return -LOOM_DROP_CT_FULL;
	}
	for (i = 0; i < NAT_EVICTIONS; i++) {
		ct->xport2 = nat_port(start, plat_random(ctx) % NAT_PROBES);
		if (svc_evict_ended(ctx) && svc_evict(ctx))
			continue;
		if (svc_claim(ctx, ct) >= 0)
			return 0;
	}
	return -LOOM_DROP_SVC_PORTS;
}

/* Both entries of the flow in p->entry into loom_ct_new. 0 or a negative reason. */
plat_fn int svc_enter(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	int err;

	if (!p)
		return -LOOM_DROP_HELPER;
	if (!(p->entry.flags & LOOM_CT_DSR)) {
		err = svc_claim_any(ctx);
		if (err)
			return err;
	}
	return plat_update(&loom_ct_new, &p->key, &p->entry, BPF_ANY) ? -LOOM_DROP_CT_FULL : 0;
}

/* The flow's backend is still the one that it was given; `ready`: and takes new flows. */
plat_inline int svc_backend_stays(const struct loom_ct *ct, int ready)
{
	__u32 number = ct->backend, want = LOOM_BACKEND_PRESENT;
	struct loom_backend *b = plat_lookup(&loom_backend, &number);

	if (ready)
		want |= LOOM_BACKEND_READY;
	return b && (b->flags & (want | LOOM_BACKEND_GONE)) == want && b->port == ct->xport &&
	       addr_eq(&b->addr, &ct->xaddr);
}

/* The flow ends here: both entries, wherever they are. */
plat_fn int svc_forget(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;

	if (!p || !ct)
		return -EINVAL;
	if (ct_has_pair(ct)) {
		ct_pair_key(&p->key, ct, &k);
		plat_delete(&loom_ct, &k);
		plat_delete(&loom_ct_new, &k);
	}
	plat_delete(&loom_ct, &p->key);
	plat_delete(&loom_ct_new, &p->key);
	return 0;
}

/*
 * The client's packet in an unconfirmed flow. Its backend may have gone; its back entry may have
 * been pushed out of the LRU, and is claimed again. 1 when `ct` is as it was, 0 when it must be
 * looked up again, negative when the flow is no more and the packet starts another one.
 */
plat_fn int svc_keep(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	int err, begins;

	if (!p || !ct)
		return -EINVAL;
	begins = p->proto != IPPROTO_TCP || (p->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	if (!svc_backend_stays(ct, begins) && (p->flags & PKT_STARTS)) {
		svc_forget(ctx, ct);
		return -ESTALE;
	}
	if (ct->flags & LOOM_CT_DSR)
		return 1;
	/* Only an address of a service still has a number, once the packet is past its start. */
	p->svc_vip = 0;
	if ((ct->flags & LOOM_CT_SVC_SNAT) && !svc_find(p)) {
		svc_forget(ctx, ct);
		return -ESTALE;
	}
	p->entry = *ct;
	err = svc_claim(ctx, &p->entry);
	if (err >= 0)
		return err;
	plat_delete(&loom_ct_new, &p->key);
	return err;
}

/* Entry `ct` of the packet has been touched. 1 when both halves are in loom_ct now, else 0. */
plat_fn int svc_confirm(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *other, *v;
	struct loom_ctkey k;
	int front;

	if (!p || !ct || !ct_has_pair(ct))
		return 0;
	front = ct->flags & LOOM_CT_SVC;
	ct_pair_key(&p->key, ct, &k);
	other = plat_lookup(&loom_ct_new, &k);
	if (!other)
		other = plat_lookup(&loom_ct, &k);
	if (!other || !svc_both_spoke(&k, front ? ct : other, front ? other : ct))
		return 0;
	v = &p->pair_entry;
	*v = *other;
	v->flags |= LOOM_CT_REPLIED;
	p->entry = *ct;
	p->entry.flags |= LOOM_CT_REPLIED;
	if (ct_promote(&k, v))
		return 0;
	return ct_promote(&p->key, &p->entry) ? 0 : 1;
}

plat_inline void svc_reset(const struct pkt *p, struct loom_ct *ct)
{
	ct->tcp_a = 0;
	ct->tcp_b = 0;
	ct->created = p->tick;
	ct->seen = p->tick;
	ct->route_gen = 0;
	ct->flags &= ~(LOOM_CT_CLOSING | LOOM_CT_REPLIED);
}

plat_inline int svc_closed(const struct loom_ct *ct)
{
	return (ct->flags & LOOM_CT_CLOSING) || ((ct->tcp_a | ct->tcp_b) & TCP_FIN);
}

/*
 * A SYN in a flow of loom_ct. 0 when the flow goes on, with the same backend if there was an
 * earlier connection that has ended; negative when it is no more and the packet starts another one.
 */
plat_fn int svc_restart(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *other;
	struct loom_ctkey k;

	if (!p || !ct)
		return -EINVAL;
	if (ct->flags & LOOM_CT_DEAD)
		goto gone;
	ct_pair_key(&p->key, ct, &k);
	other = plat_lookup(&loom_ct, &k);
	if (!svc_closed(ct) && !(other && svc_closed(other)))
		return 0;
	if (!other || !(ct->flags & LOOM_CT_SVC) || !ct_from_initiator(p, ct) ||
	    !svc_backend_stays(ct, 1))
		goto gone;
	svc_reset(p, ct);
	svc_reset(p, other);
	return 0;
gone:
	svc_forget(ctx, ct);
	return -ESTALE;
}
