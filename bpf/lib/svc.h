/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Services (shared/loom_svc.h): which frontend a packet is for, who its client is, which backend
 * takes it. Nothing here changes the packet or conntrack, so that XDP can ask first and leave to
 * others what it does not do. Asked for the first packet of a flow only:
 *
 *	svc_find(p)             copies the frontend to p->svc; 0 when the packet is for none
 *	svc_allowed(p)          sets p->svc_outside; 1, 0 (as if there were no service) or a reason
 *	svc_choose(ctx, p)      number of the backend, or a negative reason
 *	svc_backend(p, number)  that backend, if it can take the packet
 */
#include "bpf/lib/route.h"

#define SVC_TRIES 4

plat_inline int svc_proto(__u8 proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* The port, in network byte order, is in that set of loom_ports. */
plat_inline int svc_port_in(__u32 set, __be16 port)
{
	__u32 host = plat_ntohs(port), word = set * LOOM_PORTS_WORDS + host / 64;
	__u64 *bits = plat_lookup(&loom_ports, &word);

	return bits && (*bits >> (host & 63) & 1);
}

plat_inline void svc_any_addr(int v4, union loom_addr *ret)
{
	ret->d[0] = 0;
	ret->d[1] = 0;
	if (v4)
		ret->w[2] = LOOM_V4_MARK;
}

plat_inline int svc_lookup(struct pkt *p, const union loom_addr *addr)
{
	struct loom_svckey k;
	struct loom_svc *svc;

	addr_copy(&k.addr, addr);
	k.port = p->dport;
	k.proto = p->proto;
	k.pad = 0;
	k.scope = p->scope;
	svc = plat_lookup(&loom_svc, &k);
	if (!svc)
		return 0;
	p->svc = *svc;
	return 1;
}

/*
 * Kinds of frontends on every address of every node that this address stands for: 0 when it is no
 * node's, without hostPorts when it is another one's. *ret_vip: its number if it is this node's.
 */
plat_inline __u32 svc_node_kinds(const struct loom_ipkey *k, __u32 *ret_vip)
{
	struct loom_ep *ep = plat_lookup(&loom_ep, k);
	const struct loom_remote *r;

	if (ep) {
		*ret_vip = ep->ep;
		return ep->flags & LOOM_EP_HOST ? LOOM_SVC_NODEPORT | LOOM_SVC_HOSTPORT : 0;
	}
	r = plat_lookup(&loom_ip, k);
	return r && (r->flags & LOOM_REMOTE_NODE) ? LOOM_SVC_NODEPORT : 0;
}

/* A frontend on every address of every node; p->svc_vip is 0 when the address is another node's. */
plat_inline int svc_find_node(struct pkt *p)
{
	struct loom_ipkey k = {};
	__u32 kinds, vip = 0;
	union loom_addr any;

	if (!svc_port_in(LOOM_PORTS_FRONT, p->dport))
		return 0;
	k.scope = p->scope;
	addr_copy(&k.addr, &p->daddr);
	kinds = svc_node_kinds(&k, &vip);
	if (!kinds)
		return 0;
	svc_any_addr(p->family == 4, &any);
	if (!svc_lookup(p, &any) || !(p->svc.flags & kinds))
		return 0;
	p->svc_vip = vip;
	if (kinds & LOOM_SVC_HOSTPORT)
		return 1;
	/* Packets to another node's address come here by DSR only. */
	return (p->hook != LOOM_HOOK_FROM_NET && p->hook != LOOM_HOOK_FROM_OVERLAY) ||
	       (p->svc.flags & LOOM_SVC_DSR);
}

/* Non-zero when the packet is for a frontend, which is in p->svc then. */
plat_inline int svc_find(struct pkt *p)
{
	if (!svc_proto(p->proto))
		return 0;
	if (svc_lookup(p, &p->daddr)) {
		p->svc_vip = p->svc.vip;
		return 1;
	}
	return svc_find_node(p);
}

/*
 * The packet answers the host itself, whatever frontend has its port. What the host sends by the
 * uplink is not tracked; but only a SYN can't belong to a connection that is there already.
 */
plat_inline int svc_is_hosts(struct plat_ctx *ctx, const struct pkt *p)
{
	struct loom_ipkey k = { .scope = p->scope };
	struct loom_ep *ep;

	if (p->hook != LOOM_HOOK_FROM_NET || (p->tcp_flags & TCP_SYN))
		return 0;
	addr_copy(&k.addr, &p->daddr);
	ep = plat_lookup(&loom_ep, &k);
	return ep && (ep->flags & LOOM_EP_HOST) && plat_socket(ctx, p);
}

/* The sender is neither a pod nor a node of the cluster: the host's stack forwards for others too.
 */
plat_inline int svc_from_outside(const struct pkt *p)
{
	const struct loom_remote *r;
	struct loom_ipkey k = {};

	if (p->hook == LOOM_HOOK_FROM_POD)
		return 0;
	k.scope = p->scope;
	addr_copy(&k.addr, &p->saddr);
	if (plat_lookup(&loom_ep, &k))
		return 0;
	r = route_remote(&k);
	return !r || !r->node;
}

plat_inline int svc_in_ranges(const struct pkt *p)
{
	struct loom_srckey k;

	k.prefixlen = 160;
	k.service = p->svc.service;
	addr_copy(&k.addr, &p->saddr);
	return !!plat_lookup(&loom_srcrange, &k);
}

/*
 * 1 when the client may use p->svc, 0 when there is no service for it, or a negative reason. Source
 * ranges hold for pods and nodes as well: kube-proxy's rules judge whoever asks the load balancer's
 * address, before they tell clients inside from clients outside.
 */
plat_inline int svc_allowed(struct pkt *p)
{
	p->svc_outside = svc_from_outside(p);
	if (p->svc_outside && !(p->svc.flags & LOOM_SVC_EXTERNAL))
		return 0;
	if ((p->svc.flags & LOOM_SVC_SRCRANGE) && !svc_in_ranges(p))
		return -LOOM_DROP_SVC_SOURCE;
	return 1;
}

/* MurmurHash3's steps: the same on every node, whatever its byte order. */
plat_inline __u32 svc_mix(__u32 h, __be32 word)
{
	__u32 v = plat_ntohl(word) * 0xcc9e2d51u;

	h ^= (v << 15 | v >> 17) * 0x1b873593u;
	return (h << 13 | h >> 19) * 5 + 0xe6546b64u;
}

plat_inline __u32 svc_mix_addr(__u32 h, const union loom_addr *a)
{
	h = svc_mix(h, a->w[0]);
	h = svc_mix(h, a->w[1]);
	h = svc_mix(h, a->w[2]);
	return svc_mix(h, a->w[3]);
}

/* What nodes agree on: a NodePort is the same frontend whichever node's address was asked. */
plat_inline __u32 svc_hash(const struct pkt *p)
{
	__u32 sport = p->svc.flags & LOOM_SVC_AFFINITY ? 0 : plat_ntohs(p->sport);
	__u32 h = svc_mix_addr(p->proto, &p->saddr);
	union loom_addr any;

	svc_any_addr(p->family == 4, &any);
	h = svc_mix_addr(h, p->svc.flags & LOOM_SVC_NODEPORT ? &any : &p->daddr);
	h = svc_mix(h, plat_htonl(sport << 16 | plat_ntohs(p->dport)));
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	return h ^ h >> 16;
}

/* The backend of that number, or NULL when it can't take the packet: gone, or never fit. */
plat_inline struct loom_backend *svc_backend(const struct pkt *p, __u32 number)
{
	struct loom_backend *b = number ? plat_lookup(&loom_backend, &number) : NULL;

	if (!b || (b->flags & (LOOM_BACKEND_PRESENT | LOOM_BACKEND_GONE)) != LOOM_BACKEND_PRESENT)
		return NULL;
	if (b->proto != p->proto || b->scope != p->scope || !b->port)
		return NULL;
	return addr_is_mapped(&b->addr) == (p->family == 4) ? b : NULL;
}

/* The service has backends of this node only for this client. */
plat_inline int svc_is_local(const struct pkt *p)
{
	return p->svc.flags & (p->svc_outside ? LOOM_SVC_LOCAL_OUT : LOOM_SVC_LOCAL_IN);
}

plat_inline void svc_aff_key(const struct pkt *p, struct loom_affkey *k)
{
	addr_copy(&k->client, &p->saddr);
	k->service = p->svc.service;
	k->outside = p->svc_outside;
}

/* The backend that the client has had, when it may have it again; else 0. */
plat_inline __u32 svc_aff_get(const struct pkt *p)
{
	__u64 ns = (__u64)p->svc.affinity_s * 1000000000ull;
	struct loom_backend *b;
	struct loom_affkey k;
	struct loom_aff *aff;
	__u32 number;

	svc_aff_key(p, &k);
	aff = plat_lookup(&loom_aff, &k);
	/* Another CPU may be a tick ahead of this packet. */
	if (!aff || (__s32)(p->tick - aff->seen) > (__s32)(ns >> LOOM_TICK_SHIFT) + 1)
		return 0;
	number = aff->backend;
	b = svc_backend(p, number);
	if (!b || b->gen != aff->gen || !(b->flags & LOOM_BACKEND_READY))
		return 0;
	if (svc_is_local(p) && !(b->flags & LOOM_BACKEND_LOCAL))
		return 0;
	aff->seen = p->tick;
	return number;
}

/*
 * Remembers the client's backend, and returns its number: another one when a flow of the same
 * client that began at the same time was first.
 */
plat_inline __u32 svc_aff_put(const struct pkt *p, __u32 number, const struct loom_backend *b)
{
	struct loom_aff aff = { .backend = number, .gen = b->gen, .seen = p->tick };
	struct loom_affkey k;
	__u32 first;

	svc_aff_key(p, &k);
	if (!plat_update(&loom_aff, &k, &aff, BPF_NOEXIST))
		return number;
	first = svc_aff_get(p);
	if (first)
		return first;
	plat_update(&loom_aff, &k, &aff, BPF_ANY);
	return number;
}

/* No table for this client: silence when the service lives elsewhere. */
plat_inline int svc_nobody(const struct pkt *p)
{
	__u32 silent = p->svc_outside ? LOOM_SVC_SILENT_OUT : LOOM_SVC_SILENT_IN;

	return p->svc.flags & silent ? -LOOM_DROP_SVC_NO_LOCAL : -LOOM_DROP_SVC_NO_BACKEND;
}

/*
 * A packet of DSR: its first node has chosen this one for the same table's slot. When the tables
 * disagree for a while, some backend of this node's does.
 */
plat_inline int svc_wants_local(const struct pkt *p)
{
	return p->svc_outside && (p->svc.flags & LOOM_SVC_DSR) &&
	       (p->hook == LOOM_HOOK_FROM_OVERLAY || !p->svc_vip);
}

/*
 * The slot that the hash names, or one of those behind it when that backend is gone, as the agent
 * may be late. 0 when none is good.
 */
plat_inline __u32 svc_slot(const struct pkt *p, __u32 base, __u32 size, __u32 h)
{
	__u32 at = (__u64)h * size >> 32, first = 0, i, slot, *number;
	int local = svc_wants_local(p);
	struct loom_backend *b;

	for (i = 0; i < SVC_TRIES; i++) {
		slot = base + at;
		at = at + 1 < size ? at + 1 : 0;
		number = plat_lookup(&loom_lut, &slot);
		b = number ? svc_backend(p, *number) : NULL;
		if (!b)
			continue;
		if (!local || (b->flags & LOOM_BACKEND_LOCAL))
			return *number;
		if (!first)
			first = *number;
	}
	return first;
}

/* Number of the backend for a new flow to p->svc, or a negative reason. */
plat_inline int svc_choose(struct plat_ctx *ctx, struct pkt *p)
{
	__u32 base = p->svc_outside ? p->svc.out : p->svc.in;
	__u32 size = p->svc_outside ? p->svc.out_size : p->svc.in_size;
	struct loom_backend *b;
	__u32 number, h;

	if (!size)
		return svc_nobody(p);
	if (p->svc.flags & LOOM_SVC_AFFINITY) {
		number = svc_aff_get(p);
		if (number)
			return (int)number;
	}
	if (p->svc_outside || (p->svc.flags & LOOM_SVC_MAGLEV_IN))
		h = svc_hash(p);
	else
		h = plat_random(ctx);
	number = svc_slot(p, base, size, h);
	b = svc_backend(p, number);
	if (!b || (int)number <= 0)
		return -LOOM_DROP_SVC_NO_BACKEND;
	return p->svc.flags & LOOM_SVC_AFFINITY ? (int)svc_aff_put(p, number, b) : (int)number;
}
