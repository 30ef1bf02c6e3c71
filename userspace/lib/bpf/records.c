// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/records.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/addr.h"
#include "lib/bpf/names.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

const struct table_names table_names_none = {};

/* "<field>Name": name, when somebody knows one. */
static int add_name(struct json_object *ret, const char *field, const char *name)
{
	char key[48];

	if (!name)
		return 0;
	snprintf(key, sizeof(key), "%sName", field);
	return json_add_str(ret, key, name);
}

int record_add_addr(struct json_object *ret, const char *field, const union loom_addr *addr,
		    uint32_t scope, const struct table_names *n)
{
	char text[ADDR_STRLEN];

	if (addr_is_zero(addr))
		return 0;
	return json_add_str(ret, field, addr_format(addr, text))
		       ?: add_name(ret, field, n->addr ? n->addr(n->arg, scope, addr) : NULL);
}

int record_add_port(struct json_object *ret, const char *field, __be16 port)
{
	char key[48];

	snprintf(key, sizeof(key), "%sPort", field);
	return port ? json_add_int(ret, key, ntohs(port)) : 0;
}

static int add_link(struct json_object *ret, const char *field, uint32_t ifindex,
		    const struct table_names *n)
{
	if (!ifindex)
		return 0;
	return json_add_int(ret, field, ifindex)
		       ?: add_name(ret, field, n->link ? n->link(n->arg, ifindex) : NULL);
}

int record_add_node(struct json_object *ret, const char *field, uint32_t id,
		    const struct table_names *n)
{
	if (!id)
		return 0;
	return json_add_int(ret, field, id)
		       ?: add_name(ret, field, n->node ? n->node(n->arg, id) : NULL);
}

int record_add_ep(struct json_object *ret, uint32_t ep, const struct table_names *n)
{
	if (!ep)
		return 0;
	return json_add_int(ret, "ep", ep) ?: add_name(ret, "ep", n->ep ? n->ep(n->arg, ep) : NULL);
}

static int add_mac(struct json_object *ret, const char *field, const uint8_t mac[6])
{
	static const uint8_t none[6];
	char text[MAC_STRLEN];

	if (memcmp(mac, none, sizeof(none)) == 0)
		return 0;
	return json_add_str(ret, field, mac_format(mac, text));
}

/* Seconds since `tick`; a tick from a moment ahead (another CPU's clock) is now. */
int record_add_age(struct json_object *ret, const char *field, uint32_t tick,
		   const struct table_names *n)
{
	int32_t ticks = n->now_tick - tick;

	if (!n->now_tick)
		return 0;
	return json_add_int(ret, field, ((uint64_t)MAX(ticks, 0) << LOOM_TICK_SHIFT) / 1000000000u);
}

RECORD(state)
{
	const struct loom_state *s = value;

	n = n ?: &table_names_none;
	return record_add_node(ret, "node", s->node_id, n) ?:
	       json_add(ret, "flags", loom_flags_json(s->flags, loom_state_flag_names)) ?:
	       add_link(ret, "hostLink", s->host_ifindex, n) ?:
	       add_link(ret, "overlay", s->overlay_ifindex, n) ?:
	       add_link(ret, "uplink", s->uplink_ifindex, n) ?:
	       json_add_int(ret, "uplinkMTU", s->uplink_mtu) ?:
	       record_add_addr(ret, "masquerade4", &s->masq4, 0, &table_names_none) ?:
	       record_add_addr(ret, "masquerade6", &s->masq6, 0, &table_names_none) ?:
	       json_add_int(ret, "policyGeneration", s->policy_gen) ?:
	       json_add_int(ret, "routeGeneration", s->route_gen) ?:
	       json_add_int(ret, "conntrackFull", s->ct_full_total);
}

RECORD(ifcfg)
{
	const struct loom_ifcfg *c = value;
	union loom_addr ip4;

	n = n ?: &table_names_none;
	addr_from_v4(ntohl(c->ip4), &ip4);
	return add_link(ret, "ifindex", *(const uint32_t *)key, n) ?:
	       json_add_str(ret, "role", loom_role_name(c->role)) ?:
	       json_add_int(ret, "scope", c->scope) ?: record_add_ep(ret, c->ep, n) ?:
	       record_add_addr(ret, "ip4", &ip4, c->scope, n) ?:
	       record_add_addr(ret, "ip6", &c->ip6, c->scope, n) ?: json_add_int(ret, "mtu", c->mtu) ?:
	       add_mac(ret, "mac", c->mac) ?: add_mac(ret, "hostMAC", c->hmac) ?:
	       json_add(ret, "flags", loom_flags_json(c->flags, loom_if_flag_names));
}

RECORD(ep)
{
	const struct loom_ipkey *k = key;
	const struct loom_ep *ep = value;

	n = n ?: &table_names_none;
	return json_add_int(ret, "scope", k->scope) ?: record_add_addr(ret, "ip", &k->addr, k->scope, n) ?:
	       add_link(ret, "ifindex", ep->ifindex, n) ?: record_add_ep(ret, ep->ep, n) ?:
	       add_mac(ret, "mac", ep->mac) ?: add_mac(ret, "hostMAC", ep->hmac) ?:
	       json_add_int(ret, "mtu", ep->mtu) ?:
	       json_add(ret, "flags", loom_flags_json(ep->flags, loom_ep_flag_names));
}

static int add_remote(struct json_object *ret, const struct loom_remote *r,
		      const struct table_names *n)
{
	return record_add_node(ret, "node", r->node, n)
		       ?: json_add(ret, "flags", loom_flags_json(r->flags, loom_remote_flag_names));
}

RECORD(ip)
{
	const struct loom_ipkey *k = key;

	n = n ?: &table_names_none;
	return json_add_int(ret, "scope", k->scope) ?: record_add_addr(ret, "ip", &k->addr, k->scope, n) ?:
	       add_remote(ret, value, n);
}

RECORD(cidr)
{
	const struct loom_cidrkey *k = key;
	struct prefix p = { .addr = k->addr, .len = MIN(MAX(k->prefixlen, 32u) - 32, 128u) };
	char text[PREFIX_STRLEN];

	return json_add_int(ret, "scope", k->scope) ?:
	       json_add_str(ret, "cidr", prefix_format(&p, text)) ?:
	       add_remote(ret, value, n ?: &table_names_none);
}

RECORD(node)
{
	const struct loom_node *node = value;
	union loom_addr tunnel_src;

	addr_from_v4(ntohl(node->tunnel_src), &tunnel_src);
	n = n ?: &table_names_none;
	return record_add_node(ret, "node", *(const uint32_t *)key, n) ?:
	       record_add_addr(ret, "underlay", &node->underlay, 0, &table_names_none) ?:
	       (node->tunnel_src ? record_add_addr(ret, "tunnelSource", &tunnel_src, 0,
						   &table_names_none)
				 : 0) ?:
	       record_add_addr(ret, "nextHop4", &node->nexthop4, 0, &table_names_none) ?:
	       record_add_addr(ret, "nextHop6", &node->nexthop6, 0, &table_names_none) ?:
	       add_link(ret, "ifindex", node->ifindex, n) ?: json_add_int(ret, "mtu", node->mtu) ?:
	       json_add(ret, "flags", loom_flags_json(node->flags, loom_node_flag_names));
}

/* Where packets towards one end go: "pod nl0123", "tunnel to node-2", "stack". */
static int add_out(struct json_object *ret, const char *field, uint32_t out,
		   const struct table_names *n)
{
	static const char *const kinds[] = {
		[LOOM_OUT_UNSET] = "unset",   [LOOM_OUT_PEER] = "pod",	[LOOM_OUT_STACK] = "stack",
		[LOOM_OUT_TUNNEL] = "tunnel", [LOOM_OUT_NODE] = "node", [LOOM_OUT_NEIGH] = "link",
	};
	uint32_t kind = LOOM_OUT_KIND(out), index = LOOM_OUT_INDEX(out);
	bool to_node = kind == LOOM_OUT_TUNNEL || kind == LOOM_OUT_NODE;
	const char *who = NULL;
	char text[96];

	if (to_node && n->node)
		who = n->node(n->arg, index);
	else if (!to_node && index && n->link)
		who = n->link(n->arg, index);
	if (who)
		snprintf(text, sizeof(text), "%s %s", kind < ARRAY_SIZE(kinds) ? kinds[kind] : "?",
			 who);
	else if (index)
		snprintf(text, sizeof(text), "%s %u", kind < ARRAY_SIZE(kinds) ? kinds[kind] : "?",
			 index);
	else
		snprintf(text, sizeof(text), "%s", kind < ARRAY_SIZE(kinds) ? kinds[kind] : "?");
	return json_add_str(ret, field, text);
}

static int add_nat(struct json_object *ret, const struct loom_ctkey *k, const struct loom_ct *ct,
		   const struct table_names *n)
{
	return record_add_addr(ret, "nat", &ct->xaddr, k->scope, n)
		       ?: record_add_port(ret, "nat", ct->xport);
}

/* What a service's flow was translated to. Its own tuple has the other half: the frontend in
 * `front` entries is what the client wrote to, the backend in `back` ones who it came to. */
static int add_service(struct json_object *ret, const struct loom_ctkey *k,
		       const struct loom_ct *ct, const struct table_names *n)
{
	bool from_b = ct->flags & LOOM_CT_FROM_B;
	const union loom_addr *to = from_b ? &k->a : &k->b;
	__be16 to_port = from_b ? k->pa : k->pb;
	bool snat = ct->flags & LOOM_CT_SVC_SNAT;

	if (ct->flags & LOOM_CT_SVC)
		return json_add_int(ret, "service", ct->service) ?:
		       json_add_int(ret, "backendNumber", ct->backend) ?:
		       record_add_addr(ret, "frontend", to, k->scope, n) ?:
		       record_add_port(ret, "frontend", to_port) ?:
		       record_add_addr(ret, "backend", &ct->xaddr, k->scope, n) ?:
		       record_add_port(ret, "backend", ct->xport) ?:
		       record_add_port(ret, "source", ct->xport2);
	if (!(ct->flags & LOOM_CT_SVC_BACK))
		return 0;
	return json_add_int(ret, "backendNumber", ct->backend) ?:
	       record_add_addr(ret, "backend", to, k->scope, n) ?:
	       record_add_port(ret, "backend", to_port) ?:
	       record_add_addr(ret, snat ? "client" : "frontend", &ct->xaddr, k->scope, n) ?:
	       record_add_port(ret, "frontend", ct->xport) ?:
	       record_add_port(ret, "client", ct->xport2) ?:
	       (snat ? json_add_int(ret, "vip", ct->vip) : 0);
}

/* The sender of the first packet comes first, whichever of a and b it is. */
RECORD(ct)
{
	const struct loom_ctkey *k = key;
	const struct loom_ct *ct = value;
	bool from_b = ct->flags & LOOM_CT_FROM_B;
	char proto[NAME_STRLEN];

	n = n ?: &table_names_none;
	return json_add_int(ret, "scope", k->scope) ?:
	       json_add_str(ret, "proto", loom_proto_name(k->proto, proto)) ?:
	       record_add_addr(ret, "from", from_b ? &k->b : &k->a, k->scope, n) ?:
	       record_add_port(ret, "from", from_b ? k->pb : k->pa) ?:
	       record_add_addr(ret, "to", from_b ? &k->a : &k->b, k->scope, n) ?:
	       record_add_port(ret, "to", from_b ? k->pa : k->pb) ?:
	       json_add(ret, "flags", loom_flags_json(ct->flags, loom_ct_flag_names)) ?:
	       json_add(ret, "fromTCP",
			loom_flags_json(from_b ? ct->tcp_b : ct->tcp_a, loom_tcp_flag_names)) ?:
	       json_add(ret, "toTCP",
			loom_flags_json(from_b ? ct->tcp_a : ct->tcp_b, loom_tcp_flag_names)) ?:
	       add_out(ret, "forward", from_b ? ct->out_a : ct->out_b, n) ?:
	       add_out(ret, "back", from_b ? ct->out_b : ct->out_a, n) ?:
	       (ct->flags & (LOOM_CT_SVC | LOOM_CT_SVC_BACK) ? add_service(ret, k, ct, n)
							     : add_nat(ret, k, ct, n)) ?:
	       record_add_age(ret, "idleSeconds", ct->seen, n) ?:
	       record_add_age(ret, "ageSeconds", ct->created, n) ?:
	       json_add_int(ret, "policyGeneration", ct->policy_gen) ?:
	       json_add_int(ret, "routeGeneration", ct->route_gen);
}

RECORD(frag)
{
	const struct loom_fragkey *k = key;
	const struct loom_frag *f = value;
	char proto[NAME_STRLEN];

	n = n ?: &table_names_none;
	return json_add_int(ret, "scope", k->scope) ?:
	       json_add_str(ret, "proto", loom_proto_name(k->proto, proto)) ?:
	       record_add_addr(ret, "from", &k->saddr, k->scope, n) ?: record_add_port(ret, "from", f->sport) ?:
	       record_add_addr(ret, "to", &k->daddr, k->scope, n) ?: record_add_port(ret, "to", f->dport) ?:
	       json_add_int(ret, "id", ntohl(k->id)) ?: record_add_age(ret, "idleSeconds", f->tick, n);
}

RECORD(metrics)
{
	uint32_t index = *(const uint32_t *)key;
	const struct loom_counter *c = value;
	unsigned int reason = index / LOOM_HOOK_MAX;

	return json_add_str(ret, "hook", loom_hook_name(index % LOOM_HOOK_MAX)) ?:
	       json_add_str(ret, "reason", loom_drop_name(reason)) ?:
	       json_add_int(ret, "packets", c->packets) ?: json_add_int(ret, "bytes", c->bytes) ?:
	       json_add_str(ret, "meaning", loom_drop_text(reason));
}

RECORD(epstats)
{
	const struct loom_epstats *s = value;

	return record_add_ep(ret, *(const uint32_t *)key, n ?: &table_names_none) ?:
	       json_add_int(ret, "txPackets", s->tx_packets) ?:
	       json_add_int(ret, "txBytes", s->tx_bytes) ?:
	       json_add_int(ret, "rxPackets", s->rx_packets) ?:
	       json_add_int(ret, "rxBytes", s->rx_bytes) ?:
	       json_add_int(ret, "dropPackets", s->drop_packets) ?:
	       json_add_int(ret, "dropBytes", s->drop_bytes) ?:
	       json_add_int(ret, "denyInPackets", s->deny_in_packets) ?:
	       json_add_int(ret, "denyOutPackets", s->deny_out_packets);
}
