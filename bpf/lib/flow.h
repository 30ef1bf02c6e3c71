/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * From a parsed packet to its fate. flow_forward() is the fast way: one lookup in loom_ct, arrays
 * for the rest. What is not there goes through flow_slow(): unconfirmed flows, then new ones. A
 * flow remembers where both its directions go (out_a, out_b) until loom_state.route_gen moves on.
 */
#include "bpf/lib/deliver.h"
#include "bpf/lib/icmp_err.h"
#include "bpf/lib/policy.h"
#include "bpf/lib/route.h"
#include "bpf/lib/svc_flow.h"

plat_inline __u32 flow_out(const struct pkt *p, const struct loom_ct *ct)
{
	return p->flags & PKT_FROM_B ? ct->out_a : ct->out_b;
}

/* A front entry does not keep the address that its packets leave with: its other half does. */
plat_fn int flow_lost_back(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;

	if (!p || !ct)
		return 1;
	ct_pair_key(&p->key, ct, &k);
	return !plat_lookup(&loom_ct, &k) && !plat_lookup(&loom_ct_new, &k);
}

/* The node has another address than the one that the flow's answers would come to. */
plat_inline int flow_outdated(struct plat_ctx *ctx, const struct pkt *p,
			      const struct loom_state *st, struct loom_ct *ct)
{
	const union loom_addr *node = p->family == 4 ? &st->masq4 : &st->masq6;
	__u32 svc = ct->flags & (LOOM_CT_SVC_SNAT | LOOM_CT_HAIRPIN);

	if (ct->flags & LOOM_CT_SNAT)
		return !addr_eq(&ct->xaddr, node);
	if (svc != LOOM_CT_SVC_SNAT)
		return 0;
	return ct->flags & LOOM_CT_SVC ? flow_lost_back(ctx, ct) : !addr_eq(&p->daddr, node);
}

/* Whom the packet of a known flow is really for, to p->target. */
plat_inline void flow_target(struct pkt *p, const struct loom_ct *ct, int init)
{
	p->target_scope = p->scope;
	addr_copy(&p->target, &p->daddr);
	if (ct->flags & CT_SVC)
		p->flags |= PKT_TRANSIT;
	if (init && (ct->flags & LOOM_CT_SVC)) {
		addr_copy(&p->target, &ct->xaddr);
	} else if (!init && (ct->flags & LOOM_CT_SVC_BACK) && (ct->flags & LOOM_CT_SVC_SNAT)) {
		addr_copy(&p->target, &ct->xaddr);
	} else if (!init && (ct->flags & LOOM_CT_SNAT_BACK)) {
		p->target_scope = ct->xscope;
		addr_copy(&p->target, &ct->xaddr);
	}
}

/* Ways that differ from what the target's address alone says. */
plat_inline int flow_detour(struct plat_ctx *ctx, struct pkt *p, const struct loom_ct *ct, int out)
{
	if (out < 0)
		return out;
	if (ct->flags & LOOM_CT_DSR)
		return out;
	if (ct->flags & LOOM_CT_SVC)
		return svc_route(ctx, p, ct->flags, out);
	/* A node that asked by the underlay is answered there. */
	if (ct->flags & LOOM_CT_SVC_BACK)
		return p->target_flags & LOOM_REMOTE_NODE ? svc_underlay(ctx) : out;
	if (p->target_outside && ct->via && !(ct->flags & LOOM_CT_SNAT_BACK))
		return LOOM_OUT(LOOM_OUT_TUNNEL, ct->via & 0x0fffffff);
	return out;
}

/* Where this direction of a known flow goes, asked anew. LOOM_OUT() value or a negative reason. */
plat_fn int flow_resolve(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0, gen, route_gen;
	int out, init, err;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !ct || !st)
		return -LOOM_DROP_HELPER;
	if (ct->flags & LOOM_CT_DEAD)
		return -LOOM_DROP_SVC_GONE;
	if (flow_outdated(ctx, p, st, ct)) {
		plat_delete(&loom_ct, &p->key);
		plat_delete(&loom_ct_new, &p->key);
		return -LOOM_DROP_CT_INVALID; /* the next packet starts anew */
	}
	/* As it was before the look at the policies: a verdict must not seem newer than it is. */
	gen = plat_once(st->policy_gen);
	if (ct->policy_gen != gen) {
		err = policy_check(ctx, ct);
		if (err)
			return err;
		ct->policy_gen = gen;
	}
	route_gen = plat_once(st->route_gen);
	if (ct->route_gen != route_gen) {
		ct->out_a = 0;
		ct->out_b = 0;
		ct->route_gen = route_gen;
	}
	out = flow_out(p, ct);
	if (LOOM_OUT_KIND(out))
		return out;
	init = ct_from_initiator(p, ct);
	flow_target(p, ct, init);
	if (!init && (ct->flags & LOOM_CT_FROM_HOST))
		out = LOOM_OUT(LOOM_OUT_STACK, 0);
	else
		out = flow_detour(ctx, p, ct, route_resolve(ctx));
	/*
	 * Another CPU may have asked after the next change, or the collector have ended the flow:
	 * what they have noted meanwhile is to stay.
	 */
	if (out < 0 || plat_once(ct->route_gen) != route_gen ||
	    (plat_once(ct->flags) & LOOM_CT_DEAD))
		return out;
	if (p->flags & PKT_FROM_B)
		ct->out_a = out;
	else
		ct->out_b = out;
	return out;
}

/* The last steps for the packet of a flow that goes to `out`. 0 or a negative reason. */
plat_inline int flow_send(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st,
			  struct loom_ct *ct, __u32 out)
{
	int err;

	if (ct->flags & LOOM_CT_HAIRPIN)
		p->flags |= PKT_HAIRPIN;
	err = deliver_check(ctx, p, st, out);
	if (err)
		return err;
	if (ct->flags & CT_TRANSLATED) {
		err = xlate_packet(ctx, ct);
		if (err)
			return err;
	}
	if (deliver_headers(ctx, p))
		return -LOOM_DROP_HELPER;
	return deliver_finish(ctx, p);
}

/* Sends a packet of a known flow on its way. */
plat_inline int flow_known(struct plat_ctx *ctx, struct pkt *p, struct loom_ct *ct)
{
	__u32 zero = 0, out = flow_out(p, ct);
	struct loom_state *st;
	int err;

	st = plat_lookup(&loom_state, &zero);
	if (!st)
		return -LOOM_DROP_HELPER;
	if (!LOOM_OUT_KIND(out) || ct->route_gen != st->route_gen ||
	    ct->policy_gen != st->policy_gen) {
		err = flow_resolve(ctx, ct);
		if (err < 0)
			return err;
		out = err;
	}
	return flow_send(ctx, p, st, ct, out);
}

/*
 * May the packet begin a flow from this hook? 0 or a negative reason. The host may always send:
 * with native transport it answers requests that came in by the uplink, which are not tracked.
 */
plat_inline int flow_admit(struct pkt *p)
{
	int err = addr_check_unicast(&p->daddr, p->family == 4);

	if (!err)
		err = addr_check_unicast(&p->saddr, p->family == 4);
	if (err == -LOOM_DROP_MULTICAST || err == -LOOM_DROP_LINK_LOCAL)
		p->flags |= PKT_QUIET;
	if (err)
		return err;
	if (p->hook == LOOM_HOOK_FROM_HOST)
		return 0;
	if (p->flags & PKT_ERROR)
		return -LOOM_DROP_ICMP_UNRELATED;
	return p->flags & PKT_STARTS ? 0 : -LOOM_DROP_CT_INVALID;
}

plat_inline int flow_is_ours(int out)
{
	return out >= 0 && LOOM_OUT_KIND(out) == LOOM_OUT_PEER;
}

/* Does the pod's packet to the outside need the node's address? */
plat_inline int flow_masquerades(const struct pkt *p, const struct loom_state *st)
{
	return p->hook == LOOM_HOOK_FROM_POD && p->target_outside &&
	       (st->flags & LOOM_STATE_MASQUERADE) && !(p->target_flags & LOOM_REMOTE_NO_MASQ);
}

/* Before policy_check(), whose verdict is of this moment or later; `out` is of p->target_gen. */
plat_inline void flow_entry(const struct pkt *p, const struct loom_state *st, int out,
			    struct loom_ct *ct)
{
	ct->seen = p->tick;
	ct->created = p->tick;
	ct->route_gen = p->target_gen;
	ct->policy_gen = plat_once(st->policy_gen);
	if (p->hook == LOOM_HOOK_FROM_HOST)
		ct->flags |= LOOM_CT_FROM_HOST;
	if (p->flags & PKT_FROM_B) {
		ct->flags |= LOOM_CT_FROM_B;
		ct->tcp_b = p->tcp_flags;
		ct->out_a = out;
	} else {
		ct->tcp_a = p->tcp_flags;
		ct->out_b = out;
	}
}

/* Enters a new flow, in p->entry, into loom_ct_new. 0 or a negative reason. */
plat_inline int flow_create(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st,
			    int out)
{
	struct loom_ct *ct = &p->entry;
	int err;

	plat_zero(ct, sizeof(*ct));
	ct->via = p->peer_node;
	flow_entry(p, st, out, ct);
	err = policy_check(ctx, ct);
	if (err)
		return err;
	if (flow_masquerades(p, st)) {
		err = nat_masquerade(ctx, ct);
		if (err)
			return err;
	}
	err = plat_update(&loom_ct_new, &p->key, ct, BPF_ANY);
	return err && (ct->flags & LOOM_CT_SNAT) ? -LOOM_DROP_CT_FULL : 0;
}

/* Who answers a SYN has been asked: no flow to a service begins so. */
plat_inline int flow_may_be_svc(const struct pkt *p, const struct loom_state *st)
{
	return (st->flags & LOOM_STATE_SERVICES) && (p->flags & PKT_STARTS) &&
	       (p->tcp_flags & (TCP_SYN | TCP_ACK)) != (TCP_SYN | TCP_ACK) &&
	       !(p->flags & (PKT_ERROR | PKT_LATER_FRAG)) &&
	       !addr_check_unicast(&p->daddr, p->family == 4);
}

/* The first packet of a flow to a service, whose front entry is in p->entry. */
plat_fn int flow_start_svc(struct plat_ctx *ctx, __u32 out)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0;
	int err;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st)
		return -LOOM_DROP_HELPER;
	flow_entry(p, st, out, &p->entry);
	if (p->entry.flags & LOOM_CT_HAIRPIN)
		p->flags |= PKT_HAIRPIN;
	err = deliver_check(ctx, p, st, out);
	if (!err)
		err = policy_check(ctx, &p->entry);
	if (!err)
		err = svc_enter(ctx);
	return err ? err : flow_send(ctx, p, st, &p->entry, out);
}

/* The first packet of a flow. 0 or a negative reason; LOOM_OUT() value for flow_start_svc(). */
plat_fn int flow_start(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0;
	int out, err;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st)
		return -LOOM_DROP_HELPER;
	if (flow_may_be_svc(p, st)) {
		err = addr_check_unicast(&p->saddr, p->family == 4);
		out = err ? 0 : svc_start(ctx);
		if (out > 0)
			out = svc_resolve(ctx);
		if (out)
			return out;
	}
	p->target_scope = p->scope;
	addr_copy(&p->target, &p->daddr);
	out = route_resolve(ctx);
	if (p->hook == LOOM_HOOK_FROM_NET && !flow_is_ours(out)) {
		p->flags |= PKT_PASS;
		p->v_kind = VERDICT_STACK;
		return 0;
	}
	err = flow_admit(p);
	if (err)
		return err;
	if (out < 0)
		return out;
	if (p->hook == LOOM_HOOK_FROM_HOST && LOOM_OUT_KIND(out) == LOOM_OUT_STACK)
		return -LOOM_DROP_LOOP;
	err = deliver_check(ctx, p, st, out);
	if (err)
		return err;
	if ((p->flags & PKT_ERROR) || !(p->flags & PKT_STARTS))
		return deliver_headers(ctx, p) ? -LOOM_DROP_HELPER : deliver_finish(ctx, p);
	err = flow_create(ctx, p, st, out);
	return err ? err : flow_send(ctx, p, st, &p->entry, out);
}

/*
 * The initiator of a masqueraded flow that nobody has answered yet: its wire side may have been
 * pushed out of the LRU, and is claimed again. 0; 1 when it was claimed, which may have pushed out
 * any other entry, this flow's too; -EEXIST when somebody else has the port now.
 */
plat_fn int flow_keep_wire(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ctkey k;
	struct loom_ct *wire;

	if (!p || !ct)
		return -EINVAL;
	ct_pair_key(&p->key, ct, &k);
	wire = plat_lookup(&loom_ct_new, &k);
	if (!wire)
		wire = plat_lookup(&loom_ct, &k);
	if (!wire)
		return nat_claim(ctx, ct) ? -EEXIST : 1;
	return addr_eq(&wire->xaddr, &p->saddr) && wire->xport == p->sport ? 0 : -EEXIST;
}

/* The packet's entry in loom_ct_new with, if it is half of a pair, its other half; or NULL. */
plat_inline struct loom_ct *flow_unconfirmed(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_ct *ct = plat_lookup(&loom_ct_new, &p->key);
	int kept;

	if (!ct || (p->flags & PKT_ERROR) || !(ct->flags & (LOOM_CT_SNAT | LOOM_CT_SVC)) ||
	    !ct_from_initiator(p, ct))
		return ct;
	if (ct->flags & LOOM_CT_SVC) {
		kept = svc_keep(ctx, ct);
		return kept > 0 ? ct : kept < 0 ? NULL : plat_lookup(&loom_ct_new, &p->key);
	}
	kept = flow_keep_wire(ctx, ct);
	if (!kept)
		return ct;
	if (kept > 0)
		return plat_lookup(&loom_ct_new, &p->key);
	plat_delete(&loom_ct_new, &p->key);
	return NULL;
}

/*
 * The answer to a masqueraded flow came in on its wire side: the pod side is confirmed with it, and
 * made again if it has been pushed out of the LRU.
 */
plat_fn int flow_confirm_pod_side(struct plat_ctx *ctx, struct loom_ct *wire)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *v, *pod;
	struct loom_ctkey k;
	int init_b;

	if (!p || !wire)
		return -EINVAL;
	v = &p->pair_entry;
	init_b = ct_pair_key(&p->key, wire, &k);
	pod = plat_lookup(&loom_ct_new, &k);
	if (pod) {
		*v = *pod;
	} else {
		plat_zero(v, sizeof(*v));
		v->created = wire->created;
		v->flags = LOOM_CT_SNAT | (init_b ? LOOM_CT_FROM_B : 0);
		addr_copy(&v->xaddr, &p->daddr);
		v->xport = p->dport;
	}
	v->seen = p->tick;
	v->flags |= LOOM_CT_REPLIED;
	return ct_promote(&k, v);
}

/*
 * A SYN on the ports of an ended connection, which is no service's. 0: the flow goes on with it. 1:
 * the flow is no more, and the packet is judged like any that begins one, since it is of the other
 * side. Negative: nobody can begin a flow to a pod by the address that the pod was masqueraded
 * with.
 */
plat_inline int flow_restart(struct plat_ctx *ctx, struct pkt *p, struct loom_ct *ct)
{
	if (ct_from_initiator(p, ct)) {
		ct_restart(p, ct);
		return 0;
	}
	if (ct->flags & CT_NAT)
		return -LOOM_DROP_CT_INVALID;
	plat_delete(&loom_ct, &p->key);
	plat_delete(&loom_ct_new, &p->key);
	return 1;
}

/* A packet of a flow in loom_ct_new. 1 when the entry has moved to loom_ct, 0 when it stays. */
plat_fn int flow_confirm(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);

	if (!p || !ct)
		return 0;
	ct_touch(p, ct);
	if (!ct_from_initiator(p, ct))
		ct->flags |= LOOM_CT_REPLIED;
	if (ct->flags & CT_SVC)
		return svc_confirm(ctx, ct);
	if (!ct_confirmed(&p->key, ct))
		return 0;
	if ((ct->flags & LOOM_CT_SNAT_BACK) && flow_confirm_pod_side(ctx, ct))
		return 0;
	p->entry = *ct;
	return ct_promote(&p->key, &p->entry) ? 0 : 1;
}

/* What is not in loom_ct. 0 or a negative reason; 1 when the packet begins a flow. */
plat_fn int flow_slow(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_ct *ct;
	int err;

	if (!p)
		return -LOOM_DROP_HELPER;
	ct = flow_unconfirmed(ctx, p);
	/* Those of services have been seen to by svc_keep(). */
	if (ct && !(p->flags & PKT_ERROR) && !(ct->flags & CT_SVC) && ct_restarts(p, ct)) {
		err = flow_restart(ctx, p, ct);
		if (err)
			return err;
	}
	/* The copy that was moved will do for this packet, and spares looking it up. */
	if (ct && !(p->flags & PKT_ERROR) && flow_confirm(ctx, ct))
		ct = &p->entry;
	return ct ? flow_known(ctx, p, ct) : 1;
}

/* p->key and direction, from the packet or from what it quotes. 0 or a negative reason. */
plat_inline int flow_identify(struct plat_ctx *ctx, struct pkt *p)
{
	if ((p->flags & PKT_ERROR) && !(p->flags & PKT_LATER_FRAG))
		return icmp_err_parse(ctx);
	ct_key_of(p, &p->saddr, &p->daddr, p->proto);
	return 0;
}

/* A packet of a flow in loom_ct. 0 or a negative reason; 1 when it begins a flow after all. */
plat_inline int flow_confirmed(struct plat_ctx *ctx, struct pkt *p, struct loom_ct *ct)
{
	int err;

	if (!(p->flags & PKT_ERROR)) {
		if (ct_restarts(p, ct)) {
			if (ct->flags & CT_SVC)
				err = svc_restart(ctx, ct) ? 1 : 0;
			else
				err = flow_restart(ctx, p, ct);
			if (err)
				return err;
		}
		ct_touch(p, ct);
		if (!(ct->flags & LOOM_CT_REPLIED) && !ct_from_initiator(p, ct))
			ct->flags |= LOOM_CT_REPLIED;
	}
	return flow_known(ctx, p, ct);
}

/*
 * A packet of no known flow. One after the other from here, and not one from the other, since the
 * stack of functions that call each other is small.
 */
plat_inline int flow_begin(struct plat_ctx *ctx)
{
	int out = flow_start(ctx);

	return out > 0 ? flow_start_svc(ctx, out) : out;
}

/* A parsed packet, whatever its hook: verdict in p->v_*; 0 or a negative reason. */
plat_inline int flow_forward(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_ct *ct;
	int err;

	err = flow_identify(ctx, p);
	if (err)
		return err;
	ct = plat_lookup(&loom_ct, &p->key);
	err = ct ? flow_confirmed(ctx, p, ct) : flow_slow(ctx);
	return err > 0 ? flow_begin(ctx) : err;
}
