// SPDX-License-Identifier: Apache-2.0
/* Records of the policy maps: shared/loom_pol.h. */
#include <arpa/inet.h>
#include <stdio.h>

#include "lib/base/addr.h"
#include "lib/bpf/names.h"
#include "lib/bpf/records.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

RECORD(epol)
{
	const struct loom_epol *e = value;
	uint32_t ep = *(const uint32_t *)key;

	return record_add_ep(ret, ep, n ?: &table_names_none) ?:
	       json_add_int(ret, "policyIn", e->policy_in) ?:
	       json_add_int(ret, "policyOut", e->policy_out) ?:
	       json_add_int(ret, "identity", e->identity) ?:
	       json_add(ret, "flags", loom_flags_json(e->flags, loom_epol_flag_names));
}

RECORD(ident)
{
	const struct loom_ipkey *k = key;

	return json_add_int(ret, "scope", k->scope) ?:
	       record_add_addr(ret, "ip", &k->addr, k->scope, n ?: &table_names_none) ?:
	       json_add_int(ret, "identity", *(const uint32_t *)value);
}

RECORD(class)
{
	const struct loom_cidrkey *k = key;
	struct prefix p = { .addr = k->addr, .len = MIN(MAX(k->prefixlen, 32u) - 32, 128u) };
	char text[PREFIX_STRLEN];

	(void)n;
	return json_add_int(ret, "scope", k->scope) ?:
	       json_add_str(ret, "cidr", prefix_format(&p, text)) ?:
	       json_add_int(ret, "class", *(const uint32_t *)value);
}

RECORD(pol)
{
	static const char *const kinds[] = { [LOOM_PEER_ANY] = "any",
					     [LOOM_PEER_IDENTITY] = "identity",
					     [LOOM_PEER_CLASS] = "class" };
	const struct loom_polkey *k = key;
	const struct loom_polset *s = value;

	(void)n;
	return json_add_int(ret, "policy", k->policy) ?:
	       json_add_str(ret, "peerKind", k->kind < ARRAY_SIZE(kinds) ? kinds[k->kind] : "?") ?:
	       json_add_int(ret, "peer", k->peer) ?: json_add_int(ret, "firstRule", s->first) ?:
	       json_add_int(ret, "rules", s->count) ?:
	       json_add(ret, "flags", loom_flags_json(s->flags, loom_polset_flag_names));
}

static int add_ports(struct json_object *ret, const struct loom_polrule *r)
{
	char text[16];

	if (!r->proto || (!r->lo && r->hi == 0xffff))
		return 0;
	if (r->lo == r->hi)
		snprintf(text, sizeof(text), "%u", r->lo);
	else
		snprintf(text, sizeof(text), "%u-%u", r->lo, r->hi);
	return json_add_str(ret, "ports", text);
}

RECORD(polrule)
{
	const struct loom_polrule *r = value;
	char proto[NAME_STRLEN];

	(void)n;
	return json_add_int(ret, "rule", *(const uint32_t *)key) ?:
	       json_add_str(ret, "tier", loom_tier_name(r->verdict >> 4)) ?:
	       json_add_int(ret, "order", r->order) ?:
	       json_add_str(ret, "action", loom_action_name(r->verdict & 0xf)) ?:
	       json_add_str(ret, "proto", r->proto ? loom_proto_name(r->proto, proto) : "any") ?:
	       add_ports(ret, r);
}

RECORD(denied)
{
	const struct loom_deniedkey *k = key;
	const struct loom_denied *d = value;
	char proto[NAME_STRLEN];

	n = n ?: &table_names_none;
	return record_add_ep(ret, k->ep, n) ?:
	       json_add_str(ret, "direction", k->ingress ? "ingress" : "egress") ?:
	       json_add_int(ret, "scope", k->scope) ?:
	       record_add_addr(ret, "peer", &k->peer, k->scope, n) ?:
	       json_add_str(ret, "proto", loom_proto_name(k->proto, proto)) ?:
	       (k->port ? json_add_int(ret, "destinationPort", ntohs(k->port)) : 0) ?:
	       json_add_str(ret, "reason", loom_drop_name(k->reason)) ?:
	       json_add_int(ret, "packets", d->packets) ?:
	       record_add_age(ret, "idleSeconds", d->last_ns >> LOOM_TICK_SHIFT, n);
}
