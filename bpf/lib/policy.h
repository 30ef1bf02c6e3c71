/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Policy (shared/loom_pol.h): may this flow be? Asked for the first packet of a flow and after
 * loom_state.policy_gen has moved on, never for other packets. A flow is judged as a whole, by who
 * began it and whom it reaches behind all services: egress where its source is a pod of this node,
 * ingress where its destination is one. So answers, and ICMP errors that belong to it, pass with
 * it.
 */
#include "bpf/lib/account.h"
#include "bpf/lib/ct.h"
#include "bpf/lib/route.h"

#define POLICY_NONE 0xffffffffu

enum policy_verdict { POLICY_PASSES, POLICY_DENIES, POLICY_LOGS };

/* ---- one policy ---- */

/* The matching rule of lowest order of each tier, from the rules of one set, to p->pol_best. */
plat_fn int policy_scan(struct plat_ctx *ctx, __u32 first, __u32 count)
{
	struct pkt *p = plat_pkt(ctx);
	__u32 i, best;
	__u16 port;

	if (!p)
		return 0;
	port = plat_ntohs(p->pol_port);
	for (i = 0; i < LOOM_POLSET_MAX && i < count; i++) {
		__u32 index = first + i, tier;
		const struct loom_polrule *r = plat_lookup(&loom_polrule, &index);

		if (!r)
			break;
		if (r->proto && (r->proto != p->pol_proto || port < r->lo || port > r->hi))
			continue;
		tier = r->verdict >> 4;
		best = (__u32)r->order << 8 | (r->verdict & 0xf);
		if (tier < LOOM_TIERS && best < p->pol_best[tier])
			p->pol_best[tier] = best;
	}
	return 0;
}

plat_inline const struct loom_polset *policy_find(struct pkt *p, __u32 policy, __u32 peer,
						  __u32 kind)
{
	p->pol_key.policy = policy;
	p->pol_key.peer = peer;
	p->pol_key.kind = kind;
	return plat_lookup(&loom_pol, &p->pol_key);
}

plat_inline void policy_set(struct plat_ctx *ctx, struct pkt *p, __u32 policy, __u32 peer,
			    __u32 kind)
{
	const struct loom_polset *set = policy_find(p, policy, peer, kind);

	if (set)
		policy_scan(ctx, set->first, set->count);
}

plat_inline void policy_ip_key(struct pkt *p, __u32 scope, const union loom_addr *addr)
{
	p->pol_ip.scope = scope;
	p->pol_ip.pad = 0;
	addr_copy(&p->pol_ip.addr, addr);
}

plat_inline void policy_cidr_key(struct pkt *p)
{
	p->pol_cidr.prefixlen = 160;
	p->pol_cidr.scope = p->pol_scope;
	addr_copy(&p->pol_cidr.addr, &p->pol_peer);
}

/* Rules about identities. 0, or -ENOENT: the peer is of the cluster, but nobody knows who. */
plat_inline int policy_identity(struct plat_ctx *ctx, struct pkt *p, __u32 policy)
{
	const struct loom_remote *r;
	__u32 *identity;

	policy_ip_key(p, p->pol_scope, &p->pol_peer);
	identity = plat_lookup(&loom_ident, &p->pol_ip);
	if (identity) {
		policy_set(ctx, p, policy, *identity, LOOM_PEER_IDENTITY);
		return 0;
	}
	if (plat_lookup(&loom_ep, &p->pol_ip))
		return -ENOENT;
	r = plat_lookup(&loom_ip, &p->pol_ip);
	if (!r) {
		policy_cidr_key(p);
		r = plat_lookup(&loom_cidr, &p->pol_cidr);
	}
	return r && r->node ? -ENOENT : 0;
}

plat_inline void policy_class(struct plat_ctx *ctx, struct pkt *p, __u32 policy)
{
	__u32 *class;

	policy_cidr_key(p);
	class = plat_lookup(&loom_class, &p->pol_cidr);
	if (class)
		policy_set(ctx, p, policy, *class, LOOM_PEER_CLASS);
}

/* What the tiers' best rules come to: 0 accepted, 1 denied. */
plat_inline int policy_tiers(const struct pkt *p, int isolates)
{
	__u32 admin = p->pol_best[LOOM_TIER_ADMIN], base = p->pol_best[LOOM_TIER_BASELINE];

	if (admin != POLICY_NONE && (admin & 0xff) != LOOM_POL_PASS)
		return (admin & 0xff) == LOOM_POL_DENY;
	if (p->pol_best[LOOM_TIER_NP] != POLICY_NONE)
		return 0;
	if (isolates)
		return 1;
	return base != POLICY_NONE && (base & 0xff) == LOOM_POL_DENY;
}

/* What policy (not 0) says of p->pol_*. enum policy_verdict. */
plat_fn int policy_judge(struct plat_ctx *ctx, __u32 policy)
{
	struct pkt *p = plat_pkt(ctx);
	const struct loom_polset *any;
	__u32 flags;
	int denied;

	if (!p)
		return POLICY_DENIES;
	any = policy_find(p, policy, 0, LOOM_PEER_ANY);
	if (!any)
		return POLICY_DENIES;
	flags = any->flags;
	p->pol_best[LOOM_TIER_ADMIN] = POLICY_NONE;
	p->pol_best[LOOM_TIER_NP] = POLICY_NONE;
	p->pol_best[LOOM_TIER_BASELINE] = POLICY_NONE;
	policy_scan(ctx, any->first, any->count);
	denied = 0;
	if ((flags & LOOM_POLSET_SELECTS) && policy_identity(ctx, p, policy))
		denied = flags & LOOM_POLSET_STRICT;
	if (!denied && (flags & LOOM_POLSET_CLASSES))
		policy_class(ctx, p, policy);
	if (!denied)
		denied = policy_tiers(p, flags & LOOM_POLSET_ISOLATES);
	if (!denied)
		return POLICY_PASSES;
	return flags & LOOM_POLSET_LOG_ONLY ? POLICY_LOGS : POLICY_DENIES;
}

/* ---- a flow ---- */

/* Who began the flow, and whom it reaches: p->pol_src, p->pol_dst and p->pol_port. */
plat_inline void policy_ends(struct pkt *p, const struct loom_ct *ct)
{
	const struct loom_ctkey *k = &p->key;
	int init_b = !!(ct->flags & LOOM_CT_FROM_B);

	addr_copy(&p->pol_src, init_b ? &k->b : &k->a);
	addr_copy(&p->pol_dst, init_b ? &k->a : &k->b);
	p->pol_port = init_b ? k->pa : k->pb;
	p->pol_src_scope = k->scope;
	if (ct->flags & LOOM_CT_SNAT_BACK) {
		addr_copy(&p->pol_src, &ct->xaddr);
		p->pol_src_scope = ct->xscope;
	} else if (ct->flags & LOOM_CT_SVC) {
		addr_copy(&p->pol_dst, &ct->xaddr);
		p->pol_port = ct->xport;
	} else if ((ct->flags & LOOM_CT_SVC_BACK) && (ct->flags & LOOM_CT_SVC_SNAT)) {
		addr_copy(&p->pol_src, &ct->xaddr);
	}
}

/* The endpoint on this node that has the address, the node's own addresses among them, or NULL. */
plat_inline const struct loom_ep *policy_endpoint(struct pkt *p, __u32 scope,
						  const union loom_addr *addr)
{
	policy_ip_key(p, scope, addr);
	return plat_lookup(&loom_ep, &p->pol_ip);
}

plat_inline int policy_is_pod(const struct loom_ep *ep)
{
	return ep && !(ep->flags & LOOM_EP_HOST);
}

/* One direction of p->pol_*, at endpoint `ep`. 0 or a negative reason; `dir`: 0 egress, 1 ingress.
 */
plat_inline int policy_direction(struct plat_ctx *ctx, struct pkt *p, __u32 ep, int dir)
{
	const struct loom_epol *e = plat_lookup(&loom_epol, &ep);
	__u32 policy;
	int verdict;

	p->pol_ep = ep;
	p->pol_ingress = dir;
	if (!e || !(e->flags & LOOM_EPOL_KNOWN))
		return -LOOM_DROP_POLICY_PENDING;
	policy = dir ? e->policy_in : e->policy_out;
	if (!policy)
		return 0;
	verdict = policy_judge(ctx, policy);
	if (verdict == POLICY_DENIES)
		return -LOOM_DROP_POLICY;
	if (verdict == POLICY_LOGS) {
		account_metric(ctx, p, LOOM_DROP_POLICY_LOGGED);
		account_event(ctx, p, LOOM_DROP_POLICY_LOGGED);
		account_denied(ctx, LOOM_DROP_POLICY_LOGGED);
	}
	return 0;
}

/* The node's own host may reach its pods. */
plat_inline int policy_exempts(const struct loom_epol *node, const struct loom_ct *ct,
			       const struct loom_ep *src)
{
	return src && (src->flags & LOOM_EP_HOST) && (ct->flags & LOOM_CT_FROM_HOST) &&
	       !(node->flags & LOOM_EPOL_NOT_HOST);
}

/*
 * May the flow of p->key and `ct` be? 0 or a negative reason. A pod that talks to its own address
 * is never seen here; one that reaches itself through a service is judged as any two pods are.
 */
plat_fn int policy_check(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	const struct loom_ep *src, *dst;
	const struct loom_epol *node;
	__u32 zero = 0;
	int err = 0;

	node = plat_lookup(&loom_epol, &zero);
	if (!p || !ct || !node)
		return -LOOM_DROP_HELPER;
	if (!(node->flags & LOOM_EPOL_ENFORCED))
		return 0;
	policy_ends(p, ct);
	p->pol_proto = p->key.proto;
	src = policy_endpoint(p, p->pol_src_scope, &p->pol_src);
	dst = policy_endpoint(p, p->key.scope, &p->pol_dst);
	if (policy_is_pod(src)) {
		p->pol_scope = p->key.scope;
		addr_copy(&p->pol_peer, &p->pol_dst);
		err = policy_direction(ctx, p, src->ep, 0);
	}
	if (err || !policy_is_pod(dst) || policy_exempts(node, ct, src))
		return err;
	p->pol_scope = p->pol_src_scope;
	addr_copy(&p->pol_peer, &p->pol_src);
	err = policy_direction(ctx, p, dst->ep, 1);
	if (err && !p->ep)
		p->ep = dst->ep;
	return err;
}
