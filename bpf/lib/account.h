/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Counters and events. Every packet that ends here ends in account_drop(), every one that goes on
 * in account_forward(): nothing is lost without a reason that a user can read.
 */
#include "bpf/lib/addr.h"

plat_inline void account_metric(struct plat_ctx *ctx, const struct pkt *p, __u32 reason)
{
	__u32 index = reason * LOOM_HOOK_MAX + p->hook;
	struct loom_counter *c = plat_lookup(&loom_metrics, &index);

	if (!c)
		return;
	c->packets += plat_packets(ctx);
	c->bytes += p->len;
}

/* One token of bucket `index`, filled with `rate` a second up to `burst`: non-zero when taken. */
plat_inline int account_token(__u32 index, __u64 now, __u32 rate, __u32 burst)
{
	struct loom_evlimit *l = plat_lookup(&loom_evlimit, &index);
	__u64 elapsed, tokens;

	if (!l || !rate)
		return 0;
	elapsed = now - l->last_ns;
	if (elapsed > 1000000000ull)
		elapsed = 1000000000ull;
	tokens = l->tokens + elapsed * rate / 1000000;
	if (tokens > (__u64)burst * 1000)
		tokens = (__u64)burst * 1000;
	/* A gain of less than a thousandth must not be lost to rounding: then time stands still. */
	if (tokens != l->tokens)
		l->last_ns = now;
	if (tokens < 1000) {
		l->tokens = tokens;
		l->lost++;
		return 0;
	}
	l->tokens = tokens - 1000;
	return 1;
}

/* What policy was asked: p->pol_*, of policy_direction(). */
plat_inline void account_judged(const struct pkt *p, struct loom_event *ev)
{
	addr_copy(&ev->peer, &p->pol_peer);
	ev->judged = p->pol_ep;
	ev->port = p->pol_port;
	ev->ingress = p->pol_ingress;
	ev->flow_proto = p->pol_proto;
}

plat_inline void account_event(struct plat_ctx *ctx, struct pkt *p, __u32 reason)
{
	struct loom_event *ev = &p->event;
	__u64 now = plat_now_ns();

	if (!account_token(0, now, loom_cfg.event_rate, loom_cfg.event_burst))
		return;
	plat_zero(ev, sizeof(*ev));
	ev->time_ns = now;
	ev->reason = reason;
	ev->hook = p->hook;
	ev->ifindex = p->ifindex;
	ev->scope = p->scope;
	ev->len = p->len;
	ev->ep = p->ep;
	ev->family = p->family;
	ev->ethertype = p->ethertype;
	ev->aux = p->aux;
	if (p->family) {
		ev->proto = p->proto;
		addr_copy(&ev->saddr, &p->saddr);
		addr_copy(&ev->daddr, &p->daddr);
		ev->sport = p->sport;
		ev->dport = p->dport;
		ev->tcp_flags = p->tcp_flags;
	}
	if (reason == LOOM_DROP_POLICY || reason == LOOM_DROP_POLICY_PENDING ||
	    reason == LOOM_DROP_POLICY_LOGGED)
		account_judged(p, ev);
	plat_event(ctx, ev);
}

/* What policy was asked, as loom_denied counts it. The identifier of ICMP is no port. */
plat_inline void account_denied_key(struct pkt *p, __u32 reason)
{
	struct loom_deniedkey *k = &p->denied_key;

	plat_zero(k, sizeof(*k));
	addr_copy(&k->peer, &p->pol_peer);
	k->scope = p->pol_scope;
	k->ep = p->pol_ep;
	if (p->pol_proto == IPPROTO_TCP || p->pol_proto == IPPROTO_UDP ||
	    p->pol_proto == IPPROTO_SCTP)
		k->port = p->pol_port;
	k->proto = p->pol_proto;
	k->ingress = p->pol_ingress;
	k->reason = reason;
}

/*
 * Counts a denial by name, right after policy_direction() has made it: for its endpoint, and for
 * who was denied what. `reason` is positive.
 */
plat_fn int account_denied(struct plat_ctx *ctx, __u32 reason)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_denied *d;
	struct loom_epstats *s;
	__u32 ep;

	if (!p)
		return 0;
	ep = p->pol_ep;
	s = reason != LOOM_DROP_POLICY_LOGGED ? plat_lookup(&loom_epstats, &ep) : NULL;
	if (s && p->pol_ingress)
		s->deny_in_packets += plat_packets(ctx);
	else if (s)
		s->deny_out_packets += plat_packets(ctx);
	account_denied_key(p, reason);
	p->denied.packets = 0;
	p->denied.last_ns = plat_now_ns();
	d = plat_lookup(&loom_denied, &p->denied_key);
	if (!d) {
		/* Another CPU may be about to enter the same: then that is the entry. */
		plat_update(&loom_denied, &p->denied_key, &p->denied, BPF_NOEXIST);
		d = plat_lookup(&loom_denied, &p->denied_key);
	}
	if (!d)
		return 0;
	plat_add(&d->packets, plat_packets(ctx));
	d->last_ns = p->denied.last_ns;
	return 0;
}

/* The one way to lose a packet. `reason` is negative; so is what it returns. */
plat_fn int account_drop(struct plat_ctx *ctx, int reason)
{
	struct pkt *p = plat_pkt(ctx);
	struct loom_epstats *s;
	__u32 ep;

	if (!p || reason >= 0 || reason <= -LOOM_DROP_MAX)
		return -LOOM_DROP_HELPER;
	account_metric(ctx, p, -reason);
	ep = p->ep;
	s = ep ? plat_lookup(&loom_epstats, &ep) : NULL;
	if (s) {
		s->drop_packets += plat_packets(ctx);
		s->drop_bytes += p->len;
	}
	if (!(p->flags & PKT_QUIET))
		account_event(ctx, p, -reason);
	if (reason == -LOOM_DROP_POLICY || reason == -LOOM_DROP_POLICY_PENDING)
		account_denied(ctx, -reason);
	p->v_kind = VERDICT_DROP;
	return reason;
}

/* The packet goes on: counts it for its hook, the pod that sent it and the pod that gets it. */
plat_inline void account_forward(struct plat_ctx *ctx, const struct pkt *p)
{
	__u32 packets = plat_packets(ctx), tx = p->ep, rx = p->rx_ep;
	__u32 index = LOOM_DROP_FORWARDED * LOOM_HOOK_MAX + p->hook;
	struct loom_counter *c = plat_lookup(&loom_metrics, &index);
	struct loom_epstats *s;

	if (c) {
		c->packets += packets;
		c->bytes += p->len;
	}
	s = p->hook == LOOM_HOOK_FROM_POD ? plat_lookup(&loom_epstats, &tx) : NULL;
	if (s) {
		s->tx_packets += packets;
		s->tx_bytes += p->len;
	}
	s = rx ? plat_lookup(&loom_epstats, &rx) : NULL;
	if (s) {
		s->rx_packets += packets;
		s->rx_bytes += p->len;
	}
}
