// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The tc family's object: entry programs, no more. Each hands its packet to the core (bpf/lib),
 * which leaves a verdict, and carries it out.
 */
#include "bpf/lib/ct_gc.h"
#include "bpf/lib/hooks.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile struct loom_config loom_cfg = LOOM_CONFIG_DEFAULT;

static __always_inline void exec_tunnel_addr(struct bpf_tunnel_key *key, const struct loom_node *n,
					     __u64 *flags)
{
	if (addr_is_mapped(&n->underlay)) {
		key->remote_ipv4 = bpf_ntohl(n->underlay.w[3]);
		*flags = BPF_F_ZERO_CSUM_TX;
	} else {
		__builtin_memcpy(key->remote_ipv6, &n->underlay, 16);
		*flags = BPF_F_TUNINFO_IPV6;
	}
}

static __always_inline int exec_tunnel(struct __sk_buff *skb, struct pkt *p)
{
	struct bpf_tunnel_key key = {};
	struct loom_state *st;
	struct loom_node *n;
	__u32 zero = 0, id = p->v_node;
	__u64 flags;
	int err;

	st = bpf_map_lookup_elem(&loom_state, &zero);
	n = bpf_map_lookup_elem(&loom_node, &id);
	if (!st || !n || !st->overlay_ifindex)
		return -LOOM_DROP_NO_NODE;
	key.tunnel_id = p->scope ? p->scope : loom_cfg.overlay_vni;
	key.tunnel_ttl = 64;
	exec_tunnel_addr(&key, n, &flags);
	err = bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags);
	if (err) {
		p->aux = err;
		return -LOOM_DROP_TUNNEL_KEY;
	}
	return bpf_redirect(st->overlay_ifindex, 0);
}

/*
 * What the host's stack sends carries the route that brought it to loom_host. A neighbour that was
 * resolved asks that route again who each waiting packet is for, and the route's own link has no
 * neighbours: all but the last would leave with no one's MAC. A tunnel key takes the route's place,
 * and names no neighbour, so the packet goes to the one that it waited for.
 */
static __always_inline int exec_forget_route(struct __sk_buff *skb, struct pkt *p)
{
	struct bpf_tunnel_key none = {};
	int err;

	if (p->hook != LOOM_HOOK_FROM_HOST)
		return 0;
	err = bpf_skb_set_tunnel_key(skb, &none, sizeof(none), 0);
	p->aux = err;
	return err ? -LOOM_DROP_TUNNEL_KEY : 0;
}

static __always_inline int exec_neigh(struct __sk_buff *skb, struct pkt *p)
{
	struct bpf_redir_neigh nh = {};
	__u32 id = p->v_node;
	struct loom_node *n;
	union loom_addr *hop;
	int err;

	if (!id)
		return bpf_redirect_neigh(p->v_ifindex, NULL, 0, 0);
	n = bpf_map_lookup_elem(&loom_node, &id);
	if (!n)
		return -LOOM_DROP_NO_NODE;
	hop = p->family == 4 || (p->flags & PKT_ENCAP) ? &n->nexthop4 : &n->nexthop6;
	if (addr_is_none(hop))
		return bpf_redirect_neigh(p->v_ifindex, NULL, 0, 0);
	err = exec_forget_route(skb, p);
	if (err)
		return err;
	if (addr_is_mapped(hop)) {
		nh.nh_family = AF_INET;
		nh.ipv4_nh = hop->w[3];
	} else {
		nh.nh_family = AF_INET6;
		__builtin_memcpy(nh.ipv6_nh, hop, 16);
	}
	return bpf_redirect_neigh(p->v_ifindex, &nh, sizeof(nh), 0);
}

/* TC action, or a negative reason. `ingress`: redirect_peer is for tc ingress only. */
static __always_inline int exec_verdict(struct __sk_buff *skb, struct pkt *p, int ingress)
{
	switch (p->v_kind) {
	case VERDICT_PEER:
		plat_accept(skb);
		if (ingress)
			return bpf_redirect_peer(p->v_ifindex, 0);
		return bpf_redirect(p->v_ifindex, 0);
	case VERDICT_STACK:
		if (!(p->flags & PKT_PASS))
			plat_accept(skb);
		return TC_ACT_OK;
	case VERDICT_TUNNEL:
		return p->flags & PKT_ENCAP ? exec_neigh(skb, p) : exec_tunnel(skb, p);
	case VERDICT_NEIGH:
		return exec_neigh(skb, p);
	case VERDICT_REDIRECT:
		return bpf_redirect(p->v_ifindex, 0);
	case VERDICT_INGRESS:
		plat_accept(skb);
		return bpf_redirect(p->v_ifindex, BPF_F_INGRESS);
	default:
		return TC_ACT_SHOT;
	}
}

static __always_inline int exec(struct __sk_buff *skb, struct pkt *p, int err, int ingress)
{
	int act;

	if (err)
		return TC_ACT_SHOT;
	act = exec_verdict(skb, p, ingress);
	if (act >= 0)
		return act;
	account_drop(skb, act);
	return TC_ACT_SHOT;
}

SEC("tc")
int loom_from_pod(struct __sk_buff *skb)
{
	struct pkt *p = plat_pkt(skb);

	return p ? exec(skb, p, hook_from_pod(skb, p), 1) : TC_ACT_SHOT;
}

SEC("tc")
int loom_from_host(struct __sk_buff *skb)
{
	struct pkt *p = plat_pkt(skb);

	return p ? exec(skb, p, hook_from_host(skb, p), 0) : TC_ACT_SHOT;
}

SEC("tc")
int loom_from_net(struct __sk_buff *skb)
{
	struct pkt *p = plat_pkt(skb);

	return p ? exec(skb, p, hook_from_net(skb, p), 1) : TC_ACT_OK;
}

SEC("tc")
int loom_from_ovl(struct __sk_buff *skb)
{
	struct pkt *p = plat_pkt(skb);

	return p ? exec(skb, p, hook_from_overlay(skb, p), 1) : TC_ACT_SHOT;
}

SEC("tc")
int loom_to_net(struct __sk_buff *skb)
{
	struct pkt *p = plat_pkt(skb);

	return p ? exec(skb, p, hook_to_net(skb, p), 0) : TC_ACT_OK;
}

/* Both halves of a flow go at once: left alone, the second would be judged without the first. */
static __always_inline void gc_remove_pair(const struct loom_ctkey *pair, struct loom_gc_args *args)
{
	if (!bpf_map_delete_elem(&loom_ct, pair))
		args->deleted++;
	else if (!bpf_map_delete_elem(&loom_ct_new, pair))
		args->new_deleted++;
}

/* An entry of loom_ct_new if `fresh`, else of loom_ct. */
static __always_inline long gc_entry(const struct loom_ctkey *k, struct loom_ct *ct,
				     struct loom_gc_args *args, int fresh)
{
	struct loom_ctkey pair;
	int has_pair = gc_pair(k, ct, &pair);

	if (!gc_judge(k, ct, &pair, has_pair, args)) {
		gc_keep(k, ct, args);
		return 0;
	}
	if (!fresh && !bpf_map_delete_elem(&loom_ct, k))
		args->deleted++;
	if (fresh && !bpf_map_delete_elem(&loom_ct_new, k))
		args->new_deleted++;
	if (has_pair)
		gc_remove_pair(&pair, args);
	return 0;
}

static long gc_ct(void *map, const struct loom_ctkey *k, struct loom_ct *ct,
		  struct loom_gc_args *args)
{
	args->scanned++;
	return gc_entry(k, ct, args, 0);
}

static long gc_ct_new(void *map, const struct loom_ctkey *k, struct loom_ct *ct,
		      struct loom_gc_args *args)
{
	args->new_scanned++;
	return gc_entry(k, ct, args, 1);
}

SEC("syscall")
int loom_ct_gc(struct loom_gc_args *ctx)
{
	struct loom_gc_args args = { .mode = ctx->mode, .now = ctx->now, .scope = ctx->scope };
	long err;

	args.addr = ctx->addr;
	if (!args.now)
		args.now = bpf_ktime_get_ns() >> LOOM_TICK_SHIFT;
	err = bpf_for_each_map_elem(&loom_ct, gc_ct, &args, 0);
	if (err >= 0)
		err = bpf_for_each_map_elem(&loom_ct_new, gc_ct_new, &args, 0);
	args.error = err < 0 ? err : 0;
	*ctx = args;
	return 0;
}
