// SPDX-License-Identifier: Apache-2.0
/* Records of the services' maps: shared/loom_svc.h. */
#include <arpa/inet.h>
#include <stdio.h>

#include "lib/base/addr.h"
#include "lib/bpf/names.h"
#include "lib/bpf/records.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

static int add_proto(struct json_object *ret, uint8_t proto)
{
	char text[NAME_STRLEN];

	return json_add_str(ret, "proto", loom_proto_name(proto, text));
}

/* An address for which "none" is a value: every address of every node. */
static int add_frontend(struct json_object *ret, const union loom_addr *addr, __be16 port,
			uint32_t scope, const struct table_names *n)
{
	char text[ADDR_STRLEN];

	if (addr_is_zero(addr))
		return json_add_str(ret, "frontend", addr_format(addr, text))
			       ?: record_add_port(ret, "frontend", port);
	return record_add_addr(ret, "frontend", addr, scope, n)
		       ?: record_add_port(ret, "frontend", port);
}

RECORD(svc)
{
	const struct loom_svckey *k = key;
	const struct loom_svc *s = value;

	return json_add_int(ret, "scope", k->scope) ?:
	       add_frontend(ret, &k->addr, k->port, k->scope, n ?: &table_names_none) ?:
	       add_proto(ret, k->proto) ?: json_add_int(ret, "service", s->service) ?:
	       json_add_int(ret, "vip", s->vip) ?: json_add_int(ret, "in", s->in) ?:
	       json_add_int(ret, "inSize", s->in_size) ?: json_add_int(ret, "out", s->out) ?:
	       json_add_int(ret, "outSize", s->out_size) ?:
	       json_add(ret, "flags", loom_flags_json(s->flags, loom_svc_flag_names)) ?:
	       json_add_int(ret, "affinitySeconds", s->affinity_s);
}

RECORD(lut)
{
	(void)n;
	return json_add_int(ret, "slot", *(const uint32_t *)key)
		       ?: json_add_int(ret, "backendNumber", *(const uint32_t *)value);
}

RECORD(backend)
{
	const struct loom_backend *b = value;

	n = n ?: &table_names_none;
	return json_add_int(ret, "number", *(const uint32_t *)key) ?:
	       json_add_int(ret, "scope", b->scope) ?:
	       record_add_addr(ret, "backend", &b->addr, b->scope, n) ?:
	       record_add_port(ret, "backend", b->port) ?: add_proto(ret, b->proto) ?:
	       record_add_node(ret, "node", b->node, n) ?: json_add_int(ret, "generation", b->gen) ?:
	       json_add(ret, "flags", loom_flags_json(b->flags, loom_backend_flag_names));
}

RECORD(vip)
{
	return json_add_int(ret, "number", *(const uint32_t *)key)
		       ?: record_add_addr(ret, "ip", value, 0, n ?: &table_names_none);
}

/* One record a word of 64 ports: the ports whose bits are set. */
RECORD(ports)
{
	uint32_t index = *(const uint32_t *)key;
	uint64_t word = *(const uint64_t *)value;
	struct json_object *list = json_object_new_array();
	int err = json_add_str(ret, "set", loom_port_set_name(index / LOOM_PORTS_WORDS))
			  ?: json_add(ret, "ports", list);

	(void)n;
	for (unsigned int bit = 0; bit < 64 && !err; bit++)
		if (word >> bit & 1)
			err = json_append(
				list, json_object_new_int64(index % LOOM_PORTS_WORDS * 64 + bit));
	return err;
}

RECORD(srcrange)
{
	const struct loom_srckey *k = key;
	struct prefix p = { .addr = k->addr, .len = MIN(MAX(k->prefixlen, 32u) - 32, 128u) };
	char text[PREFIX_STRLEN];

	(void)value;
	(void)n;
	return json_add_int(ret, "service", k->service)
		       ?: json_add_str(ret, "cidr", prefix_format(&p, text));
}

/* At socket level clients are network namespaces, of which only the cookie is known. */
static int add_client(struct json_object *ret, const union loom_addr *client,
		      const struct table_names *n)
{
	if (client->d[0] || addr_is_v4(client))
		return record_add_addr(ret, "client", client, 0, n);
	return json_add_int(ret, "clientNamespace", client->d[1]);
}

RECORD(aff)
{
	const struct loom_affkey *k = key;
	const struct loom_aff *a = value;

	n = n ?: &table_names_none;
	return add_client(ret, &k->client, n) ?: json_add_int(ret, "service", k->service) ?:
	       json_add_bool(ret, "outside", k->outside) ?:
	       json_add_int(ret, "backendNumber", a->backend) ?:
	       json_add_int(ret, "generation", a->gen) ?:
	       record_add_age(ret, "idleSeconds", a->seen, n);
}

RECORD(sockrev)
{
	const struct loom_sockkey *k = key;
	const struct loom_sockrev *r = value;

	n = n ?: &table_names_none;
	return json_add_int(ret, "socket", k->cookie) ?: add_proto(ret, r->proto) ?:
	       add_frontend(ret, &r->addr, r->port, 0, n) ?:
	       record_add_addr(ret, "backend", &k->addr, 0, n) ?:
	       record_add_port(ret, "backend", k->port) ?:
	       json_add_int(ret, "service", r->service) ?:
	       json_add_int(ret, "backendNumber", r->backend) ?:
	       json_add_int(ret, "generation", r->gen);
}
