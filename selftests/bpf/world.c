// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/world.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

const __u8 mac_a[6] = { 2, 0, 0, 0, 0, 0xa }, hmac_a[6] = { 2, 0, 0, 0, 1, 0xa };
const __u8 mac_b[6] = { 2, 0, 0, 0, 0, 0xb }, hmac_b[6] = { 2, 0, 0, 0, 1, 0xb };

static const struct {
	const char *v4, *v6;
} addrs[WHO_MAX] = {
	[NOBODY] = { "10.9.9.9", "fd99::9" },
	[A] = { "10.1.1.11", "fd10:1::11" },
	[B] = { "10.1.1.12", "fd10:1::12" },
	[C] = { "10.1.2.21", "fd10:2::21" },
	[D] = { "10.1.3.31", "fd10:3::31" },
	[NODE] = { "192.0.2.1", "2001:db8::1" },
	[NODE2] = { "192.0.2.2", "2001:db8::2" },
	[NODE3] = { "192.0.2.3", "2001:db8::3" },
	[HOLE] = { "10.1.200.1", "fd10:200::1" },
	[OUT] = { "203.0.113.9", "2001:db8:9::9" },
	[PEERED] = { "198.51.100.7", "2001:db8:7::7" },
	[GATEWAY] = { "169.254.1.1", "fe80::1" },
	[HAIRPIN] = { "169.254.1.1", "fd6c:6f6f:6d::1" },
	[E] = { "10.1.1.13", "fd10:1::13" },
	[VIP] = { "10.96.0.10", "fd96::10" },
	[VIP2] = { "10.96.0.20", "fd96::20" },
	[EXT] = { "203.0.113.80", "2001:db8:80::80" },
	[GROUP] = { "224.0.0.5", "ff02::5" },
};

static union loom_addr parse(const char *text)
{
	union loom_addr a = {};

	if (inet_pton(AF_INET, text, &a.w[3]) == 1)
		a.w[2] = LOOM_V4_MARK;
	else if (inet_pton(AF_INET6, text, &a) != 1)
		abort();
	return a;
}

union loom_addr world_addr(enum who who, int family)
{
	return parse(family == 4 ? addrs[who].v4 : addrs[who].v6);
}

static void must(int err)
{
	if (err)
		abort();
}

static void pod_link(enum who who, __u32 ep, struct loom_ifcfg *ret)
{
	*ret = (struct loom_ifcfg){ .ep = ep, .role = LOOM_IF_POD, .mtu = POD_MTU };
	memcpy(ret->mac, who == B ? mac_b : mac_a, 6);
	memcpy(ret->hmac, who == B ? hmac_b : hmac_a, 6);
	if (who != B && who != E)
		who = A;
	ret->ip4 = world_addr(who, 4).w[3];
	ret->ip6 = world_addr(who, 6);
}

static void put_pod(const struct target *t, enum who who, __u32 ifindex, __u32 ep)
{
	struct loom_ep v = { .ifindex = ifindex, .ep = ep, .mtu = POD_MTU };
	struct loom_ifcfg cfg;
	int family;

	pod_link(who, ep, &cfg);
	memcpy(v.mac, cfg.mac, 6);
	memcpy(v.hmac, cfg.hmac, 6);
	must(t->put("loom_ifcfg", &ifindex, &cfg));
	for (family = 4; family <= 6; family += 2) {
		struct loom_ipkey k = { .addr = world_addr(who, family) };

		must(t->put("loom_ep", &k, &v));
	}
}

static void put_remote(const struct target *t, const char *prefix, __u32 bits, __u32 node,
		       __u32 flags)
{
	struct loom_remote r = { .node = node, .flags = flags };
	struct loom_cidrkey k = { .addr = parse(prefix) };

	k.prefixlen = 32 + bits + (strchr(prefix, ':') ? 0 : 96);
	must(t->put("loom_cidr", &k, &r));
}

static void put_node(const struct target *t, enum who who, __u32 id, __u32 flags, __u32 ifindex)
{
	struct loom_node n = { .underlay = world_addr(who, 4),
			       .flags = LOOM_NODE_PRESENT | flags,
			       .ifindex = ifindex,
			       .mtu = POD_MTU };
	struct loom_remote r = { .node = id, .flags = LOOM_REMOTE_NODE };
	int family;

	must(t->put("loom_node", &id, &n));
	for (family = 4; family <= 6; family += 2) {
		struct loom_ipkey k = { .addr = world_addr(who, family) };

		must(t->put("loom_ip", &k, &r));
	}
}

void world_set_link(const struct target *t, enum loom_hook hook, enum who pod)
{
	struct loom_ifcfg cfg = {};
	__u32 ifindex = LINK_A;

	if (hook == LOOM_HOOK_FROM_POD) {
		pod_link(pod, pod == B ? 2 : pod == E ? 3 : 1, &cfg);
		must(t->put("loom_ifcfg", &ifindex, &cfg));
		return;
	}
	cfg.role = hook == LOOM_HOOK_FROM_HOST	? LOOM_IF_HOST
		   : hook == LOOM_HOOK_FROM_NET ? LOOM_IF_UPLINK
						: LOOM_IF_OVERLAY;
	must(t->put("loom_ifcfg", &ifindex, &cfg));
}

void world_bump_route_gen(const struct target *t)
{
	struct loom_state st;
	__u32 zero = 0;

	must(t->get("loom_state", &zero, &st));
	st.route_gen++;
	must(t->put("loom_state", &zero, &st));
}

void world_unmasquerade(const struct target *t)
{
	struct loom_state st;
	__u32 zero = 0;

	must(t->get("loom_state", &zero, &st));
	st.flags &= ~LOOM_STATE_MASQUERADE;
	must(t->put("loom_state", &zero, &st));
}

void world_renumber(const struct target *t)
{
	struct loom_state st;
	__u32 zero = 0;

	must(t->get("loom_state", &zero, &st));
	st.masq4 = world_addr(NODE2, 4);
	st.masq6 = world_addr(NODE2, 6);
	st.route_gen++;
	must(t->put("loom_state", &zero, &st));
}

void world_tunnel_directly(const struct target *t)
{
	struct loom_node n;
	__u32 id = 2;

	must(t->get("loom_node", &id, &n));
	n.tunnel_src = world_addr(NODE, 4).w[3];
	n.nexthop4 = n.underlay;
	n.ifindex = LINK_UPLINK;
	must(t->put("loom_node", &id, &n));
}

void world_natively(const struct target *t)
{
	struct loom_node n;
	__u32 id = 3;

	must(t->get("loom_node", &id, &n));
	n.nexthop4 = world_addr(NODE3, 4);
	n.nexthop6 = world_addr(NODE3, 6);
	n.ifindex = LINK_UPLINK;
	must(t->put("loom_node", &id, &n));
}

void world_build(const struct target *t, enum loom_hook hook)
{
	struct loom_state st = { .policy_gen = 1,
				 .route_gen = 1,
				 .node_id = 1,
				 .host_ifindex = 92,
				 .overlay_ifindex = LINK_OVERLAY,
				 .uplink_ifindex = LINK_UPLINK,
				 .uplink_mtu = UPLINK_MTU,
				 .flags = LOOM_STATE_MASQUERADE | LOOM_STATE_TUNNEL |
					  LOOM_STATE_SERVICES,
				 .masq4 = world_addr(NODE, 4),
				 .masq6 = world_addr(NODE, 6) };
	struct loom_ep host = { .flags = LOOM_EP_HOST };
	__u32 zero = 0;
	int family;

	t->reset();
	must(t->put("loom_state", &zero, &st));
	put_pod(t, B, LINK_B, 2);
	put_pod(t, E, LINK_E, 3);
	put_pod(t, A, LINK_A, 1);
	world_set_link(t, hook, A);
	for (family = 4; family <= 6; family += 2) {
		struct loom_ipkey k = { .addr = world_addr(NODE, family) };

		host.ep = LOOM_VIP_NODE_FIRST + (family == 6);
		must(t->put("loom_ep", &k, &host));
	}
	put_node(t, NODE2, 2, LOOM_NODE_TUNNEL, 0);
	put_node(t, NODE3, 3, 0, LINK_NATIVE);
	put_remote(t, "10.1.0.0", 16, 0, LOOM_REMOTE_UNREACHABLE);
	put_remote(t, "fd10::", 16, 0, LOOM_REMOTE_UNREACHABLE);
	put_remote(t, "10.1.1.0", 24, 1, 0);
	put_remote(t, "fd10:1::", 64, 1, 0);
	put_remote(t, "10.1.2.0", 24, 2, 0);
	put_remote(t, "fd10:2::", 64, 2, 0);
	put_remote(t, "10.1.3.0", 24, 3, 0);
	put_remote(t, "fd10:3::", 64, 3, 0);
	put_remote(t, "198.51.100.0", 24, 0, LOOM_REMOTE_NO_MASQ);
	put_remote(t, "2001:db8:7::", 48, 0, LOOM_REMOTE_NO_MASQ);
	put_remote(t, "10.96.0.0", 16, 0, LOOM_REMOTE_UNREACHABLE);
	put_remote(t, "fd96::", 64, 0, LOOM_REMOTE_UNREACHABLE);
	world_add_services(t);
}
