// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "bpf/lib/ct.h"
#include "bpf/native/native.h"
#include "bpf/native/probe.h"
#include "lib/base/clock.h"
#include "lib/explain/private.h"
#include "lib/netlink/netlink.h"

#define PORT_FIRST 32768
#define PORT_COUNT 28232 /* the kernel's own range for clients */
#define PORT_TRIES 64

void *run_peek(struct run *r, const char *map, const void *key)
{
	bool was = r->overlay->quiet;
	void *value;

	r->overlay->quiet = true;
	value = nmap_lookup(native_map(map), key);
	r->overlay->quiet = was;
	return value;
}

const struct loom_remote *run_remote(struct run *r, const union loom_addr *addr)
{
	struct loom_ipkey k = { .addr = *addr };
	struct loom_cidrkey lpm = { .prefixlen = 160, .addr = *addr };
	const struct loom_remote *remote = run_peek(r, "loom_ip", &k);

	return remote ?: run_peek(r, "loom_cidr", &lpm);
}

static const struct loom_ep *endpoint(struct run *r, const union loom_addr *addr)
{
	return run_peek(r, "loom_ep", &(struct loom_ipkey){ .addr = *addr });
}

static const struct loom_ifcfg *link_of(struct run *r, uint32_t ifindex)
{
	return run_peek(r, "loom_ifcfg", &ifindex);
}

/* ---- who sends ---- */

static bool is_others(const struct run *r, const struct loom_remote *remote)
{
	return remote && remote->node && remote->node != r->st.node_id;
}

static int nobodys(const struct run *r, const struct loom_remote *remote, struct err *e)
{
	char text[ADDR_STRLEN];

	addr_format(&r->q.src, text);
	if (remote->node == r->st.node_id)
		return err_set(e, -EINVAL, "FROM: no pod of this node has the address %s", text);
	return err_set(e, -EINVAL, "FROM: %s is in the cluster's range, but nobody's", text);
}

int run_source(struct run *r, struct err *e)
{
	const struct loom_state *st = run_peek(r, "loom_state", &(uint32_t){ 0 });
	const struct loom_ep *ep = endpoint(r, &r->q.src);
	const struct loom_remote *remote;

	if (!st || r->overlay->error)
		return err_errno(e, r->overlay->error ?: -ENOENT, "the data plane's maps");
	r->st = *st;
	r->hook = LOOM_HOOK_FROM_NET;
	r->sender = SENDER_FAR;
	if (ep && !(ep->flags & LOOM_EP_HOST)) {
		r->sender = SENDER_POD;
		r->hook = LOOM_HOOK_FROM_POD;
		r->ctx.ifindex = ep->ifindex;
		return 0;
	}
	remote = run_remote(r, &r->q.src);
	if (ep || (r->q.host && !is_others(r, remote))) {
		r->sender = SENDER_HOST;
		r->hook = LOOM_HOOK_FROM_HOST;
		r->ctx.ifindex = r->st.host_ifindex;
		return 0;
	}
	if (remote && (remote->node == r->st.node_id || (remote->flags & LOOM_REMOTE_UNREACHABLE)))
		return nobodys(r, remote, e);
	r->ctx.ifindex = r->st.uplink_ifindex;
	return 0;
}

/* ---- where it comes in ---- */

static int route_get(struct run *r, const union loom_addr *dst, struct nl_route *ret, struct err *e)
{
	int err = r->nl ? 0 : nl_open(-1, &r->nl, e);

	return err ? err : nl_route_get(r->nl, dst, ret, e);
}

/* plat_route(), as the kernel's helper answers. */
static int on_route(const struct plat_ctx *ctx, const struct pkt *p)
{
	struct run *r = container_of(ctx, struct run, ctx);
	struct nl_route route;
	int err = route_get(r, &p->target, &route, NULL);

	if (err == -EHOSTUNREACH || err == -EACCES || err == -EINVAL)
		return -ENETUNREACH;
	return err || route.type != RTN_UNICAST ? 0 : (int)route.ifindex;
}

/* What the host sends passes a program only where its routes lead to loom_host. */
static int enter_host(struct run *r, struct err *e)
{
	char text[ADDR_STRLEN], ifname[IF_NAMESIZE] = "";
	struct explain_question *q = &r->q;
	struct nl_route route;
	int err = route_get(r, &q->dst, &route, e);

	addr_format(&q->dst, text);
	if (err == -ENETUNREACH || err == -EHOSTUNREACH || err == -EACCES)
		return err_set(e, -EINVAL, "the host has no route to %s", text);
	if (err < 0)
		return err;
	if (q->host && !addr_is_zero(&route.src))
		q->src = route.src;
	if (route.ifindex != r->st.host_ifindex)
		snprintf(r->past, sizeof(r->past), "the host's own routes send it by '%s'",
			 if_indextoname(route.ifindex, ifname) ?: "?");
	return 0;
}

/* A pod's address of this node's range that no pod has: the sender's node knows the range only. */
static bool is_vacant(struct run *r)
{
	const struct loom_remote *remote = run_remote(r, &r->q.dst);

	return remote &&
	       (remote->node == r->st.node_id || (remote->flags & LOOM_REMOTE_UNREACHABLE));
}

/* From another node: tunnels carry what pods send, and nodes to pods. */
static void enter_far(struct run *r)
{
	const struct loom_remote *remote = run_remote(r, &r->q.src);
	const struct loom_ep *ep = endpoint(r, &r->q.dst);
	bool to_pod = ep ? !(ep->flags & LOOM_EP_HOST) : is_vacant(r);
	const struct loom_node *node;
	uint32_t id = remote ? remote->node : 0;

	node = id ? run_peek(r, "loom_node", &id) : NULL;
	if (!node || !(node->flags & LOOM_NODE_TUNNEL))
		return;
	if ((remote->flags & LOOM_REMOTE_NODE) && !to_pod)
		return;
	r->hook = LOOM_HOOK_FROM_OVERLAY;
	r->via_node = id;
	r->ctx.ifindex = r->st.overlay_ifindex;
	r->ctx.tunnel_vni = loom_cfg.overlay_vni;
	r->ctx.tunnel_src = node->underlay;
}

/* What another node sends to what is not here does not come by this one, unless it said so. */
static bool passes_elsewhere(struct run *r)
{
	const struct loom_remote *remote = run_remote(r, &r->q.src);

	return !r->q.arrives && r->sender == SENDER_FAR && remote && remote->node &&
	       !endpoint(r, &r->q.dst);
}

static uint8_t wire_proto(const struct explain_question *q)
{
	return q->proto == IPPROTO_ICMP && !addr_is_v4(&q->src) ? IPPROTO_ICMPV6 : q->proto;
}

static bool port_is_free(struct run *r, uint16_t port)
{
	const struct explain_question *q = &r->q;
	bool echo = q->proto == IPPROTO_ICMP;
	struct loom_ctkey k = {};

	ct_key(&k, &q->src, htons(port), &q->dst, htons(echo ? port : q->port), wire_proto(q), 0);
	return !run_peek(r, "loom_ct", &k) && !run_peek(r, "loom_ct_new", &k);
}

static int choose_port(struct run *r, struct err *e)
{
	uint16_t start = clock_ns() >> 8;

	r->sport = r->q.flow;
	if (r->sport)
		return 0;
	if (getrandom(&start, sizeof(start), GRND_NONBLOCK) < 0)
		start = clock_ns() >> 8;
	for (unsigned int i = 0; i < PORT_TRIES; i++) {
		r->sport = PORT_FIRST + (start + i) % PORT_COUNT;
		if (port_is_free(r, r->sport))
			return 0;
	}
	return err_set(e, -EADDRINUSE, "no source port is free: conntrack has flows from %u ports",
		       PORT_TRIES);
}

int run_entry(struct run *r, struct err *e)
{
	int err = 0;

	if (passes_elsewhere(r)) {
		r->elsewhere = true;
		snprintf(r->past, sizeof(r->past), "%s",
			 "neither sender nor destination are here, so it does not come by");
	} else if (r->sender == SENDER_FAR) {
		enter_far(r);
	} else if (addr_equal(&r->q.src, &r->q.dst)) {
		snprintf(r->past, sizeof(r->past), "%s", "it is for the sender itself");
	} else if (r->sender == SENDER_HOST) {
		err = enter_host(r, e);
	}
	return err ? err : choose_port(r, e);
}

/* ---- the run ---- */

static void count(struct run *r)
{
	struct nmap *metrics = native_map("loom_metrics");

	for (uint32_t i = 0; i < metrics->max_entries; i++) {
		const struct loom_counter *c = nmap_lookup(metrics, &i);
		unsigned int reason = i / LOOM_HOOK_MAX;

		if (!c || !c->packets || reason == LOOM_DROP_FORWARDED)
			continue;
		if (reason == LOOM_DROP_POLICY_LOGGED)
			r->logged = true;
		else
			r->reason = reason;
	}
}

/*
 * What the uplink's program leaves to the host comes to the next one where the host's routes lead
 * to loom_host, as for all of the cluster's ranges; what nobody has of these is dropped there.
 */
static void follow_host(struct run *r)
{
	struct nl_route route;

	if (r->hook != LOOM_HOOK_FROM_NET || r->reason || !(r->ctx.pkt.flags & PKT_PASS) ||
	    endpoint(r, &r->q.dst) || !is_vacant(r))
		return;
	if (route_get(r, &r->q.dst, &route, NULL) < 0 || route.ifindex != r->st.host_ifindex)
		return;
	r->by_host = true;
}

void run_packet(struct run *r)
{
	const struct loom_ifcfg *cfg = link_of(r, r->ctx.ifindex);
	struct probe probe = { .src = r->q.src,
			       .dst = r->q.dst,
			       .proto = r->q.proto,
			       .tcp_flags = r->q.flow ? TCP_ACK : TCP_SYN,
			       .sport = r->sport,
			       .dport = r->q.port };

	if (cfg) {
		memcpy(probe.smac, cfg->mac, 6);
		memcpy(probe.dmac, cfg->hmac, 6);
		probe.raw = cfg->flags & LOOM_IF_RAW_IP;
	}
	r->ctx.data = r->buf + PLAT_HEADROOM;
	r->ctx.head = PLAT_HEADROOM;
	r->ctx.cap = sizeof(r->buf) - PLAT_HEADROOM;
	r->ctx.len = probe_build(&probe, r->ctx.data);
	r->ctx.ethertype = addr_is_v4(&probe.src) ? ETH_P_IP : ETH_P_IPV6;
	r->ctx.now_ns = clock_ns();
	r->ctx.route = on_route;
	r->len = r->ctx.len;
	r->result = native_run(&r->ctx, r->hook);
	r->overlay->quiet = true;
	count(r);
	follow_host(r);
}

void run_release(struct run *r)
{
	nl_close(r->nl);
}

/* ---- what came of it ---- */

void run_wire(const struct run *r, struct wire *ret)
{
	const struct pkt *p = &r->ctx.pkt;
	const uint8_t *l4 = r->ctx.data + (r->ctx.len - r->len) + p->l4;
	struct wire w = {};

	if (p->family == 4) {
		w.src.w[2] = w.dst.w[2] = LOOM_V4_MARK;
		memcpy(w.src.b + 12, p->ip + 12, 4);
		memcpy(w.dst.b + 12, p->ip + 16, 4);
	} else {
		memcpy(&w.src, p->ip + 8, 16);
		memcpy(&w.dst, p->ip + 24, 16);
	}
	if (r->q.proto == IPPROTO_ICMP) {
		w.sport = l4[4] << 8 | l4[5];
	} else {
		w.sport = l4[0] << 8 | l4[1];
		w.dport = l4[2] << 8 | l4[3];
	}
	*ret = w;
}

const struct loom_ct *run_flow(struct run *r, bool *ret_known)
{
	const struct pkt *p = &r->ctx.pkt;
	const struct loom_ct *ct;

	*ret_known = false;
	for (size_t i = 0; i < r->overlay->n_seen && !*ret_known; i++) {
		const struct overlay_lookup *l = &r->overlay->seen[i];

		if ((l->map == &loom_ct || l->map == &loom_ct_new) && l->value &&
		    memcmp(l->key, &p->key, sizeof(p->key)) == 0)
			*ret_known = true;
	}
	if (!*ret_known)
		return p->entry.created ? &p->entry : NULL;
	ct = run_peek(r, "loom_ct", &p->key);
	return ct ?: run_peek(r, "loom_ct_new", &p->key);
}

uint32_t run_node_before(struct run *r)
{
	const struct loom_remote *remote = NULL;

	if (r->sender == SENDER_FAR)
		remote = run_remote(r, &r->q.src);
	return is_others(r, remote) ? remote->node : 0;
}

uint32_t run_node_instead(struct run *r)
{
	const struct loom_remote *remote;

	if (r->sender != SENDER_FAR || run_remote(r, &r->q.src) || endpoint(r, &r->q.dst))
		return 0;
	remote = run_remote(r, &r->q.dst);
	return is_others(r, remote) ? remote->node : 0;
}

uint32_t run_next_node(struct run *r)
{
	const struct loom_remote *remote;
	struct wire w = { .dst = r->q.dst };

	if (r->reason)
		return 0;
	if (!*r->past) {
		if (r->ctx.pkt.v_node)
			return r->ctx.pkt.v_node;
		if (r->ctx.pkt.v_kind != VERDICT_NEIGH)
			return 0;
		run_wire(r, &w);
	}
	remote = run_remote(r, &w.dst);
	return remote && remote->node != r->st.node_id ? remote->node : 0;
}
