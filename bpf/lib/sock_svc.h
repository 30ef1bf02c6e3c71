/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Services at the socket level: which frontend an address is, and which backend a socket gets. All
 * clients here are in the cluster, so all use the table `in`, whatever the kind of frontend; the
 * table holds nobody's address and port of the client, so the choice is random, or the affinity's.
 */
#include <linux/errno.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>

#include "bpf/lib/sock_maps.h"

#define SOCK_TRIES 4
#define sock_fn	   static __always_inline

/* An address and port as a program finds it and leaves it. */
struct sock_dst {
	union loom_addr addr;
	union loom_addr
		src; /* that the socket is bound to; ::, of whichever family, when to none */
	__be16 port;
	__u8 proto;
	__u64 cookie; /* of the socket */
	__u64 netns;
};

sock_fn int sock_is_v4(const union loom_addr *a)
{
	return !a->d[0] && a->w[2] == LOOM_V4_MARK;
}

sock_fn int sock_is_loopback(const union loom_addr *a)
{
	if (a->d[0])
		return 0;
	return (a->w[2] == LOOM_V4_MARK && a->w[3] == bpf_htonl(0x7f000001)) ||
	       (!a->w[2] && a->w[3] == bpf_htonl(1));
}

sock_fn struct loom_svc *sock_lookup(const struct sock_dst *dst, const union loom_addr *addr)
{
	struct loom_svckey k = { .addr = *addr, .port = dst->port, .proto = dst->proto };

	return bpf_map_lookup_elem(&loom_svc, &k);
}

/* Flags of which a frontend on every node's address must have one to be meant by this address. */
sock_fn __u32 sock_node_kinds(const union loom_addr *addr)
{
	struct loom_ipkey k = { .addr = *addr };
	struct loom_remote *r;
	struct loom_ep *ep;

	if (sock_is_loopback(addr))
		return LOOM_SVC_NODEPORT | LOOM_SVC_HOSTPORT;
	ep = bpf_map_lookup_elem(&loom_ep, &k);
	if (ep)
		return ep->flags & LOOM_EP_HOST ? LOOM_SVC_NODEPORT | LOOM_SVC_HOSTPORT : 0;
	r = bpf_map_lookup_elem(&loom_ip, &k);
	return r && (r->flags & LOOM_REMOTE_NODE) ? LOOM_SVC_NODEPORT : 0;
}

sock_fn struct loom_svc *sock_find(const struct sock_dst *dst)
{
	union loom_addr any = {};
	struct loom_svc *svc;

	/* A pod's loopback is its own. */
	if (sock_is_loopback(&dst->addr) && dst->netns != loom_cfg.host_netns)
		return NULL;
	svc = sock_lookup(dst, &dst->addr);
	if (svc)
		return svc;
	if (sock_is_v4(&dst->addr))
		any.w[2] = LOOM_V4_MARK;
	svc = sock_lookup(dst, &any);
	return svc && (svc->flags & sock_node_kinds(&dst->addr)) ? svc : NULL;
}

/*
 * loadBalancerSourceRanges. 1 when the socket may use the frontend; 0 when that is left to its
 * packets, since a pod's address is not known here; or a negative errno. A host's socket sends from
 * the node's address, as far as anybody can say before the kernel has chosen one.
 */
sock_fn int sock_allowed(const struct sock_dst *dst, const struct loom_svc *svc)
{
	struct loom_srckey k = { .prefixlen = 160, .service = svc->service, .addr = dst->src };
	struct loom_state *st;
	__u32 zero = 0;

	if (!(svc->flags & LOOM_SVC_SRCRANGE))
		return 1;
	if (dst->netns != loom_cfg.host_netns)
		return 0;
	st = bpf_map_lookup_elem(&loom_state, &zero);
	if (st && !k.addr.d[0] && !k.addr.w[3])
		k.addr = sock_is_v4(&dst->addr) ? st->masq4 : st->masq6;
	return bpf_map_lookup_elem(&loom_srcrange, &k) ? 1 : -EPERM;
}

sock_fn struct loom_backend *sock_backend(const struct sock_dst *dst, __u32 number)
{
	const __u8 want = LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY;
	struct loom_backend *b = number ? bpf_map_lookup_elem(&loom_backend, &number) : NULL;

	if (!b || (b->flags & (want | LOOM_BACKEND_GONE)) != want || b->proto != dst->proto ||
	    !b->port || sock_is_v4(&b->addr) != sock_is_v4(&dst->addr))
		return NULL;
	return b;
}

sock_fn __u32 sock_tick(void)
{
	return bpf_ktime_get_ns() >> LOOM_TICK_SHIFT;
}

/* What is remembered of this service, when it can be had again; else 0. */
sock_fn __u32 sock_kept(const struct sock_dst *dst, const struct loom_svc *svc,
			struct loom_aff *aff, __u32 for_s)
{
	struct loom_backend *b;
	__u32 number, now = sock_tick();

	/* Another CPU may have been a tick ahead. */
	if (!aff ||
	    (__s32)(now - aff->seen) > (__s32)((__u64)for_s * 1000000000ull >> LOOM_TICK_SHIFT) + 1)
		return 0;
	number = aff->backend;
	b = sock_backend(dst, number);
	if (!b || b->gen != aff->gen)
		return 0;
	if ((svc->flags & LOOM_SVC_LOCAL_IN) && !(b->flags & LOOM_BACKEND_LOCAL))
		return 0;
	aff->seen = now;
	return number;
}

sock_fn __u32 sock_slot(const struct sock_dst *dst, __u32 base, __u32 size)
{
	__u32 at = (__u64)bpf_get_prandom_u32() * size >> 32;

	for (int i = 0; i < SOCK_TRIES; i++) {
		__u32 slot = base + at, *number = bpf_map_lookup_elem(&loom_lut, &slot);

		if (number && sock_backend(dst, *number))
			return *number;
		at = at + 1 < size ? at + 1 : 0;
	}
	return 0;
}

/* Number of the backend, or 0. */
sock_fn __u32 sock_choose(const struct sock_dst *dst, const struct loom_svc *svc)
{
	struct loom_affkey k = { .client.d = { 0, dst->netns }, .service = svc->service };
	struct loom_aff aff = { .seen = sock_tick() };
	struct loom_backend *b;
	__u32 number = 0, first;

	if (!svc->in_size)
		return 0;
	if (!(svc->flags & LOOM_SVC_AFFINITY))
		return sock_slot(dst, svc->in, svc->in_size);
	number = sock_kept(dst, svc, bpf_map_lookup_elem(&loom_aff, &k), svc->affinity_s);
	if (number)
		return number;
	number = sock_slot(dst, svc->in, svc->in_size);
	b = sock_backend(dst, number);
	if (!b)
		return 0;
	aff.backend = number;
	aff.gen = b->gen;
	if (!bpf_map_update_elem(&loom_aff, &k, &aff, BPF_NOEXIST))
		return number;
	/* What another socket has chosen at this moment holds for both. */
	first = sock_kept(dst, svc, bpf_map_lookup_elem(&loom_aff, &k), svc->affinity_s);
	if (first)
		return first;
	bpf_map_update_elem(&loom_aff, &k, &aff, BPF_ANY);
	return number;
}

#define SOCK_KEEP_S (1u << 30) /* as long as the entry lives */

/* An unconnected socket sends on to the backend that it began with. */
sock_fn __u32 sock_choose_again(const struct sock_dst *dst, const struct loom_svc *svc)
{
	struct loom_sockkey k = { .cookie = dst->cookie, .addr = dst->addr, .port = dst->port };
	struct loom_aff keep = { .seen = sock_tick() };
	struct loom_backend *b;
	__u32 number;

	number = sock_kept(dst, svc, bpf_map_lookup_elem(&loom_sockfwd, &k), SOCK_KEEP_S);
	if (number)
		return number;
	number = sock_choose(dst, svc);
	b = sock_backend(dst, number);
	if (!b)
		return 0;
	keep.backend = number;
	keep.gen = b->gen;
	bpf_map_update_elem(&loom_sockfwd, &k, &keep, BPF_ANY);
	return number;
}

/* 1: *dst is the backend now. 0: no service. Or a negative errno for the application. */
sock_fn int sock_translate(struct sock_dst *dst, int again)
{
	struct loom_sockrev rev = { .addr = dst->addr, .port = dst->port, .proto = dst->proto };
	struct loom_sockkey k = { .cookie = dst->cookie };
	struct loom_svc *svc = sock_find(dst);
	struct loom_backend *b;
	int err;

	if (!svc)
		return 0;
	err = sock_allowed(dst, svc);
	if (err <= 0)
		return err;
	rev.service = svc->service;
	rev.backend = again ? sock_choose_again(dst, svc) : sock_choose(dst, svc);
	b = sock_backend(dst, rev.backend);
	if (!b)
		return !svc->in_size && (svc->flags & LOOM_SVC_SILENT_IN) ? -EHOSTUNREACH
									  : -ECONNREFUSED;
	rev.gen = b->gen;
	dst->addr = b->addr;
	dst->port = b->port;
	k.addr = dst->addr;
	k.port = dst->port;
	if (bpf_map_update_elem(&loom_sockrev, &k, &rev, BPF_ANY) < 0)
		return -ENOMEM;
	return 1;
}

/* The frontend in place of the backend, for what the application sees. Non-zero when it is one. */
sock_fn int sock_reverse(struct sock_dst *dst)
{
	struct loom_sockkey k = { .cookie = dst->cookie, .addr = dst->addr, .port = dst->port };
	struct loom_sockrev *rev = bpf_map_lookup_elem(&loom_sockrev, &k);

	if (!rev || rev->proto != dst->proto)
		return 0;
	dst->addr = rev->addr;
	dst->port = rev->port;
	return 1;
}
