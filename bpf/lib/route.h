/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Where an address is: on this node, on another one, outside, nowhere. Asked for the first packet
 * of a flow and after a change of loom_state.route_gen only; the answer is kept in the entry.
 */
#include "bpf/lib/addr.h"

plat_inline int route_node(const struct loom_state *st, __u32 id)
{
	struct loom_node *n = plat_lookup(&loom_node, &id);

	if (id == st->node_id)
		return -LOOM_DROP_NO_ROUTE; /* ours, but no endpoint has it */
	if (!n || !(n->flags & LOOM_NODE_PRESENT))
		return -LOOM_DROP_NO_NODE;
	if (n->flags & LOOM_NODE_TUNNEL)
		return LOOM_OUT(LOOM_OUT_TUNNEL, id);
	return n->ifindex ? (int)LOOM_OUT(LOOM_OUT_NODE, id) : 0;
}

/* By the kernel's routes. */
plat_inline int route_kernel(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	int oif = plat_route(ctx, p);

	if (oif < 0)
		return -LOOM_DROP_NO_ROUTE;
	if (!oif)
		oif = st->uplink_ifindex;
	if (!oif || oif == (int)st->host_ifindex || oif == (int)st->overlay_ifindex)
		return -LOOM_DROP_NO_ROUTE;
	return LOOM_OUT(LOOM_OUT_NEIGH, oif);
}

plat_inline const struct loom_remote *route_remote(const struct loom_ipkey *k)
{
	const struct loom_remote *r = plat_lookup(&loom_ip, k);
	struct loom_cidrkey lpm;

	if (r)
		return r;
	lpm.prefixlen = 160;
	lpm.scope = k->scope;
	addr_copy(&lpm.addr, &k->addr);
	return plat_lookup(&loom_cidr, &lpm);
}

/*
 * Resolves p->target in p->target_scope to a LOOM_OUT() value, or a negative reason. What comes
 * from other machines (uplink, overlay) is delivered on this node or not at all, unless a service
 * sends it on (PKT_TRANSIT). Also sets target_flags, target_outside and target_gen.
 */
plat_fn int route_resolve(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	const struct loom_remote *r;
	struct loom_state *st;
	struct loom_ipkey k;
	struct loom_ep *ep;
	__u32 zero = 0;
	int out;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st)
		return -LOOM_DROP_HELPER;
	p->target_flags = 0;
	p->target_outside = 0;
	p->target_gen = plat_once(st->route_gen);
	k.scope = p->target_scope;
	k.pad = 0;
	addr_copy(&k.addr, &p->target);
	ep = plat_lookup(&loom_ep, &k);
	if (ep) {
		if (ep->flags & LOOM_EP_HOST)
			return LOOM_OUT(LOOM_OUT_STACK, 0);
		return LOOM_OUT(LOOM_OUT_PEER, ep->ifindex & 0x0fffffff);
	}
	if ((p->hook == LOOM_HOOK_FROM_NET || p->hook == LOOM_HOOK_FROM_OVERLAY) &&
	    !(p->flags & PKT_TRANSIT))
		return -LOOM_DROP_NO_ROUTE;
	r = route_remote(&k);
	if (r) {
		p->target_flags = r->flags;
		if (r->flags & LOOM_REMOTE_UNREACHABLE)
			return -LOOM_DROP_NO_ROUTE;
		out = r->node ? route_node(st, r->node) : 0;
		if (out)
			return out;
	}
	p->target_outside = !r || !r->node;
	if (p->target_outside && p->hook == LOOM_HOOK_FROM_HOST && !(p->flags & PKT_TRANSIT))
		return -LOOM_DROP_NO_ROUTE;
	return route_kernel(ctx, p, st);
}
