/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * XDP on the uplink: the short way for clients outside to backends on other nodes. A packet that
 * came in by the uplink, is translated and leaves by it again does so without the kernel's stack:
 *
 *	client -> frontend                     new flows and known ones, SNAT or DSR
 *	backend -> node's address -> client    answers, plain or out of the overlay's tunnel
 *
 * All else is left to the tc programs, unchanged. They do everything that is done here, with the
 * same maps and the same entries, so a flow may go by either, packet by packet, and what is not
 * plain to see is not looked for: fragments, options, ICMP, SCTP, local backends, a SYN in a flow
 * that exists, next hops that the kernel has not resolved. hook_xdp() asks all that could stand in
 * the way before it changes the packet. What it does to conntrack before that is what the tc
 * program would have done, and goes on from.
 *
 * An established flow pays one conntrack lookup, arrays, and the kernel's word on the next hop.
 */
#include "bpf/lib/flow.h"
#include "bpf/lib/peek.h"
#include "bpf/lib/tunnel.h"

/* Outer IPv4, UDP and VXLAN headers and the inner Ethernet header. */
#define XDP_TUNNEL_LEN 50
/*
 * The kernel's neighbours are used here, but only packets of the stack tell it that they are: it
 * would stop asking for them. So the first packet of each flow in each so many ticks takes the
 * other way; the tc program notes in the entry that it has seen it.
 */
#define XDP_NEIGH_TICKS 32

/* The entry is a service's and says what becomes of this packet. */
plat_inline int xdp_known(const struct pkt *p, const struct loom_ct *ct)
{
	if (ct->flags & (LOOM_CT_DEAD | LOOM_CT_HAIRPIN))
		return 0;
	if (ct->seen / XDP_NEIGH_TICKS != p->tick / XDP_NEIGH_TICKS)
		return 0;
	return ct->flags & (ct_from_initiator(p, ct) ? LOOM_CT_SVC : LOOM_CT_SVC_BACK);
}

/* Where this direction of a known flow goes: LOOM_OUT() value, or 0 for others to find out. */
plat_inline __u32 xdp_out(struct plat_ctx *ctx, const struct pkt *p, const struct loom_state *st,
			  struct loom_ct *ct)
{
	__u32 out = flow_out(p, ct);
	int anew;

	if (LOOM_OUT_KIND(out) && ct->route_gen == st->route_gen &&
	    ct->policy_gen == st->policy_gen)
		return out;
	if (flow_outdated(ctx, p, st, ct))
		return 0;
	anew = flow_resolve(ctx, ct);
	return anew < 0 ? 0 : anew;
}

/* What the packet's next hop is to be asked for: a tunnel's end. 0 or negative. */
plat_inline int xdp_hop_tunnel(const struct pkt *p, const struct loom_node *n, struct plat_hop *h)
{
	if (!n->tunnel_src)
		return -ENOENT;
	addr_set_v4(&h->src, n->tunnel_src);
	addr_copy(&h->dst, &n->underlay);
	h->len = p->len - PKT_ETH_LEN + XDP_TUNNEL_LEN;
	h->proto = IPPROTO_UDP;
	return addr_is_mapped(&h->dst) && h->len <= 0xffff ? 0 : -EMSGSIZE;
}

/* The same, of a packet that leaves as it is, with the flow's addresses. */
plat_inline int xdp_hop_plain(const struct pkt *p, const struct loom_ct *ct, struct plat_hop *h)
{
	struct xlate x;

	if (xlate_tuple(p, ct, &x) < 0)
		return -EINVAL;
	addr_copy(&h->src, &x.src);
	addr_copy(&h->dst, &x.dst);
	h->len = p->len - PKT_ETH_LEN;
	h->proto = p->proto;
	h->tos = p->family == 4 ? p->ip[1] : 0;
	return h->len <= 0xffff ? 0 : -EMSGSIZE;
}

/* The node's own next hop goes before what the kernel's routes say. */
plat_inline int xdp_hop(const struct pkt *p, const struct loom_ct *ct, struct plat_hop *h)
{
	int tunnel = p->v_kind == VERDICT_TUNNEL, err;
	const union loom_addr *hop;
	__u32 id = p->v_node;
	struct loom_node *n = id ? plat_lookup(&loom_node, &id) : NULL;

	if (tunnel)
		err = n ? xdp_hop_tunnel(p, n, h) : -ENOENT;
	else
		err = xdp_hop_plain(p, ct, h);
	if (err || !n)
		return err;
	hop = tunnel || p->family == 4 ? &n->nexthop4 : &n->nexthop6;
	if (!addr_is_none(hop)) {
		addr_copy(&h->dst, hop);
		h->direct = 1;
	}
	return 0;
}

/*
 * 1 when the packet of flow `ct` can go to `out` from here: back by the uplink, whole, to a next
 * hop that is known. Verdict and p->hop_mac are set then, and writing the packet won't fail.
 */
plat_fn int xdp_way(struct plat_ctx *ctx, struct loom_ct *ct, __u32 out)
{
	struct pkt *p = plat_pkt(ctx);
	struct plat_hop h = {};
	struct loom_state *st;
	__u32 zero = 0;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !ct || !st || deliver_check(ctx, p, st, out))
		return 0;
	if (p->v_kind != VERDICT_NEIGH && p->v_kind != VERDICT_TUNNEL)
		return 0;
	if (p->v_ifindex != p->ifindex || xdp_hop(p, ct, &h) || plat_hop(ctx, &h))
		return 0;
	/* Not sent to us: that the stack may judge. */
	if (!mac_eq(p->eth, h.macs + 6))
		return 0;
	plat_copy(p->hop_mac, h.macs, 12);
	return plat_reaches(ctx, p->l4, p->proto == IPPROTO_TCP ? 20 : 8);
}

/* A tunnel's packet that is for the tc program to refuse. */
plat_inline int xdp_is_strange(struct pkt *p, const struct loom_ct *ct)
{
	return p->hook == LOOM_HOOK_FROM_OVERLAY && tunnel_peer(p, ct);
}

/* A packet of a flow in loom_ct: 1 when it is to be sent on as the entry says, else 0. */
plat_inline int xdp_established(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st,
				struct loom_ct *ct)
{
	if (!xdp_known(p, ct) || ct_restarts(p, ct) || xdp_is_strange(p, ct) ||
	    !xdp_way(ctx, ct, xdp_out(ctx, p, st, ct)))
		return 0;
	ct_touch(p, ct);
	if (!(ct->flags & LOOM_CT_REPLIED) && !ct_from_initiator(p, ct))
		ct->flags |= LOOM_CT_REPLIED;
	return 1;
}

/* Of a flow in loom_ct_new: the entry to send it on by, which may have moved; or NULL. */
plat_inline struct loom_ct *xdp_unconfirmed(struct plat_ctx *ctx, struct pkt *p,
					    const struct loom_state *st)
{
	struct loom_ct *ct = plat_lookup(&loom_ct_new, &p->key);

	if (!ct || !xdp_known(p, ct) || xdp_is_strange(p, ct) ||
	    !xdp_way(ctx, ct, xdp_out(ctx, p, st, ct)))
		return NULL;
	ct = flow_unconfirmed(ctx, p);
	if (ct && flow_confirm(ctx, ct))
		ct = &p->entry;
	return ct;
}

/* A new flow, in p->entry then: 1 when both its entries are there and it leaves from here. */
plat_fn int xdp_start(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_state *st;
	__u32 zero = 0;
	int out;

	st = plat_lookup(&loom_state, &zero);
	if (!p || !st || !flow_may_be_svc(p, st) || addr_check_unicast(&p->saddr, p->family == 4))
		return 0;
	if (svc_start(ctx) <= 0 || !p->svc_outside)
		return 0;
	out = svc_resolve(ctx);
	if (out <= 0 || !svc_leaves(out))
		return 0;
	flow_entry(p, st, out, &p->entry);
	return xdp_way(ctx, &p->entry, out) && !policy_check(ctx, &p->entry) && !svc_enter(ctx);
}

/* The flow by which the packet is to be sent on from here, or NULL. */
plat_inline struct loom_ct *xdp_flow(struct plat_ctx *ctx, struct pkt *p,
				     const struct loom_state *st)
{
	struct loom_ct *ct = plat_lookup(&loom_ct, &p->key);

	if (ct)
		return xdp_established(ctx, p, st, ct) ? ct : NULL;
	ct = plat_lookup(&loom_ct_new, &p->key);
	if (ct || p->hook == LOOM_HOOK_FROM_OVERLAY)
		return ct ? xdp_unconfirmed(ctx, p, st) : NULL;
	return xdp_start(ctx) ? &p->entry : NULL;
}

/* Outer Ethernet header of a packet that got its tunnel's headers. */
plat_inline int xdp_outer_eth(struct plat_ctx *ctx, struct pkt *p)
{
	if (!(p->flags & PKT_ENCAP))
		return -LOOM_DROP_HELPER;
	plat_copy(p->eth, p->hop_mac, 12);
	p->eth[12] = ETH_P_IP >> 8;
	p->eth[13] = ETH_P_IP & 0xff;
	return plat_store(ctx, 0, p->eth, PKT_ETH_LEN) ? -LOOM_DROP_HELPER : 0;
}

/* Changes the packet, which can't be passed on any more. 1 or a negative reason. */
plat_inline int xdp_send(struct plat_ctx *ctx, struct pkt *p, struct loom_ct *ct)
{
	int tunnel = p->v_kind == VERDICT_TUNNEL, err = 0;

	p->hook = LOOM_HOOK_XDP_UPLINK;
	if (ct->flags & CT_TRANSLATED)
		err = xlate_packet(ctx, ct);
	if (!tunnel)
		plat_copy(p->eth, p->hop_mac, 12);
	if (!err && deliver_headers(ctx, p))
		err = -LOOM_DROP_HELPER;
	if (!err)
		err = deliver_finish(ctx, p);
	if (!err && tunnel)
		err = xdp_outer_eth(ctx, p);
	return err ? account_drop(ctx, err) : 1;
}

/* The node's own address, by which backends elsewhere know those of its clients' flows. */
plat_inline int xdp_is_answer4(const __u8 *h, const struct loom_state *st)
{
	if (h[0] != 0x45 || (get16(h + 6) & plat_htons(IP_MF | IP_OFFSET)))
		return 0;
	return (h[9] == IPPROTO_TCP || h[9] == IPPROTO_UDP) && get32(h + 16) == st->masq4.w[3] &&
	       peek_is_masq_port(get16(h + 22));
}

plat_inline int xdp_is_answer6(const __u8 *h, const struct loom_state *st)
{
	union loom_addr dst;

	addr_get(&dst, h + 24);
	return h[0] >> 4 == 6 && (h[6] == IPPROTO_TCP || h[6] == IPPROTO_UDP) &&
	       addr_eq(&dst, &st->masq6) && peek_is_masq_port(get16(h + 42));
}

/* Outer headers (IPv4 to inner Ethernet) that the overlay's device would take, of our network. */
plat_inline int xdp_is_overlay(const struct pkt *p, const __u8 *h)
{
	__u32 len = plat_ntohs(get16(h + 2)), sum = 0, i;

	for (i = 0; i < 20; i += 2)
		sum += get16(h + i);
	sum = (sum & 0xffff) + (sum >> 16);
	if ((sum & 0xffff) + (sum >> 16) != 0xffff)
		return 0;
	if (len + PKT_ETH_LEN != p->len || plat_ntohs(get16(h + 24)) != len - 20 || get16(h + 26))
		return 0;
	/* What was marked on the way is the kernel's to hand on (RFC 6040, 4.2). */
	if ((h[1] & 3) == 3)
		return 0;
	return get32(h + 28) == plat_htonl(0x08000000) &&
	       get32(h + 32) == plat_htonl(loom_cfg.overlay_vni << 8);
}

/* The packet is an answer inside of the tunnel: ethertype of the inner one, else 0. */
plat_inline __u16 xdp_tunnelled(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	__u8 h[52] __attribute__((aligned(8))), in[48] __attribute__((aligned(8)));
	__u16 type;

	if (plat_load(ctx, PKT_ETH_LEN, h, XDP_TUNNEL_LEN) || !xdp_is_overlay(p, h))
		return 0;
	addr_set_v4(&p->outer, get32(h + 12));
	type = plat_ntohs(get16(h + 48));
	if (type == ETH_P_IP) {
		if (plat_load(ctx, PKT_ETH_LEN + XDP_TUNNEL_LEN, in, 24))
			return 0;
		return xdp_is_answer4(in, st) ? type : 0;
	}
	if (type != ETH_P_IPV6 || plat_load(ctx, PKT_ETH_LEN + XDP_TUNNEL_LEN, in, 44))
		return 0;
	return xdp_is_answer6(in, st) ? type : 0;
}

/* Takes the tunnel's headers off, whose MACs stay in p->hop_mac. Non-zero when there were any. */
plat_inline int xdp_unwrap(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	__u16 type = xdp_tunnelled(ctx, p, st);

	if (!type || plat_load(ctx, 0, p->hop_mac, 12) || plat_decap(ctx, XDP_TUNNEL_LEN))
		return 0;
	p->hook = LOOM_HOOK_FROM_OVERLAY;
	p->len -= XDP_TUNNEL_LEN;
	p->ethertype = type;
	return 1;
}

/* The flow by which the parsed packet is to be sent on from here, or NULL. */
plat_inline struct loom_ct *xdp_find(struct plat_ctx *ctx, struct pkt *p,
				     const struct loom_state *st)
{
	if (parse_ip(ctx, p))
		return NULL;
	if (p->hook == LOOM_HOOK_FROM_OVERLAY)
		plat_copy(p->eth, p->hop_mac, 12);
	ct_key_of(p, &p->saddr, &p->daddr, p->proto);
	return xdp_flow(ctx, p, st);
}

/* Non-zero when the packet is worth being parsed; of a tunnel's, only the inner one is left then.
 */
plat_inline int xdp_look4(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	__u8 h[24] __attribute__((aligned(8)));

	if (!hook_peek4(ctx, p, h))
		return 0;
	if (get32(h + 16) != st->masq4.w[3])
		return 1;
	if (hook_is_vxlan(h))
		return xdp_unwrap(ctx, p, st);
	return !hook_is_hosts_port(st, get16(h + 22));
}

plat_inline int xdp_look6(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	__u8 h[48] __attribute__((aligned(8)));
	union loom_addr dst;

	if (plat_load(ctx, PKT_ETH_LEN, h, 44) || h[0] >> 4 != 6)
		return 0;
	if (h[6] != IPPROTO_TCP && h[6] != IPPROTO_UDP)
		return 0;
	addr_get(&dst, h + 24);
	return !addr_eq(&dst, &st->masq6) || !hook_is_hosts_port(st, get16(h + 42));
}

plat_inline int xdp_look(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st)
{
	if (p->ethertype == ETH_P_IP)
		return xdp_look4(ctx, p, st);
	return p->ethertype == ETH_P_IPV6 && xdp_look6(ctx, p, st);
}

/*
 * 1: the packet is ready to go back out of the link that it came in by. 0: it is as it was, and
 * others are to deal with it. Negative: it is lost, and counted with that reason.
 */
plat_inline int hook_xdp(struct plat_ctx *ctx, struct pkt *p)
{
	struct loom_state *st;
	struct loom_ct *ct;
	__u32 zero = 0;

	pkt_init(ctx, p, LOOM_HOOK_FROM_NET);
	st = plat_lookup(&loom_state, &zero);
	if (!st || !(st->flags & LOOM_STATE_SERVICES) || p->ifindex != st->uplink_ifindex)
		return 0;
	if (!xdp_look(ctx, p, st))
		return 0;
	ct = xdp_find(ctx, p, st);
	if (ct)
		return xdp_send(ctx, p, ct);
	if (p->hook == LOOM_HOOK_FROM_OVERLAY && plat_encap(ctx, XDP_TUNNEL_LEN))
		return account_drop(ctx, -LOOM_DROP_HELPER);
	return 0;
}
