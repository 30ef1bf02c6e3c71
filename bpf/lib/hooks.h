/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * What each hook does before and after the flow: which links it serves, what it checks, how it ends
 * a packet that may not pass. hook_*() return 0 with a verdict in plat_pkt(ctx), or the negative
 * reason, counted already.
 */
#include "bpf/lib/arp.h"
#include "bpf/lib/flow.h"
#include "bpf/lib/peek.h"
#include "bpf/lib/refuse.h"
#include "bpf/lib/spoof.h"
#include "bpf/lib/tunnel.h"

plat_inline struct loom_ifcfg *pkt_link(struct pkt *p)
{
	__u32 ifindex = p->ifindex;
	struct loom_ifcfg *cfg = plat_lookup(&loom_ifcfg, &ifindex);

	if (cfg && (cfg->flags & LOOM_IF_RAW_IP)) {
		p->flags |= PKT_RAW_IP;
		p->l3 = 0;
	}
	return cfg;
}

/* Ends a packet: counted as dropped, and perhaps turned into an answer to its sender. */
plat_fn int hook_fail(struct plat_ctx *ctx, int reason)
{
	int err = account_drop(ctx, reason);

	if (reason == -LOOM_DROP_TTL || reason == -LOOM_DROP_MTU || reason == -LOOM_DROP_NO_ROUTE ||
	    reason == -LOOM_DROP_NO_NODE) {
		if (!icmp_gen(ctx, reason))
			return 0;
	}
	if (reason == -LOOM_DROP_SVC_NO_BACKEND || reason == -LOOM_DROP_SVC_GONE) {
		if (!refuse(ctx, reason))
			return 0;
	}
	return err;
}

plat_inline int hook_pass(struct pkt *p)
{
	p->flags |= PKT_PASS;
	p->v_kind = VERDICT_STACK;
	return 0;
}

plat_inline int hook_from_pod(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_ifcfg *cfg;
	int err;

	pkt_init(ctx, p, LOOM_HOOK_FROM_POD);
	cfg = pkt_link(p);
	if (!cfg || cfg->role != LOOM_IF_POD)
		return hook_fail(ctx, -LOOM_DROP_NO_ENDPOINT);
	p->scope = cfg->scope;
	p->ep = cfg->ep;
	/* Nothing on the way takes the tag off: the pod would choose a VLAN of the uplink's. */
	if (plat_vlan(ctx))
		err = -LOOM_DROP_ETHERTYPE;
	else if (p->ethertype == ETH_P_ARP)
		err = arp_from_pod(ctx);
	else if (!pkt_is_ip(p))
		err = -LOOM_DROP_ETHERTYPE;
	else
		err = parse_ip(ctx, p);
	if (!err && p->family)
		err = spoof_check(p, cfg);
	if (!err && p->family)
		err = flow_forward(ctx, p);
	return err ? hook_fail(ctx, err) : 0;
}

/* Egress of loom_host: what the host's stack routed towards pods. */
plat_inline int hook_from_host(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_ifcfg *cfg;
	int err;

	pkt_init(ctx, p, LOOM_HOOK_FROM_HOST);
	cfg = pkt_link(p);
	if (cfg)
		p->scope = cfg->scope;
	err = pkt_is_ip(p) ? parse_ip(ctx, p) : -LOOM_DROP_ETHERTYPE;
	if (err == -LOOM_DROP_ETHERTYPE)
		p->flags |= PKT_QUIET;
	if (!err)
		err = flow_forward(ctx, p);
	return err ? hook_fail(ctx, err) : 0;
}

/* A packet for the node's masquerade address that is the node's own. */
plat_inline int hook_is_hosts(const struct pkt *p, const struct loom_state *st)
{
	if (!addr_eq(&p->daddr, p->family == 4 ? &st->masq4 : &st->masq6))
		return 0;
	if (p->flags & (PKT_ERROR | PKT_LATER_FRAG))
		return 0;
	return hook_is_hosts_port(st, p->dport);
}

/*
 * What hook_is_hosts() says, asked before anything is parsed: tunnels and whatever else the node
 * itself talks are most of what an uplink sees, and should pay nothing for the pods. Only what is
 * plain to see is answered; all else is parsed.
 */
plat_inline int hook_is_plainly_hosts(struct plat_ctx *ctx, const struct pkt *p,
				      const struct loom_state *st)
{
	__u8 h[24] __attribute__((aligned(8)));

	if (!hook_peek4(ctx, p, h) || get32(h + 16) != st->masq4.w[3])
		return 0;
	return hook_is_vxlan(h) || hook_is_hosts_port(st, get16(h + 22));
}

plat_inline int hook_is_pods(struct plat_ctx *ctx, struct pkt *p)
{
	p->target_scope = 0;
	addr_copy(&p->target, &p->daddr);
	return flow_is_ours(route_resolve(ctx));
}

/*
 * The uplink carries the node's own traffic too (tunnels among it), which passes untouched and
 * uncounted, malformed or not: only what belongs to a pod is ours. What has the tag of a VLAN is of
 * another network, and for the host's device of that VLAN, if there is one.
 */
plat_inline int hook_from_net(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_state *st;
	__u32 zero = 0;
	int err;

	pkt_init(ctx, p, LOOM_HOOK_FROM_NET);
	st = plat_lookup(&loom_state, &zero);
	if (!st || !pkt_is_ip(p) || plat_vlan(ctx))
		return hook_pass(p);
	pkt_link(p);
	if (hook_is_plainly_hosts(ctx, p, st))
		return hook_pass(p);
	err = parse_ip(ctx, p);
	if (err == -LOOM_DROP_FRAG_NO_FIRST && hook_is_pods(ctx, p))
		return hook_fail(ctx, err);
	if (err || hook_is_hosts(p, st))
		return hook_pass(p);
	err = flow_forward(ctx, p);
	if (err == -LOOM_DROP_ICMP_UNRELATED && !hook_is_pods(ctx, p))
		return hook_pass(p);
	return err ? hook_fail(ctx, err) : 0;
}

plat_inline int hook_tunnel(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 vni = 0;

	if (plat_tunnel_get(ctx, &vni, &p->outer))
		return -LOOM_DROP_TUNNEL_KEY;
	p->aux = vni;
	if (!vni || vni > 0xffff)
		return -LOOM_DROP_TUNNEL_VNI;
	p->scope = vni == loom_cfg.overlay_vni ? 0 : vni;
	return 0;
}

/* What flow_forward() does, with the tunnel's sender checked before. */
plat_inline int hook_overlay_flow(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_ct *ct;
	int err;

	err = flow_identify(ctx, p);
	if (err)
		return err;
	ct = plat_lookup(&loom_ct, &p->key);
	err = tunnel_peer(p, ct);
	if (err)
		return err;
	err = ct ? flow_confirmed(ctx, p, ct) : flow_slow(ctx);
	return err > 0 ? flow_begin(ctx) : err;
}

plat_inline int hook_from_overlay(struct plat_ctx *ctx, struct pkt *p)
{
	int err;

	pkt_init(ctx, p, LOOM_HOOK_FROM_OVERLAY);
	err = hook_tunnel(ctx, p);
	if (!err)
		err = pkt_is_ip(p) ? parse_ip(ctx, p) : -LOOM_DROP_ETHERTYPE;
	if (!err)
		err = hook_overlay_flow(ctx, p);
	if (err == -LOOM_DROP_NO_ROUTE && p->scope)
		err = -LOOM_DROP_TUNNEL_VNI;
	return err ? hook_fail(ctx, err) : 0;
}

/* What leaves by the uplink and can't be an answer of a backend in this node's network. */
plat_inline int hook_is_plainly_no_backends(struct plat_ctx *ctx, const struct pkt *p)
{
	__u8 h[48] __attribute__((aligned(8)));
	__be16 port;

	if (hook_peek4(ctx, p, h)) {
		if (hook_is_vxlan(h))
			return 1;
		port = get16(h + 20);
	} else {
		if (p->ethertype != ETH_P_IPV6 || plat_load(ctx, p->l3, h, 44))
			return 0;
		if (h[0] >> 4 != 6 || (h[6] != IPPROTO_UDP && h[6] != IPPROTO_TCP))
			return 0;
		port = get16(h + 40);
	}
	return !svc_port_in(LOOM_PORTS_HOST_BACKEND, port);
}

/* The flow that the packet answers as a service's backend, or NULL. */
plat_inline struct loom_ct *hook_answers(const struct pkt *p)
{
	struct loom_ct *ct = plat_lookup(&loom_ct, &p->key);

	if (!ct)
		ct = plat_lookup(&loom_ct_new, &p->key);
	return ct && (ct->flags & LOOM_CT_SVC_BACK) && !ct_from_initiator(p, ct) ? ct : NULL;
}

/*
 * Egress of the uplink: answers of backends in this node's network to clients outside, which the
 * host's stack has routed. They take the frontend's address here, and change nothing else; what
 * pods sent has had its turn.
 */
plat_inline int hook_to_net(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_state *st;
	struct loom_ct *ct;
	__u32 zero = 0;
	int err;

	pkt_init(ctx, p, LOOM_HOOK_TO_NET);
	st = plat_lookup(&loom_state, &zero);
	if (!st || !(st->flags & LOOM_STATE_SERVICES) || !pkt_is_ip(p))
		return hook_pass(p);
	pkt_link(p);
	if (hook_is_plainly_no_backends(ctx, p) || parse_ip(ctx, p) || flow_identify(ctx, p))
		return hook_pass(p);
	ct = hook_answers(p);
	if (!ct)
		return hook_pass(p);
	if (ct->flags & LOOM_CT_DEAD)
		return hook_fail(ctx, -LOOM_DROP_SVC_GONE);
	if (!(p->flags & PKT_ERROR)) {
		ct_touch(p, ct);
		ct->flags |= LOOM_CT_REPLIED;
		if (p->proto != IPPROTO_TCP)
			svc_confirm(ctx, ct);
		ct = hook_answers(p);
		if (!ct)
			return hook_pass(p);
	}
	p->flags |= PKT_PASS;
	err = flow_send(ctx, p, st, ct, LOOM_OUT(LOOM_OUT_STACK, 0));
	return err ? hook_fail(ctx, err) : 0;
}
