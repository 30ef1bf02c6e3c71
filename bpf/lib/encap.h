/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * VXLAN (RFC 7348) by hand: the outer headers of a packet for another node, written here when the
 * node's entry says from which address and by which link. That saves what the kernel's device does
 * for each packet of a tunnel that is chosen packet by packet: metadata, a route lookup, the IP
 * stack's way out. What it can't be done for goes to the device, which always remains the way in:
 * IPv6 between the nodes, links without Ethernet header, packets of 64 KB, tunnels inside.
 */
#include "bpf/lib/addr.h"

/* Outer headers behind the outer Ethernet header, up to and with the inner one. */
struct encap {
	__be16 ip_head; /* version 4, header of 20 bytes, no service class, ECN */
	__be16 ip_len;
	__be16 ip_id;
	__be16 ip_frag;
	__be16 ip_ttl_proto;
	__be16 ip_csum;
	__be16 ip_src[2];
	__be16 ip_dst[2];
	__be16 udp_sport;
	__be16 udp_dport;
	__be16 udp_len;
	__be16 udp_csum; /* none */
	__be16 vx_flags[2];
	__be16 vx_vni[2];
	__u8 macs[12];
	__be16 ethertype;
};

_Static_assert(sizeof(struct encap) == 50,
	       "the outer headers are what a pod's MTU leaves room for");

#define ENCAP_TTL_UDP 0x4011 /* 64 hops */
#define ENCAP_VNI_SET 0x0800

/*
 * ECN as the packet has it (RFC 6040, 4.1): who takes the tunnel off hands on what routers have
 * marked. A packet without it would be lost where it could have been marked.
 */
plat_inline __u32 encap_ecn(const struct pkt *p)
{
	return (p->family == 4 ? p->ip[1] : p->ip[1] >> 4) & 3;
}

/*
 * IPv4 header behind its first word, sent without DF as the device does: the pod's MTU has been
 * looked after already.
 */
plat_inline void encap_ip(struct encap *h, __be32 src, __be32 dst, __u32 len, __u16 id)
{
	__u32 sum;

	h->ip_len = plat_htons(len);
	h->ip_id = id;
	h->ip_frag = 0;
	h->ip_ttl_proto = plat_htons(ENCAP_TTL_UDP);
	h->ip_csum = 0;
	plat_copy(h->ip_src, &src, 4);
	plat_copy(h->ip_dst, &dst, 4);
	sum = h->ip_head + h->ip_len + h->ip_id + h->ip_ttl_proto + h->ip_src[0] + h->ip_src[1] +
	      h->ip_dst[0] + h->ip_dst[1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	h->ip_csum = (__be16)~sum;
}

/* The source port tells flows apart for whoever spreads them, within RFC 7348's range. */
plat_inline void encap_vxlan(struct encap *h, const struct pkt *p, __u32 len, __u32 hash)
{
	__u32 vni = p->scope ? p->scope : loom_cfg.overlay_vni;

	h->udp_sport = plat_htons(0xc000 | (hash >> 18));
	h->udp_dport = plat_htons(loom_cfg.overlay_port);
	h->udp_len = plat_htons(len - 20);
	h->udp_csum = 0;
	h->vx_flags[0] = plat_htons(ENCAP_VNI_SET);
	h->vx_flags[1] = 0;
	h->vx_vni[0] = plat_htons(vni >> 8);
	h->vx_vni[1] = plat_htons(vni << 8);
	plat_copy(h->macs, p->v_mac, 12);
	h->ethertype = plat_htons(p->ethertype);
}

/*
 * Wraps a packet that is ready to go to p->v_node and says so with PKT_ENCAP, or leaves it as it is
 * for the device. 0 or a negative reason.
 */
plat_fn int encap_packet(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_node *n;
	struct encap h __attribute__((aligned(8)));
	__u32 id, len;

	if (!p)
		return -LOOM_DROP_HELPER;
	id = p->v_node;
	n = plat_lookup(&loom_node, &id);
	len = p->len - p->l3 + sizeof(h);
	if (!n || !n->tunnel_src || !n->ifindex || (p->flags & PKT_RAW_IP) || len > 65535)
		return 0;
	if (plat_encap(ctx, sizeof(h)))
		return 0;
	h.ip_head = plat_htons(0x4500 | encap_ecn(p));
	encap_ip(&h, n->tunnel_src, n->underlay.w[3], len, plat_random(ctx));
	encap_vxlan(&h, p, len, plat_flow_hash(ctx));
	if (plat_store_new(ctx, PKT_ETH_LEN, &h, sizeof(h)))
		return -LOOM_DROP_HELPER;
	p->flags |= PKT_ENCAP;
	return 0;
}
