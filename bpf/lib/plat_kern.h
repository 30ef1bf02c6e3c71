/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * What the kernel's hooks have in common as platforms: byte order, maps, scratch memory, clock, the
 * kernel's routes. Helpers of kernel 6.1, UAPI structs only. Included by plat_bpf.h (tc) and
 * plat_xdp.h, which say before what their packets are (plat_ctx).
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/pkt.h"

#define AF_INET	 2
#define AF_INET6 10

#define plat_inline static __always_inline
/* A function verified once, whoever calls it: takes the context, finds all else in plat_pkt(). */
#define plat_fn __attribute__((noinline))

#include "bpf/lib/maps.h"

extern const volatile struct loom_config loom_cfg;

#define plat_htons(x)  bpf_htons(x)
#define plat_ntohs(x)  bpf_ntohs(x)
#define plat_htonl(x)  bpf_htonl(x)
#define plat_ntohl(x)  bpf_ntohl(x)
#define plat_ntohll(x) bpf_be64_to_cpu(x)

plat_inline struct pkt *plat_pkt(struct plat_ctx *ctx)
{
	__u32 zero = 0;

	/* Else the compiler drops the unused argument at call sites, and the verifier misses it. */
	asm volatile("" : : "r"(ctx));
	return bpf_map_lookup_elem(&loom_scratch, &zero);
}

#define plat_lookup(map, key)		    bpf_map_lookup_elem(map, key)
#define plat_delete(map, key)		    bpf_map_delete_elem(map, key)
#define plat_update(map, key, value, flags) bpf_map_update_elem(map, key, value, flags)
#define plat_now_ns()			    bpf_ktime_get_coarse_ns()
#define plat_add(counter, n)		    __sync_fetch_and_add(counter, n)
#define plat_copy(to, from, n)		    __builtin_memcpy(to, from, n)
#define plat_zero(to, n)		    __builtin_memset(to, 0, n)
#define plat_random(ctx)		    bpf_get_prandom_u32()

/* Checksum difference between two 16-byte addresses; IPv4's constant half cancels out. */
plat_inline __u32 plat_csum_diff(const union loom_addr *from, const union loom_addr *to)
{
	return (__u32)bpf_csum_diff((void *)from->w, 16, (void *)to->w, 16, 0);
}

/* One's complement sum over n bytes (a multiple of 4), on top of `seed`. */
#define plat_csum_add(buf, n, seed) ((__u32)bpf_csum_diff(NULL, 0, (void *)(buf), n, seed))

/*
 * Link by which the kernel's routes reach daddr: positive, 0 when the kernel would not say (not
 * forwarding), -ENETUNREACH when it knows that there is no way.
 */
plat_inline int plat_route(struct plat_ctx *ctx, struct pkt *p)
{
	struct bpf_fib_lookup fib = { .l4_protocol = p->proto, .ifindex = p->ifindex };
	int ret;

	if (p->family == 4) {
		fib.family = AF_INET;
		fib.ipv4_src = p->saddr.w[3];
		fib.ipv4_dst = p->target.w[3];
	} else {
		fib.family = AF_INET6;
		__builtin_memcpy(fib.ipv6_src, &p->saddr, 16);
		__builtin_memcpy(fib.ipv6_dst, &p->target, 16);
	}
	ret = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (ret == BPF_FIB_LKUP_RET_SUCCESS || ret == BPF_FIB_LKUP_RET_NO_NEIGH)
		return (int)fib.ifindex;
	if (ret == BPF_FIB_LKUP_RET_BLACKHOLE || ret == BPF_FIB_LKUP_RET_UNREACHABLE ||
	    ret == BPF_FIB_LKUP_RET_PROHIBIT)
		return -ENETUNREACH;
	return 0;
}

/* TCP or UDP; 0 for all else. Their fields are read apart, as the verifier tells them apart. */
plat_inline int plat_socket_of(struct plat_ctx *ctx, __u8 proto, struct bpf_sock_tuple *t,
			       __u32 len)
{
	struct bpf_sock *sk;
	int connected;

	if (proto == IPPROTO_TCP) {
		sk = bpf_skc_lookup_tcp(ctx, t, len, BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return 0;
		connected = sk->state != BPF_TCP_LISTEN;
		bpf_sk_release(sk);
		return connected;
	}
	if (proto != IPPROTO_UDP)
		return 0;
	sk = bpf_sk_lookup_udp(ctx, t, len, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return 0;
	connected = sk->dst_port != 0;
	bpf_sk_release(sk);
	return connected;
}

/*
 * Non-zero when a socket of the link's network namespace is connected to the packet's sender, with
 * the very ports and addresses. One that only listens, or sends to many, is not.
 */
plat_inline int plat_socket(struct plat_ctx *ctx, const struct pkt *p)
{
	struct bpf_sock_tuple t = {};

	if (p->family == 4) {
		t.ipv4.saddr = p->saddr.w[3];
		t.ipv4.daddr = p->daddr.w[3];
		t.ipv4.sport = p->sport;
		t.ipv4.dport = p->dport;
		return plat_socket_of(ctx, p->proto, &t, sizeof(t.ipv4));
	}
	__builtin_memcpy(t.ipv6.saddr, &p->saddr, 16);
	__builtin_memcpy(t.ipv6.daddr, &p->daddr, 16);
	t.ipv6.sport = p->sport;
	t.ipv6.dport = p->dport;
	return plat_socket_of(ctx, p->proto, &t, sizeof(t.ipv6));
}

plat_inline void plat_event(struct plat_ctx *ctx, struct loom_event *ev)
{
	bpf_ringbuf_output(&loom_events, ev, sizeof(*ev), 0);
}
