/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Who sent a tunnel's packet: p->outer has to be a node. Nobody else takes part in any flow, for
 * whoever can send a datagram to the overlay's port, a pod too, could put any sender inside of it.
 */
#include "bpf/lib/addr.h"

/* The node that the flow's entry knows the packet's sender to be behind; 0 when it doesn't say. */
plat_inline __u32 tunnel_node(const struct pkt *p, const struct loom_ct *ct)
{
	__u32 out = p->flags & PKT_FROM_B ? ct->out_b : ct->out_a, number = ct->backend;
	const struct loom_backend *b;

	if (LOOM_OUT_KIND(out) == LOOM_OUT_TUNNEL)
		return LOOM_OUT_INDEX(out);
	if (!(ct->flags & LOOM_CT_SVC_BACK))
		return 0;
	b = plat_lookup(&loom_backend, &number);
	return b ? b->node : 0;
}

/*
 * Sets p->peer_node, or returns the negative reason. An established flow mostly names the node, so
 * its packets pay for arrays only; `ct` may be NULL.
 */
plat_inline int tunnel_peer(struct pkt *p, const struct loom_ct *ct)
{
	__u32 id = ct ? tunnel_node(p, ct) : 0;
	const struct loom_node *n = id ? plat_lookup(&loom_node, &id) : NULL;
	struct loom_ipkey k = { .scope = 0 };
	const struct loom_remote *r;

	if (n && addr_eq(&n->underlay, &p->outer)) {
		p->peer_node = id;
		return 0;
	}
	addr_copy(&k.addr, &p->outer);
	r = plat_lookup(&loom_ip, &k);
	if (!r || !(r->flags & LOOM_REMOTE_NODE) || !r->node)
		return -LOOM_DROP_TUNNEL_PEER;
	p->peer_node = r->node;
	return 0;
}
