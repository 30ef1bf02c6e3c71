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

plat_inline void policy_set(struct plat_ctx *ctx, __u32 policy, __u32 peer, __u32 kind)
{
	struct loom_polkey k = { .policy = policy, .peer = peer, .kind = kind };
	const struct loom_polset *set = plat_lookup(&loom_pol, &k);

	if (set)
		policy_scan(ctx, set->first, set->count);
}

/* Rules about identities. 0, or -ENOENT: the peer is of the cluster, but nobody knows who. */
plat_inline int policy_identity(struct plat_ctx *ctx, const struct pkt *p, __u32 policy)
{
	const struct loom_remote *r;
	struct loom_ipkey k;
	__u32 *identity;

	k.scope = p->pol_scope;
	k.pad = 0;
	addr_copy(&k.addr, &p->pol_peer);
	identity = plat_lookup(&loom_ident, &k);
	if (identity) {
		policy_set(ctx, policy, *identity, LOOM_PEER_IDENTITY);
		return 0;
	}
	if (plat_lookup(&loom_ep, &k))
		return -ENOENT;
	r = route_remote(&k);
	return r && r->node ? -ENOENT : 0;
}

plat_inline void policy_class(struct plat_ctx *ctx, const struct pkt *p, __u32 policy)
{
	struct loom_cidrkey k;
	__u32 *class;

	k.prefixlen = 160;
	k.scope = p->pol_scope;
	addr_copy(&k.addr, &p->pol_peer);
	class = plat_lookup(&loom_class, &k);
	if (class)
		policy_set(ctx, policy, *class, LOOM_PEER_CLASS);
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
	struct loom_polkey k = { .policy = policy, .kind = LOOM_PEER_ANY };
	struct pkt *p = plat_pkt(ctx);
	const struct loom_polset *any;
	__u32 flags;
	int denied;

	if (!p)
		return POLICY_DENIES;
	any = plat_lookup(&loom_pol, &k);
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

/* Ends of a flow: who began it, whom it reaches. */
struct policy_ends {
	union loom_addr src, dst;
	__u32 src_scope;
	__be16 dport;
};

plat_inline void policy_ends(const struct loom_ctkey *k, const struct loom_ct *ct,
			     struct policy_ends *ret)
{
	int init_b = !!(ct->flags & LOOM_CT_FROM_B);

	addr_copy(&ret->src, init_b ? &k->b : &k->a);
	addr_copy(&ret->dst, init_b ? &k->a : &k->b);
	ret->dport = init_b ? k->pa : k->pb;
	ret->src_scope = k->scope;
	if (ct->flags & LOOM_CT_SNAT_BACK) {
		addr_copy(&ret->src, &ct->xaddr);
		ret->src_scope = ct->xscope;
	} else if (ct->flags & LOOM_CT_SVC) {
		addr_copy(&ret->dst, &ct->xaddr);
		ret->dport = ct->xport;
	} else if ((ct->flags & LOOM_CT_SVC_BACK) && (ct->flags & LOOM_CT_SVC_SNAT)) {
		addr_copy(&ret->src, &ct->xaddr);
	}
}

/* Number of the endpoint on this node that has the address; 0: none. */
plat_inline __u32 policy_endpoint(__u32 scope, const union loom_addr *addr, int *ret_host)
{
	struct loom_ipkey k;
	struct loom_ep *ep;

	k.scope = scope;
	k.pad = 0;
	addr_copy(&k.addr, addr);
	ep = plat_lookup(&loom_ep, &k);
	*ret_host = ep && (ep->flags & LOOM_EP_HOST);
	return ep && !*ret_host ? ep->ep : 0;
}

/* One direction of p->pol_*, at endpoint `ep`. 0 or a negative reason; `dir`: 0 egress, 1 ingress.
 */
plat_inline int policy_direction(struct plat_ctx *ctx, struct pkt *p, __u32 ep, int dir)
{
	const struct loom_epol *e = plat_lookup(&loom_epol, &ep);
	__u32 policy;
	int verdict;

	p->aux = dir;
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
	}
	return 0;
}

/*
 * May the flow of p->key and `ct` be? 0 or a negative reason. A pod that talks to its own address
 * is never seen here; one that reaches itself through a service is judged as any two pods are.
 */
plat_fn int policy_check(struct plat_ctx *ctx, struct loom_ct *ct)
{
	struct pkt *p = plat_pkt(ctx);
	const struct loom_epol *node;
	struct policy_ends ends;
	__u32 zero = 0, src, dst;
	int err = 0, host, ignored;

	node = plat_lookup(&loom_epol, &zero);
	if (!p || !ct || !node)
		return -LOOM_DROP_HELPER;
	if (!(node->flags & LOOM_EPOL_ENFORCED))
		return 0;
	policy_ends(&p->key, ct, &ends);
	src = policy_endpoint(ends.src_scope, &ends.src, &host);
	dst = policy_endpoint(p->key.scope, &ends.dst, &ignored);
	p->pol_port = ends.dport;
	p->pol_proto = p->key.proto;
	if (src) {
		p->pol_scope = p->key.scope;
		addr_copy(&p->pol_peer, &ends.dst);
		err = policy_direction(ctx, p, src, 0);
	}
	if (err || !dst)
		return err;
	if (host && (ct->flags & LOOM_CT_FROM_HOST) && !(node->flags & LOOM_EPOL_NOT_HOST))
		return 0;
	p->pol_scope = ends.src_scope;
	addr_copy(&p->pol_peer, &ends.src);
	err = policy_direction(ctx, p, dst, 1);
	if (err && !p->ep)
		p->ep = dst;
	return err;
}
