/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The collector of conntrack entries (docs/decisions/0003): judges an entry by its own state and,
 * for translated flows, that of its other half.
 */
#include "bpf/lib/ct.h"
#include "bpf/lib/svc.h"

plat_inline __u32 gc_seconds(__u32 s)
{
	return (__u32)(((__u64)s * 1000000000ull) >> LOOM_TICK_SHIFT) + 1;
}

/* Ticks that a flow in this state may be idle. */
plat_inline __u32 gc_timeout(__u8 proto, const struct ct_state *s)
{
	int replied = s->flags & LOOM_CT_REPLIED;

	switch (proto) {
	case IPPROTO_TCP:
		if (ct_has_ended(s))
			return gc_seconds(loom_cfg.ct_tcp_closing_s);
		/* Of DSR only the client's side is seen. */
		if (!(replied || (s->flags & LOOM_CT_DSR)) || !(s->tcp_init & TCP_ACK))
			return gc_seconds(loom_cfg.ct_tcp_new_s);
		return gc_seconds(loom_cfg.ct_tcp_s);
	case IPPROTO_UDP:
		return gc_seconds(replied ? loom_cfg.ct_udp_s : loom_cfg.ct_udp_new_s);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return gc_seconds(loom_cfg.ct_icmp_s);
	default:
		return gc_seconds(loom_cfg.ct_other_s);
	}
}

/* Key of a translated flow's other half; 0 when the entry has none. */
plat_inline int gc_pair(const struct loom_ctkey *k, const struct loom_ct *ct,
			struct loom_ctkey *ret)
{
	if (!ct_has_pair(ct))
		return 0;
	ct_pair_key(k, ct, ret);
	return 1;
}

/* Non-zero when the flow has been idle for too long. `other`: its other half, or NULL. */
plat_inline int gc_idle(const struct loom_ctkey *k, const struct loom_ct *ct,
			const struct loom_ct *other, __u32 now)
{
	struct ct_state s;

	ct_state(ct, other, now, &s);
	return s.idle > 0 && (__u32)s.idle > gc_timeout(k->proto, &s);
}

plat_inline int gc_concerns(const struct loom_ctkey *k, const struct loom_ct *ct,
			    const struct loom_gc_args *args)
{
	if (k->scope == (__u16)args->scope &&
	    (addr_eq(&k->a, &args->addr) || addr_eq(&k->b, &args->addr)))
		return 1;
	if (!addr_eq(&ct->xaddr, &args->addr))
		return 0;
	if (ct->flags & CT_SVC)
		return k->scope == (__u16)args->scope;
	return (ct->flags & LOOM_CT_SNAT_BACK) && ct->xscope == args->scope;
}

/* The flow's backend is not the one any more that the number stood for. */
plat_inline int gc_backend_gone(const struct loom_ct *ct, const struct loom_backend *b)
{
	if (!b || (b->flags & (LOOM_BACKEND_PRESENT | LOOM_BACKEND_GONE)) != LOOM_BACKEND_PRESENT)
		return 1;
	return (ct->flags & LOOM_CT_SVC) &&
	       (b->port != ct->xport || !addr_eq(&b->addr, &ct->xaddr));
}

/*
 * A flow of a service. TCP whose backend is gone is marked, so that its next packet is looked at
 * and answered; all else goes as soon as its backend takes nothing new. Non-zero: remove.
 */
plat_inline int gc_service(const struct loom_ctkey *k, struct loom_ct *ct,
			   struct loom_gc_args *args)
{
	__u32 number = ct->backend;
	const struct loom_backend *b = plat_lookup(&loom_backend, &number);
	int gone = gc_backend_gone(ct, b);

	if (k->proto != IPPROTO_TCP)
		return gone || !(b->flags & LOOM_BACKEND_READY);
	if (gone && !(ct->flags & LOOM_CT_DEAD)) {
		ct->flags |= LOOM_CT_DEAD;
		ct->out_a = 0;
		ct->out_b = 0;
		args->marked++;
	}
	return 0;
}

/* A frontend has that very address, or is on every node's and the address is one of those. */
plat_inline int gc_is_front(struct loom_svckey *svc)
{
	struct loom_ipkey k = { .scope = svc->scope };
	const struct loom_svc *v;
	__u32 kinds, vip;

	if (plat_lookup(&loom_svc, svc))
		return 1;
	if (!svc_port_in(LOOM_PORTS_FRONT, svc->port))
		return 0;
	addr_copy(&k.addr, &svc->addr);
	kinds = svc_node_kinds(&k, &vip);
	svc_any_addr(addr_is_mapped(&k.addr), &svc->addr);
	v = kinds ? plat_lookup(&loom_svc, svc) : NULL;
	return v && (v->flags & kinds);
}

/* UDP to what is a frontend by now, of before it was one: its next packet is to find the service.
 */
plat_inline int gc_passes_by(const struct loom_ctkey *k, const struct loom_ct *ct)
{
	int init_b = !!(ct->flags & LOOM_CT_FROM_B);
	struct loom_svckey svc = { .proto = k->proto, .scope = k->scope };

	if (k->proto != IPPROTO_UDP || (ct->flags & LOOM_CT_SNAT_BACK))
		return 0;
	addr_copy(&svc.addr, init_b ? &k->a : &k->b);
	svc.port = init_b ? k->pa : k->pb;
	return gc_is_front(&svc);
}

plat_inline void gc_keep(const struct loom_ctkey *k, const struct loom_ct *ct,
			 struct loom_gc_args *args)
{
	if (k->proto == IPPROTO_TCP)
		args->kept_tcp++;
	else if (k->proto == IPPROTO_UDP)
		args->kept_udp++;
	else if (k->proto == IPPROTO_ICMP || k->proto == IPPROTO_ICMPV6)
		args->kept_icmp++;
	else
		args->kept_other++;
	if (ct->flags & (LOOM_CT_SNAT | LOOM_CT_SNAT_BACK))
		args->kept_nat++;
	if (ct->flags & CT_SVC)
		args->kept_svc++;
}

/* Non-zero when the entry is to go, and its other half with it. */
plat_inline int gc_judge(const struct loom_ctkey *k, struct loom_ct *ct,
			 const struct loom_ctkey *pair, int has_pair, struct loom_gc_args *args)
{
	struct loom_ct *other = NULL;

	if (args->mode == LOOM_GC_ADDR)
		return gc_concerns(k, ct, args);
	if (args->mode == LOOM_GC_SERVICES)
		return ct->flags & CT_SVC ? gc_service(k, ct, args) : gc_passes_by(k, ct);
	if (has_pair) {
		other = plat_lookup(&loom_ct, pair);
		if (!other)
			other = plat_lookup(&loom_ct_new, pair);
	}
	return gc_idle(k, ct, other, args->now);
}
