/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The last steps: check that the packet may and can go where the flow says (link, hop limit, path
 * MTU), then rewrite link header and hop limit. The check comes before any translation, so that an
 * ICMP error for it can quote the packet as it was sent.
 */
#include "bpf/lib/encap.h"
#include "bpf/lib/frag.h"

#define DELIVER_GSO_BY_FRAGS 0xffff /* the kernel's GSO_BY_FRAGS */

/* Inner addresses of tunnelled packets: made up, the same on all nodes, never learned by anybody.
 */
#define DELIVER_TUNNEL_MACS                                                            \
	{                                                                              \
		0x02, 0x6c, 0x6f, 0x6f, 0x6d, 0x02, 0x02, 0x6c, 0x6f, 0x6f, 0x6d, 0x01 \
	}

/*
 * IP length of what is really sent: of one segment, when the kernel is to cut it up. SCTP's are cut
 * by their sender, who knows its path; how large they are is not to be had.
 */
plat_inline __u32 deliver_size(struct plat_ctx *ctx, const struct pkt *p)
{
	__u32 gso = plat_gso_size(ctx);

	if (gso == DELIVER_GSO_BY_FRAGS)
		return 0;
	return gso ? p->l4 - p->l3 + p->l4_hlen + gso : p->ip_len;
}

plat_inline int deliver_to_pod(struct pkt *p, __u32 ifindex)
{
	struct loom_ifcfg *cfg = plat_lookup(&loom_ifcfg, &ifindex);

	if (!cfg || cfg->role != LOOM_IF_POD)
		return -LOOM_DROP_NO_ENDPOINT;
	if (ifindex == p->ifindex && !(p->flags & PKT_HAIRPIN))
		return -LOOM_DROP_LOOP;
	p->v_kind = VERDICT_PEER;
	p->v_ifindex = ifindex;
	p->v_mtu = cfg->mtu;
	p->rx_ep = cfg->ep;
	if (!p->ep)
		p->ep = cfg->ep;
	plat_copy(p->v_mac, cfg->mac, 12); /* mac and hmac: destination and source */
	return 0;
}

plat_inline int deliver_to_node(struct pkt *p, __u32 id, __u32 kind)
{
	static const __u8 tunnel_macs[12] = DELIVER_TUNNEL_MACS;
	struct loom_node *n = plat_lookup(&loom_node, &id);

	if (!n || !(n->flags & LOOM_NODE_PRESENT))
		return -LOOM_DROP_NO_NODE;
	p->v_kind = kind;
	p->v_node = id;
	p->v_ifindex = n->ifindex;
	p->v_mtu = n->mtu;
	if (kind == VERDICT_TUNNEL)
		plat_copy(p->v_mac, tunnel_macs, 12);
	return 0;
}

/* What the host's stack sent to its own service comes in where it has gone out. */
plat_inline int deliver_to_stack(struct pkt *p)
{
	p->v_kind = VERDICT_STACK;
	if (p->hook == LOOM_HOOK_FROM_HOST) {
		p->v_kind = VERDICT_INGRESS;
		p->v_ifindex = p->ifindex;
		plat_copy(p->v_mac, p->eth + 6, 6);
		plat_copy(p->v_mac + 6, p->eth, 6);
	}
	return 0;
}

/* Fills the verdict from a LOOM_OUT() value. 0 or a negative reason. */
plat_inline int deliver_verdict(struct pkt *p, const struct loom_state *st, __u32 out)
{
	__u32 index = LOOM_OUT_INDEX(out);

	p->v_mtu = 0;
	p->v_node = 0;
	p->rx_ep = 0;
	switch (LOOM_OUT_KIND(out)) {
	case LOOM_OUT_PEER:
		return deliver_to_pod(p, index);
	case LOOM_OUT_TUNNEL:
		return deliver_to_node(p, index, VERDICT_TUNNEL);
	case LOOM_OUT_NODE:
		return deliver_to_node(p, index, VERDICT_NEIGH);
	case LOOM_OUT_NEIGH:
		p->v_kind = VERDICT_NEIGH;
		p->v_ifindex = index;
		if (index == st->uplink_ifindex)
			p->v_mtu = st->uplink_mtu;
		return 0;
	case LOOM_OUT_STACK:
		return deliver_to_stack(p);
	default:
		return -LOOM_DROP_NO_ROUTE;
	}
}

/*
 * What the host's stack sends has been routed by it already, so its hop limit stays; what goes to
 * the stack is at its end.
 */
plat_inline int deliver_keeps_ttl(const struct pkt *p)
{
	return p->v_kind == VERDICT_STACK || p->hook == LOOM_HOOK_FROM_HOST;
}

/*
 * A pod takes what redirect_peer brings, whatever its MTU, which is smaller than the uplink's to
 * leave room for the overlay's header. What came by the uplink has no such way before it, so it is
 * handed over as it is: an answer as large as the wire takes would cost its sender a datagram to
 * learn an MTU that is not the path's. By other ways IPv4 packets that may be fragmented are not,
 * on their last step; those that may not, and IPv6, teach their sender the path's MTU.
 */
plat_inline int deliver_any_size(const struct pkt *p)
{
	if (p->v_kind != VERDICT_PEER || p->hook == LOOM_HOOK_FROM_HOST)
		return 0;
	return p->hook == LOOM_HOOK_FROM_NET || (p->family == 4 && !(p->frag_flags & IP_DF));
}

plat_inline int deliver_check(struct plat_ctx *ctx, struct pkt *p, const struct loom_state *st,
			      __u32 out)
{
	int err = deliver_verdict(p, st, out);

	if (err)
		return err;
	if (!deliver_keeps_ttl(p) && p->ttl <= 1)
		return -LOOM_DROP_TTL;
	if (p->v_mtu && p->len > p->v_mtu && deliver_size(ctx, p) > p->v_mtu &&
	    !deliver_any_size(p))
		return -LOOM_DROP_MTU;
	return 0;
}

/* Hop limit in p->ip, and for IPv4 the checksum (RFC 1624) with it. */
plat_inline void deliver_ttl(struct pkt *p)
{
	alias16 *csum = (alias16 *)(p->ip + 10), *word = (alias16 *)(p->ip + 8);
	__u32 sum;

	if (p->family == 6) {
		p->ip[7] = p->ttl - 1;
		return;
	}
	sum = (__u16) ~*csum + (__u16) ~*word;
	p->ip[8] = p->ttl - 1;
	sum += *word;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*csum = (__u16)~sum;
}

/* What IPv6's hop limit, one less, changes in a sum over the packet. */
plat_inline __u32 deliver_hop_diff(const struct pkt *p)
{
	return (__u16)~plat_htons(p->ttl) + plat_htons(p->ttl - 1);
}

/* Link header and IP header as they are in the view: all of the latter when it was translated. */
plat_inline int deliver_store(struct plat_ctx *ctx, struct pkt *p)
{
	int raw = p->flags & PKT_RAW_IP, v4 = p->family == 4;

	if (!(p->flags & PKT_XLATED))
		return raw ? plat_store(ctx, 0, p->ip, 12)
			   : plat_store(ctx, 0, p->eth, PKT_ETH_LEN + 12);
	if (v4)
		return raw ? plat_store(ctx, 0, p->ip, 20)
			   : plat_store(ctx, 0, p->eth, PKT_ETH_LEN + 20);
	return raw ? plat_store(ctx, 0, p->ip, 40) : plat_store(ctx, 0, p->eth, PKT_ETH_LEN + 40);
}

/*
 * Link header and changed part of the IP header in one go: each store costs as much as a small hash
 * lookup. To be called after translation, which changes p->ip.
 */
plat_inline int deliver_headers(struct plat_ctx *ctx, struct pkt *p)
{
	int mac = p->v_kind == VERDICT_PEER || p->v_kind == VERDICT_TUNNEL ||
		  p->v_kind == VERDICT_INGRESS;
	int keeps = deliver_keeps_ttl(p), err;

	if (keeps && !(p->flags & PKT_XLATED)) {
		if (!mac || (p->flags & PKT_RAW_IP))
			return 0;
		return plat_store(ctx, 0, p->v_mac, 12);
	}
	if (mac)
		plat_copy(p->eth, p->v_mac, 12);
	if (!keeps)
		deliver_ttl(p);
	err = deliver_store(ctx, p);
	if (!err && !keeps && p->family == 6) /* IPv4's own checksum makes up for it */
		plat_csum_update(ctx, deliver_hop_diff(p));
	return err;
}

/* An Ethernet header for a packet that came without and goes where one is needed. */
plat_inline int deliver_push_eth(struct plat_ctx *ctx, struct pkt *p)
{
	__u8 eth[PKT_ETH_LEN];

	if (!(p->flags & PKT_RAW_IP) || (p->v_kind != VERDICT_PEER && p->v_kind != VERDICT_TUNNEL))
		return 0;
	if (plat_push_eth(ctx))
		return -EFAULT;
	plat_copy(eth, p->v_mac, 12);
	eth[12] = p->ethertype >> 8;
	eth[13] = p->ethertype & 0xff;
	return plat_store(ctx, 0, eth, PKT_ETH_LEN);
}

/* After deliver_headers() and translation: the rest, and the books. 0 or a negative reason. */
plat_inline int deliver_finish(struct plat_ctx *ctx, struct pkt *p)
{
	if (p->flags & PKT_FIRST_FRAG)
		frag_remember(p);
	if (deliver_push_eth(ctx, p))
		return -LOOM_DROP_HELPER;
	account_forward(ctx, p);
	return p->v_kind == VERDICT_TUNNEL ? encap_packet(ctx) : 0;
}
