/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * A first look at a packet, before it is parsed: is it worth it? An uplink carries tunnels and the
 * node's own talk for the most part, which should pay little for pods and services.
 */
#include "bpf/lib/svc.h"

plat_inline void pkt_init(struct plat_ctx *ctx, struct pkt *p, __u8 hook)
{
	p->len = plat_len(ctx);
	p->ifindex = plat_ifindex(ctx);
	p->ethertype = plat_ethertype(ctx);
	p->tick = plat_now_ns() >> LOOM_TICK_SHIFT;
	p->hook = hook;
	p->l3 = PKT_ETH_LEN;
	p->scope = 0;
	p->ep = 0;
	p->rx_ep = 0;
	p->aux = 0;
	p->flags = 0;
	p->family = 0;
	p->proto = 0;
	p->sport = 0;
	p->dport = 0;
	p->tcp_flags = 0;
	p->icmp_type = 0;
	p->echo = LOOM_ECHO_NONE;
	p->l4_hlen = 0;
	p->peer_node = 0;
	p->v_mtu = 0;
	p->v_kind = VERDICT_DROP;
}

plat_inline int pkt_is_ip(const struct pkt *p)
{
	return p->ethertype == ETH_P_IP || p->ethertype == ETH_P_IPV6;
}

/* A port of the range that translated packets leave from. */
plat_inline int peek_is_masq_port(__be16 port)
{
	__u16 host = plat_ntohs(port);

	return host >= loom_cfg.masq_port_min && host <= loom_cfg.masq_port_max;
}

/* A packet to that port of the node is neither an answer to a pod nor for a service. */
plat_inline int hook_is_hosts_port(const struct loom_state *st, __be16 port)
{
	if (peek_is_masq_port(port))
		return 0;
	return !(st->flags & LOOM_STATE_SERVICES) || !svc_port_in(LOOM_PORTS_FRONT, port);
}

/* Of an IPv4 packet without options: header and ports. 0 when it is no such packet. */
plat_inline int hook_peek4(struct plat_ctx *ctx, const struct pkt *p, __u8 *h)
{
	if (p->ethertype != ETH_P_IP || plat_load(ctx, p->l3, h, 24))
		return 0;
	if (h[0] != 0x45 || (get16(h + 6) & plat_htons(IP_MF | IP_OFFSET)))
		return 0;
	return h[9] == IPPROTO_UDP || h[9] == IPPROTO_TCP;
}

plat_inline int hook_is_vxlan(const __u8 *h)
{
	return h[9] == IPPROTO_UDP && get16(h + 22) == plat_htons(loom_cfg.overlay_port);
}
