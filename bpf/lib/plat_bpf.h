/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The kernel's tc hooks as a platform: helpers of kernel 6.1, UAPI structs only. What touches the
 * packet goes through helpers and not through direct access: they cost about as much, take
 * non-linear and shared buffers in their stride, and keep the verifier's work small.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#define PACKET_HOST 0

#define plat_ctx __sk_buff
#include "bpf/lib/plat_kern.h"

#define plat_load(ctx, off, to, n)    bpf_skb_load_bytes(ctx, off, to, n)
#define plat_store(ctx, off, from, n) bpf_skb_store_bytes(ctx, off, from, n, 0)
/* Bytes changed that no checksum in the packet makes up for: tells a checksum kept outside of it.
 */
#define plat_csum_update(ctx, diff) ((void)bpf_csum_update(ctx, diff))

plat_inline __u32 plat_len(struct plat_ctx *ctx)
{
	return ctx->len;
}

plat_inline __u32 plat_ifindex(struct plat_ctx *ctx)
{
	return ctx->ifindex;
}

plat_inline __u16 plat_ethertype(struct plat_ctx *ctx)
{
	return bpf_ntohs((__be16)ctx->protocol);
}

/* Number of the VLAN whose tag came with the packet, beside it; 0: none, or a priority alone. */
plat_inline __u32 plat_vlan(struct plat_ctx *ctx)
{
	return ctx->vlan_present ? ctx->vlan_tci & 0xfff : 0;
}

/* Payload of one segment; 0 when the packet is not to be segmented. */
plat_inline __u32 plat_gso_size(struct plat_ctx *ctx)
{
	return ctx->gso_size;
}

plat_inline __u32 plat_packets(struct plat_ctx *ctx)
{
	__u32 segs = ctx->gso_segs;

	return segs ? segs : 1;
}

/* The packet is for us, whatever its destination MAC said. */
plat_inline void plat_accept(struct plat_ctx *ctx)
{
	if (ctx->pkt_type != PACKET_HOST)
		bpf_skb_change_type(ctx, PACKET_HOST);
}

plat_inline int plat_csum_ip(struct plat_ctx *ctx, __u32 off, __u32 diff)
{
	return bpf_l3_csum_replace(ctx, off, 0, diff, 0);
}

/* An address changed by `diff`, at a checksum that covers a pseudo header. */
plat_inline int plat_csum_pseudo(struct plat_ctx *ctx, __u32 off, __u32 diff, int udp, int v6)
{
	__u64 flags = BPF_F_PSEUDO_HDR | (udp ? BPF_F_MARK_MANGLED_0 : 0);
	int err = bpf_l4_csum_replace(ctx, off, 0, diff, flags);

	/*
	 * With CHECKSUM_COMPLETE the helper takes the change off skb->csum, as is right for IPv4,
	 * whose header checksum changes too. IPv6 has none, so it is given back (kernels
	 * before 6.16 know no flag for it).
	 */
	if (!err && v6)
		bpf_csum_update(ctx, diff);
	return err;
}

/* A 16-bit field that the checksum at `off` covers changed. */
plat_inline int plat_csum_port(struct plat_ctx *ctx, __u32 off, __be16 from, __be16 to, int udp)
{
	return bpf_l4_csum_replace(ctx, off, from, to, 2 | (udp ? BPF_F_MARK_MANGLED_0 : 0));
}

/* Both ports, as they lie in the packet, that the checksum at `off` covers changed. */
plat_inline int plat_csum_ports(struct plat_ctx *ctx, __u32 off, __be32 from, __be32 to, int udp)
{
	return bpf_l4_csum_replace(ctx, off, from, to, 4 | (udp ? BPF_F_MARK_MANGLED_0 : 0));
}

/* Bytes of the payload changed by `diff` under the checksum at `off`. */
plat_inline int plat_csum_data(struct plat_ctx *ctx, __u32 off, __u32 diff)
{
	return bpf_l4_csum_replace(ctx, off, 0, diff, 0);
}

/* Cuts the packet to `len` bytes; what it was to be segmented into is forgotten. */
plat_inline int plat_trim(struct plat_ctx *ctx, __u32 len)
{
	return bpf_skb_change_tail(ctx, len, 0);
}

/* Makes room for n bytes between link header and network header. */
plat_inline int plat_grow(struct plat_ctx *ctx, __u32 n)
{
	return bpf_skb_adjust_room(ctx, n, BPF_ADJ_ROOM_MAC, 0);
}

/*
 * Makes room for n bytes of outer IPv4, UDP and VXLAN headers and the inner Ethernet header. What
 * is to be segmented is, inside of the tunnel; its segments' size stays.
 */
plat_inline int plat_encap(struct plat_ctx *ctx, __u32 n)
{
	return bpf_skb_adjust_room(
		ctx, n, BPF_ADJ_ROOM_MAC,
		BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
			BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
			BPF_F_ADJ_ROOM_ENCAP_L2(PKT_ETH_LEN) | BPF_F_ADJ_ROOM_NO_CSUM_RESET);
}

/* Stores bytes that no checksum makes up for. */
#define plat_store_new(ctx, off, from, n) \
	bpf_skb_store_bytes(ctx, off, from, n, BPF_F_RECOMPUTE_CSUM)
#define plat_flow_hash(ctx) bpf_get_hash_recalc(ctx)

/* Makes room for an Ethernet header in front of a packet that has none. */
plat_inline int plat_push_eth(struct plat_ctx *ctx)
{
	return bpf_skb_change_head(ctx, PKT_ETH_LEN, 0);
}

/* The tunnel that the packet came through: network and sender. */
plat_inline int plat_tunnel_get(struct plat_ctx *ctx, __u32 *ret_vni, union loom_addr *ret_src)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), 0)) {
		ret_src->d[0] = 0;
		ret_src->w[2] = LOOM_V4_MARK;
		ret_src->w[3] = bpf_htonl(key.remote_ipv4);
	} else if (!bpf_skb_get_tunnel_key(ctx, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		__builtin_memcpy(ret_src, key.remote_ipv6, 16);
	} else {
		return -ENOENT;
	}
	*ret_vni = key.tunnel_id;
	return 0;
}
