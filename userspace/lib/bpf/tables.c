// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/tables.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/bpf/records.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

#define TEXT(heading, field)                        \
	{                                           \
		heading, field, COLUMN_PLAIN, false \
	}
#define NUMBER(heading, field)                     \
	{                                          \
		heading, field, COLUMN_PLAIN, true \
	}
#define NAMED(heading, field)                       \
	{                                           \
		heading, field, COLUMN_NAMED, false \
	}
#define ENDPOINT(heading, field)                       \
	{                                              \
		heading, field, COLUMN_ENDPOINT, false \
	}
#define SECONDS(heading, field)                      \
	{                                            \
		heading, field, COLUMN_SECONDS, true \
	}

static const struct column ct_columns[] = {
	TEXT("PROTO", "proto"),
	ENDPOINT("FROM", "from"),
	ENDPOINT("TO", "to"),
	ENDPOINT("NAT", "nat"),
	ENDPOINT("FRONTEND", "frontend"),
	ENDPOINT("BACKEND", "backend"),
	SECONDS("IDLE", "idleSeconds"),
	SECONDS("AGE", "ageSeconds"),
	TEXT("FORWARD", "forward"),
	TEXT("BACK", "back"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column ep_columns[] = {
	NUMBER("SCOPE", "scope"), NAMED("IP", "ip"),
	NAMED("LINK", "ifindex"), NUMBER("EP", "ep"),
	TEXT("MAC", "mac"),	  NUMBER("MTU", "mtu"),
	TEXT("FLAGS", "flags"),	  {},
};
static const struct column ifcfg_columns[] = {
	NAMED("LINK", "ifindex"), TEXT("ROLE", "role"),
	NUMBER("SCOPE", "scope"), NAMED("EP", "ep"),
	TEXT("IPV4", "ip4"),	  TEXT("IPV6", "ip6"),
	TEXT("MAC", "mac"),	  NUMBER("MTU", "mtu"),
	TEXT("FLAGS", "flags"),	  {},
};
static const struct column ip_columns[] = {
	NUMBER("SCOPE", "scope"),
	NAMED("IP", "ip"),
	NAMED("NODE", "node"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column cidr_columns[] = {
	NUMBER("SCOPE", "scope"),
	TEXT("CIDR", "cidr"),
	NAMED("NODE", "node"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column node_columns[] = {
	NAMED("NODE", "node"),
	TEXT("UNDERLAY", "underlay"),
	TEXT("TUNNEL SOURCE", "tunnelSource"),
	TEXT("NEXT HOP 4", "nextHop4"),
	TEXT("NEXT HOP 6", "nextHop6"),
	NAMED("LINK", "ifindex"),
	NUMBER("MTU", "mtu"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column state_columns[] = {
	NAMED("NODE", "node"),
	NAMED("UPLINK", "uplink"),
	NAMED("HOST LINK", "hostLink"),
	NAMED("OVERLAY", "overlay"),
	TEXT("MASQUERADE 4", "masquerade4"),
	TEXT("MASQUERADE 6", "masquerade6"),
	NUMBER("POLICY GEN", "policyGeneration"),
	NUMBER("ROUTE GEN", "routeGeneration"),
	NUMBER("CT FULL", "conntrackFull"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column frag_columns[] = {
	TEXT("PROTO", "proto"), ENDPOINT("FROM", "from"),	ENDPOINT("TO", "to"),
	NUMBER("ID", "id"),	SECONDS("IDLE", "idleSeconds"), {},
};
static const struct column metrics_columns[] = {
	TEXT("HOOK", "hook"),	  TEXT("REASON", "reason"),   NUMBER("PACKETS", "packets"),
	NUMBER("BYTES", "bytes"), TEXT("MEANING", "meaning"), {},
};
static const struct column epstats_columns[] = {
	NAMED("ENDPOINT", "ep"),
	NUMBER("TX PACKETS", "txPackets"),
	NUMBER("TX BYTES", "txBytes"),
	NUMBER("RX PACKETS", "rxPackets"),
	NUMBER("RX BYTES", "rxBytes"),
	NUMBER("DROPPED", "dropPackets"),
	NUMBER("DENIED IN", "denyInPackets"),
	NUMBER("DENIED OUT", "denyOutPackets"),
	{},
};

static const struct column svc_columns[] = {
	ENDPOINT("FRONTEND", "frontend"),
	TEXT("PROTO", "proto"),
	NUMBER("SERVICE", "service"),
	NUMBER("VIP", "vip"),
	NUMBER("IN", "in"),
	NUMBER("SLOTS", "inSize"),
	NUMBER("OUT", "out"),
	NUMBER("SLOTS", "outSize"),
	{ "AFFINITY", "affinitySeconds", COLUMN_SECONDS, true },
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column lut_columns[] = {
	NUMBER("SLOT", "slot"),
	NUMBER("BACKEND", "backendNumber"),
	{},
};
static const struct column backend_columns[] = {
	NUMBER("NUMBER", "number"),
	ENDPOINT("BACKEND", "backend"),
	TEXT("PROTO", "proto"),
	NAMED("NODE", "node"),
	NUMBER("GENERATION", "generation"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column vip_columns[] = {
	NUMBER("NUMBER", "number"),
	NAMED("IP", "ip"),
	{},
};
static const struct column ports_columns[] = {
	TEXT("SET", "set"),
	TEXT("PORTS", "ports"),
	{},
};
static const struct column srcrange_columns[] = {
	NUMBER("SERVICE", "service"),
	TEXT("CIDR", "cidr"),
	{},
};
static const struct column aff_columns[] = {
	NAMED("CLIENT", "client"),
	NUMBER("NAMESPACE", "clientNamespace"),
	NUMBER("SERVICE", "service"),
	TEXT("OUTSIDE", "outside"),
	NUMBER("BACKEND", "backendNumber"),
	SECONDS("IDLE", "idleSeconds"),
	{},
};
static const struct column sockrev_columns[] = {
	NUMBER("SOCKET", "socket"),	  TEXT("PROTO", "proto"),
	ENDPOINT("FRONTEND", "frontend"), ENDPOINT("BACKEND", "backend"),
	NUMBER("SERVICE", "service"),	  {},
};

static const struct column epol_columns[] = {
	NAMED("ENDPOINT", "ep"),
	NUMBER("POLICY IN", "policyIn"),
	NUMBER("POLICY OUT", "policyOut"),
	NUMBER("IDENTITY", "identity"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column ident_columns[] = {
	NUMBER("SCOPE", "scope"),
	NAMED("IP", "ip"),
	NUMBER("IDENTITY", "identity"),
	{},
};
static const struct column class_columns[] = {
	NUMBER("SCOPE", "scope"),
	TEXT("CIDR", "cidr"),
	NUMBER("CLASS", "class"),
	{},
};
static const struct column pol_columns[] = {
	NUMBER("POLICY", "policy"),
	TEXT("PEER IS", "peerKind"),
	NUMBER("PEER", "peer"),
	NUMBER("FIRST", "firstRule"),
	NUMBER("RULES", "rules"),
	TEXT("FLAGS", "flags"),
	{},
};
static const struct column polrule_columns[] = {
	NUMBER("RULE", "rule"),
	TEXT("TIER", "tier"),
	NUMBER("ORDER", "order"),
	TEXT("ACTION", "action"),
	TEXT("PROTO", "proto"),
	TEXT("PORTS", "ports"),
	{},
};
static const struct column denied_columns[] = {
	NAMED("ENDPOINT", "ep"),      TEXT("DIRECTION", "direction"),	 NAMED("PEER", "peer"),
	TEXT("PROTO", "proto"),	      NUMBER("PORT", "destinationPort"), TEXT("REASON", "reason"),
	NUMBER("PACKETS", "packets"), SECONDS("LAST", "idleSeconds"),	 {},
};

#define U32 sizeof(uint32_t)
#define IPK sizeof(struct loom_ipkey)
#define CTK sizeof(struct loom_ctkey)

const struct table tables[] = {
	{ "ct", "loom_ct", "connections that have seen a reply", CTK, sizeof(struct loom_ct),
	  record_ct, ct_columns },
	{ "ct-new", "loom_ct_new", "connections that have not", CTK, sizeof(struct loom_ct),
	  record_ct, ct_columns },
	{ "ep", "loom_ep", "local endpoints, and the node's own addresses", IPK,
	  sizeof(struct loom_ep), record_ep, ep_columns },
	{ "ifcfg", "loom_ifcfg", "interfaces with programs", U32, sizeof(struct loom_ifcfg),
	  record_ifcfg, ifcfg_columns },
	{ "ip", "loom_ip", "single addresses elsewhere", IPK, sizeof(struct loom_remote), record_ip,
	  ip_columns },
	{ "cidr", "loom_cidr", "ranges of addresses elsewhere", sizeof(struct loom_cidrkey),
	  sizeof(struct loom_remote), record_cidr, cidr_columns },
	{ "node", "loom_node", "the other nodes, and how to reach them", U32,
	  sizeof(struct loom_node), record_node, node_columns },
	{ "state", "loom_state", "node-wide state and generations", U32, sizeof(struct loom_state),
	  record_state, state_columns },
	{ "frag", "loom_frag", "datagrams in fragments", sizeof(struct loom_fragkey),
	  sizeof(struct loom_frag), record_frag, frag_columns },
	{ "metrics", "loom_metrics", "packets by hook and what became of them", U32,
	  sizeof(struct loom_counter), record_metrics, metrics_columns },
	{ "epstats", "loom_epstats", "packets by local endpoint", U32, sizeof(struct loom_epstats),
	  record_epstats, epstats_columns },
	{ "svc", "loom_svc", "services: addresses and ports that they have",
	  sizeof(struct loom_svckey), sizeof(struct loom_svc), record_svc, svc_columns },
	{ "lut", "loom_lut", "services: whom a slot of their tables stands for", U32, U32,
	  record_lut, lut_columns },
	{ "backends", "loom_backend", "services: who answers", U32, sizeof(struct loom_backend),
	  record_backend, backend_columns },
	{ "vip", "loom_vip", "services: numbers of addresses", U32, sizeof(union loom_addr),
	  record_vip, vip_columns },
	{ "ports", "loom_ports", "services: ports of this node to look at", U32, sizeof(uint64_t),
	  record_ports, ports_columns },
	{ "srcrange", "loom_srcrange", "services: clients that may come from outside",
	  sizeof(struct loom_srckey), U32, record_srcrange, srcrange_columns },
	{ "affinity", "loom_aff", "services: clients that stay with a backend",
	  sizeof(struct loom_affkey), sizeof(struct loom_aff), record_aff, aff_columns },
	{ "sockets", "loom_sockrev", "services: sockets that were translated",
	  sizeof(struct loom_sockkey), sizeof(struct loom_sockrev), record_sockrev,
	  sockrev_columns },
	{ "epol", "loom_epol", "policy: which policies an endpoint has", U32,
	  sizeof(struct loom_epol), record_epol, epol_columns },
	{ "identity", "loom_ident", "policy: who has an address", IPK, U32, record_ident,
	  ident_columns },
	{ "class", "loom_class", "policy: prefixes that policies name", sizeof(struct loom_cidrkey),
	  U32, record_class, class_columns },
	{ "polset", "loom_pol", "policy: sets of rules by policy and peer",
	  sizeof(struct loom_polkey), sizeof(struct loom_polset), record_pol, pol_columns },
	{ "polrule", "loom_polrule", "policy: rules", U32, sizeof(struct loom_polrule),
	  record_polrule, polrule_columns },
	{ "denied", "loom_denied", "policy: whom it denied what, and how often",
	  sizeof(struct loom_deniedkey), sizeof(struct loom_denied), record_denied,
	  denied_columns },
	{},
};

const struct table *table_find(const char *name)
{
	for (const struct table *t = tables; t->name; t++)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

const struct table *table_of_map(const char *map)
{
	for (const struct table *t = tables; t->name; t++)
		if (strcmp(t->map, map) == 0)
			return t;
	return NULL;
}

struct json_object *table_record(const struct table *t, const void *key, const void *value,
				 const struct table_names *n)
{
	_json_ *record = json_object_new_object();

	if (!record || t->record(key, value, n, record) < 0)
		return NULL;
	return TAKE_PTR(record);
}

struct reading {
	const struct table *table;
	const struct table_names *names;
	struct map_shape shape;
	int (*fn)(struct json_object *record, void *arg);
	void *arg;
};

/* The zeros that arrays begin with; and a backend's number that is free keeps its generation. */
static bool is_unused(const struct reading *r, const void *value)
{
	if (!map_is_array(&r->shape))
		return false;
	if (r->table->record == record_backend)
		return !((const struct loom_backend *)value)->flags;
	return map_value_is_zero(value, r->table->value_size);
}

static int read_entry(const void *key, const void *value, void *arg)
{
	const struct reading *r = arg;
	uint64_t sum[16];
	struct json_object *record;

	if (map_is_percpu(&r->shape)) {
		map_percpu_sum(value, r->table->value_size, sum);
		value = sum;
	}
	if (is_unused(r, value))
		return 0;
	record = table_record(r->table, key, value, r->names);
	return record ? r->fn(record, r->arg) : -ENOMEM;
}

_Static_assert(sizeof(struct loom_epstats) <= 16 * sizeof(uint64_t), "fits struct reading's sum");

int table_read(int map_fd, const struct table *t, const struct table_names *n,
	       int (*fn)(struct json_object *record, void *arg), void *arg, struct err *e)
{
	struct reading r = { .table = t, .names = n, .fn = fn, .arg = arg };
	int err = map_shape(map_fd, &r.shape);

	if (err < 0)
		return err_errno(e, err, "%s", t->map);
	if (r.shape.key_size != t->key_size || r.shape.value_size != t->value_size)
		return err_set(e, -EINVAL,
			       "%s: keys of %u and values of %u bytes, but this program knows %zu "
			       "and %zu: it is of another version than what is loaded",
			       t->map, r.shape.key_size, r.shape.value_size, t->key_size,
			       t->value_size);
	err = map_walk(map_fd, read_entry, &r);
	return err < 0 ? err_errno(e, err, "reading %s", t->map) : err;
}

static struct json_object *sub_field(struct json_object *record, const char *field,
				     const char *suffix)
{
	char key[64];

	snprintf(key, sizeof(key), "%s%s", field, suffix);
	return json_field(record, key);
}

static void list_text(struct json_object *list, char *buf, size_t len)
{
	size_t n = json_object_array_length(list), at = 0;

	for (size_t i = 0; i < n && at < len; i++)
		at += snprintf(buf + at, len - at, "%s%s", i ? "," : "",
			       json_object_get_string(json_object_array_get_idx(list, i)) ?: "-");
}

static void seconds_text(int64_t s, char *buf, size_t len)
{
	if (s < 60)
		snprintf(buf, len, "%ds", (int)s);
	else if (s < 3600)
		snprintf(buf, len, "%dm%02ds", (int)(s / 60), (int)(s % 60));
	else if (s < 2 * 86400)
		snprintf(buf, len, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
	else
		snprintf(buf, len, "%lldd%02dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}

static void endpoint_text(const struct column *c, struct json_object *record, char *buf, size_t len)
{
	struct json_object *name = sub_field(record, c->field, "Name");
	struct json_object *port =
		c->kind == COLUMN_ENDPOINT ? sub_field(record, c->field, "Port") : NULL;
	const char *main = json_object_get_string(json_field(record, c->field));
	bool v6 = port && strchr(main, ':');
	char with_port[96];

	snprintf(with_port, sizeof(with_port), "%s%s%s%s%s", v6 ? "[" : "", main, v6 ? "]" : "",
		 port ? ":" : "", port ? json_object_get_string(port) : "");
	if (name)
		snprintf(buf, len, "%s (%s)", with_port, json_object_get_string(name));
	else
		snprintf(buf, len, "%s", with_port);
}

const char *column_text(const struct column *c, struct json_object *record, char *buf, size_t len)
{
	struct json_object *v = json_field(record, c->field);

	buf[0] = '\0';
	if (!v)
		snprintf(buf, len, "-");
	else if (json_object_is_type(v, json_type_array))
		list_text(v, buf, len);
	else if (c->kind == COLUMN_SECONDS)
		seconds_text(json_object_get_int64(v), buf, len);
	else if (c->kind == COLUMN_ENDPOINT || c->kind == COLUMN_NAMED)
		endpoint_text(c, record, buf, len);
	else
		snprintf(buf, len, "%s", json_object_get_string(v) ?: "-");
	if (!buf[0])
		snprintf(buf, len, "-");
	return buf;
}
