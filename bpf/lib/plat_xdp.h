/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * XDP as a platform. The packet is read and written directly: headers within the first
 * PLAT_XDP_REACH bytes and within the linear part of what the driver has received; what is
 * elsewhere is refused with -EFAULT, which is why a program asks plat_reaches() before it changes
 * anything. Nothing here knows of segments or of checksums left to a NIC: a packet has its full
 * checksums, or loses them (docs/xdp.md). Helpers of kernel 6.1; bpf_xdp_get_buff_len() is 5.18.
 */
#include <linux/bpf.h>

#define plat_ctx xdp_md
#include "bpf/lib/plat_kern.h"

#define PLAT_XDP_REACH 1023 /* a mask too */

/* n bytes at off, or NULL. */
plat_inline void *plat_at(struct plat_ctx *ctx, __u32 off, __u32 n)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (off > PLAT_XDP_REACH)
		return NULL;
	/* The verifier is to see the limit on the very register that is added. */
	asm volatile("%0 &= %1" : "+r"(off) : "i"(PLAT_XDP_REACH));
	data += off;
	return data + n > end ? NULL : data;
}

plat_inline int plat_reaches(struct plat_ctx *ctx, __u32 off, __u32 n)
{
	return !!plat_at(ctx, off, n);
}

/*
 * Packets may be read at any address where the kernel's own code does so; saying that they are
 * aligned spares copying by bytes, and the verifier refuses it on machines where it is not true.
 * What whole headers are copied to and from is aligned, or scratch memory, which is as patient.
 */
#define PLAT_XDP_WHOLE	    16
#define plat_any_align(ptr) __builtin_assume_aligned(ptr, 8)

plat_inline int plat_load(struct plat_ctx *ctx, __u32 off, void *to, __u32 n)
{
	const void *from = plat_at(ctx, off, n);

	if (!from)
		return -EFAULT;
	if (n > PLAT_XDP_WHOLE)
		to = plat_any_align(to);
	__builtin_memcpy(to, plat_any_align(from), n);
	return 0;
}

plat_inline int plat_store(struct plat_ctx *ctx, __u32 off, const void *from, __u32 n)
{
	void *to = plat_at(ctx, off, n);

	if (!to)
		return -EFAULT;
	if (n > PLAT_XDP_WHOLE)
		from = plat_any_align(from);
	__builtin_memcpy(plat_any_align(to), from, n);
	return 0;
}

#define plat_store_new(ctx, off, from, n) plat_store(ctx, off, from, n)
/* There is no checksum outside of the packet that anybody would trust after XDP. */
#define plat_csum_update(ctx, diff) ((void)(diff))
#define plat_gso_size(ctx)	    0
#define plat_packets(ctx)	    1
#define plat_accept(ctx)	    ((void)(ctx))

plat_inline __u32 plat_len(struct plat_ctx *ctx)
{
	return (__u32)bpf_xdp_get_buff_len(ctx);
}

plat_inline __u32 plat_ifindex(struct plat_ctx *ctx)
{
	return ctx->ingress_ifindex;
}

plat_inline __u16 plat_ethertype(struct plat_ctx *ctx)
{
	__be16 type;

	return plat_load(ctx, 12, &type, 2) ? 0 : bpf_ntohs(type);
}

/* The checksum field at off follows a change of `diff` in what it covers, as the stack does it. */
plat_inline int plat_csum_apply(struct plat_ctx *ctx, __u32 off, __u64 diff, int udp)
{
	__u16 *field = plat_at(ctx, off, 2), csum;
	__u64 sum;

	if (!field)
		return -EFAULT;
	csum = *field;
	if (udp && !csum) /* sender chose to have none */
		return 0;
	sum = (__u64)(__u32) ~(__u32)csum + diff;
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	csum = (__u16)~sum;
	*field = udp && !csum ? 0xffff : csum;
	return 0;
}

plat_inline int plat_csum_ip(struct plat_ctx *ctx, __u32 off, __u32 diff)
{
	return plat_csum_apply(ctx, off, diff, 0);
}

plat_inline int plat_csum_pseudo(struct plat_ctx *ctx, __u32 off, __u32 diff, int udp, int v6)
{
	return plat_csum_apply(ctx, off, diff, udp);
}

plat_inline int plat_csum_port(struct plat_ctx *ctx, __u32 off, __be16 from, __be16 to, int udp)
{
	return plat_csum_apply(ctx, off, (__u32)(__u16)~from + to, udp);
}

plat_inline int plat_csum_ports(struct plat_ctx *ctx, __u32 off, __be32 from, __be32 to, int udp)
{
	return plat_csum_apply(ctx, off, (__u64)(__u32)~from + to, udp);
}

plat_inline int plat_csum_data(struct plat_ctx *ctx, __u32 off, __u32 diff)
{
	return plat_csum_apply(ctx, off, diff, 0);
}

/* Links without Ethernet header have no XDP of the kind that is used here. */
plat_inline int plat_push_eth(struct plat_ctx *ctx)
{
	return -EOPNOTSUPP;
}

/*
 * Room for n bytes behind the outer Ethernet header, which is not filled: who sends the packet
 * knows what is to be in it.
 */
plat_inline int plat_encap(struct plat_ctx *ctx, __u32 n)
{
	return (int)bpf_xdp_adjust_head(ctx, -(int)n);
}

/* Takes n bytes off the packet's head. plat_encap() gives them back as they were. */
plat_inline int plat_decap(struct plat_ctx *ctx, __u32 n)
{
	return (int)bpf_xdp_adjust_head(ctx, (int)n);
}

/* Tells flows apart; their own tuple does, whichever way their packets go. */
plat_inline __u32 plat_flow_hash(struct plat_ctx *ctx)
{
	struct pkt *p = plat_pkt(ctx);
	__u64 h;

	if (!p)
		return 0;
	h = p->key.a.d[0] ^ p->key.a.d[1] * 0x9e3779b97f4a7c15ull;
	h ^= p->key.b.d[0] ^ p->key.b.d[1] * 0xc2b2ae3d27d4eb4full;
	h ^= (__u64)p->key.pa << 16 | p->key.pb;
	h *= 0x9e3779b97f4a7c15ull;
	return (__u32)((h ^ h >> 29) * 0xbf58476d1ce4e5b9ull >> 32);
}

/* What is asked of plat_hop(), and its answer. */
struct plat_hop {
	union loom_addr src;
	union loom_addr dst;
	__u32 len; /* IP length of the packet as it will leave */
	__u8 proto;
	__u8 tos;
	__u8 direct;				   /* dst is the next hop itself */
	__u8 macs[12] __attribute__((aligned(2))); /* answer: destination, source */
};

/*
 * Next hop by the link that the packet came in by, as the kernel's routes and neighbours know it at
 * this moment. 0, or negative when they don't: then the stack is to find out.
 */
plat_inline int plat_hop(struct plat_ctx *ctx, struct plat_hop *h)
{
	struct bpf_fib_lookup fib = { .l4_protocol = h->proto,
				      .tot_len = h->len,
				      .ifindex = ctx->ingress_ifindex };
	int v4 = !h->dst.d[0] && h->dst.w[2] == LOOM_V4_MARK;
	union loom_addr via = {};

	if (v4) {
		fib.family = AF_INET;
		fib.tos = h->tos;
		fib.ipv4_src = h->src.w[3];
		fib.ipv4_dst = h->dst.w[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &h->src, 16);
		__builtin_memcpy(fib.ipv6_dst, &h->dst, 16);
	}
	if (bpf_fib_lookup(ctx, &fib, sizeof(fib), BPF_FIB_LOOKUP_OUTPUT))
		return -ENETUNREACH;
	if (fib.ifindex != ctx->ingress_ifindex)
		return -ENODEV;
	if (h->direct && v4 && (fib.family != AF_INET || fib.ipv4_dst != h->dst.w[3]))
		return -ENETUNREACH;
	if (h->direct && !v4) {
		__builtin_memcpy(&via, fib.ipv6_dst, 16);
		if (via.d[0] != h->dst.d[0] || via.d[1] != h->dst.d[1])
			return -ENETUNREACH;
	}
	__builtin_memcpy(h->macs, fib.dmac, 6);
	__builtin_memcpy(h->macs + 6, fib.smac, 6);
	return 0;
}
