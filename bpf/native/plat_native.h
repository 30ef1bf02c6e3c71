/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The data plane's core outside of the kernel: for tests, fuzzing, `netloom explain` (overlay.h),
 * and later the userspace fast path. A packet is a buffer with head room; a map is a struct nmap
 * behind ops, so that the same code runs over tables in memory or over a node's live maps.
 *
 * Include through lib/plat.h only. One thread: the maps are globals of the program.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>

#include "bpf/lib/pkt.h"
#include "bpf/native/nmap.h"

#define PLAT_HEADROOM 128

/* A packet in hand. `data` points into memory with PLAT_HEADROOM bytes in front of it. */
struct plat_ctx {
	__u8 *data;
	__u32 len;
	__u32 cap;  /* bytes from data on that may be used */
	__u32 head; /* bytes before data that may be used */
	__u32 ifindex;
	__u32 gso_size;
	__u32 gso_segs;
	__u16 ethertype; /* host order */
	__u16 vlan;	 /* 0: none */
	__u64 now_ns;
	__u32 tunnel_vni; /* 0: did not come through a tunnel */
	union loom_addr tunnel_src;
	int (*route)(const struct plat_ctx *ctx,
		     const struct pkt *p); /* NULL: the kernel won't say */
	int (*socket)(const struct plat_ctx *ctx,
		      const struct pkt *p);	    /* NULL: the host has none */
	void (*event)(const struct loom_event *ev); /* NULL: nobody listens */
	struct pkt pkt;
};

#define plat_inline static inline __attribute__((always_inline, unused))
#define plat_fn	    static __attribute__((noinline, unused))

extern struct nmap loom_state, loom_ifcfg, loom_ep, loom_ip, loom_cidr, loom_node, loom_ct,
	loom_ct_new, loom_frag, loom_metrics, loom_epstats, loom_evlimit, loom_svc, loom_backend,
	loom_lut, loom_vip, loom_ports, loom_aff, loom_srcrange, loom_epol, loom_polrule,
	loom_ident, loom_pol, loom_class, loom_denied;
extern struct loom_config loom_cfg;

#define plat_htons(x)  htons(x)
#define plat_ntohs(x)  ntohs(x)
#define plat_htonl(x)  htonl(x)
#define plat_ntohl(x)  ntohl(x)
#define plat_ntohll(x) __builtin_bswap64(x)

#define plat_pkt(ctx)			    (&(ctx)->pkt)
#define plat_lookup(map, key)		    nmap_lookup(map, key)
#define plat_delete(map, key)		    nmap_delete(map, key)
#define plat_update(map, key, value, flags) nmap_update(map, key, value, flags)
#define plat_now_ns()			    ((__u64)(ctx)->now_ns)
#define plat_add(counter, n)		    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED)
#define plat_copy(to, from, n)		    memcpy(to, from, n)
#define plat_zero(to, n)		    memset(to, 0, n)
#define plat_len(ctx)			    ((ctx)->len)
#define plat_ifindex(ctx)		    ((ctx)->ifindex)
#define plat_ethertype(ctx)		    ((ctx)->ethertype)
#define plat_vlan(ctx)			    ((ctx)->vlan)
#define plat_gso_size(ctx)		    ((ctx)->gso_size)
#define plat_packets(ctx)		    ((ctx)->gso_segs ? (ctx)->gso_segs : 1)
#define plat_accept(ctx)		    ((void)(ctx))
#define plat_csum_update(ctx, diff)	    ((void)(diff))

plat_inline int plat_load(const struct plat_ctx *ctx, __u32 off, void *to, __u32 n)
{
	if (off > ctx->len || n > ctx->len - off)
		return -EFAULT;
	memcpy(to, ctx->data + off, n);
	return 0;
}

plat_inline int plat_store(struct plat_ctx *ctx, __u32 off, const void *from, __u32 n)
{
	if (off > ctx->len || n > ctx->len - off)
		return -EFAULT;
	memcpy(ctx->data + off, from, n);
	return 0;
}

/* One's complement sum of n bytes (a multiple of 4) on top of seed, as bpf_csum_diff() adds. */
plat_inline __u32 plat_csum_add(const void *buf, __u32 n, __u32 seed)
{
	__u64 sum = seed;
	__u32 i, word;

	for (i = 0; i + 4 <= n; i += 4) {
		memcpy(&word, (const __u8 *)buf + i, 4);
		sum += word;
	}
	while (sum >> 32)
		sum = (sum & 0xffffffff) + (sum >> 32);
	return (__u32)sum;
}

plat_inline __u32 plat_csum_diff(const union loom_addr *from, const union loom_addr *to)
{
	__u32 inverse[4] = { ~from->w[0], ~from->w[1], ~from->w[2], ~from->w[3] };

	return plat_csum_add(to, 16, plat_csum_add(inverse, 16, 0));
}

/* The checksum field at off follows a change of `diff` in what it covers (RFC 1624, eqn. 3). */
plat_inline int plat_csum_apply(struct plat_ctx *ctx, __u32 off, __u32 diff, int udp)
{
	__u64 sum = diff;
	__u16 field;

	if (plat_load(ctx, off, &field, 2))
		return -EFAULT;
	if (udp && !field) /* sender chose to have none */
		return 0;
	sum += (__u16)~field;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	field = (__u16)~sum;
	if (udp && !field)
		field = 0xffff;
	return plat_store(ctx, off, &field, 2);
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
	__u64 diff = (__u64)~from + to;

	return plat_csum_apply(ctx, off, (__u32)((diff & 0xffffffff) + (diff >> 32)), udp);
}

plat_inline int plat_csum_data(struct plat_ctx *ctx, __u32 off, __u32 diff)
{
	return plat_csum_apply(ctx, off, diff, 0);
}

plat_inline int plat_trim(struct plat_ctx *ctx, __u32 len)
{
	if (len > ctx->len)
		return -EINVAL;
	ctx->len = len;
	ctx->gso_size = 0;
	ctx->gso_segs = 0;
	return 0;
}

/* Room between link header and network header; the link header moves to the front. */
plat_inline int plat_grow(struct plat_ctx *ctx, __u32 n)
{
	__u32 link = ctx->pkt.l3;

	if (n > ctx->head || link > ctx->len)
		return -ENOMEM;
	ctx->data -= n;
	ctx->head -= n;
	ctx->cap += n;
	ctx->len += n;
	memmove(ctx->data, ctx->data + n, link);
	memset(ctx->data + link, 0, n);
	return 0;
}

#define plat_encap(ctx, n)		  plat_grow(ctx, n)
#define plat_store_new(ctx, off, from, n) plat_store(ctx, off, from, n)
#define plat_random(ctx)		  ((__u32)((ctx)->now_ns * 0x9e3779b97f4a7c15ull >> 32))

plat_inline __u32 plat_flow_hash(const struct plat_ctx *ctx)
{
	return ((__u32)ctx->pkt.key.pa << 16 | ctx->pkt.key.pb) * 0x9e3779b1u;
}

plat_inline int plat_push_eth(struct plat_ctx *ctx)
{
	if (ctx->head < PKT_ETH_LEN)
		return -ENOMEM;
	ctx->data -= PKT_ETH_LEN;
	ctx->head -= PKT_ETH_LEN;
	ctx->cap += PKT_ETH_LEN;
	ctx->len += PKT_ETH_LEN;
	return 0;
}

plat_inline int plat_tunnel_get(const struct plat_ctx *ctx, __u32 *ret_vni,
				union loom_addr *ret_src)
{
	if (!ctx->tunnel_vni)
		return -ENOENT;
	*ret_vni = ctx->tunnel_vni;
	*ret_src = ctx->tunnel_src;
	return 0;
}

plat_inline int plat_route(const struct plat_ctx *ctx, const struct pkt *p)
{
	return ctx->route ? ctx->route(ctx, p) : 0;
}

plat_inline int plat_socket(const struct plat_ctx *ctx, const struct pkt *p)
{
	return ctx->socket ? ctx->socket(ctx, p) : 0;
}

plat_inline void plat_event(const struct plat_ctx *ctx, const struct loom_event *ev)
{
	if (ctx->event)
		ctx->event(ev);
}
