// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/generator.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"

uint32_t random_below(struct random *r, uint32_t n)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return (r->state >> 16) % n;
}

static bool one_in(struct random *r, uint32_t n)
{
	return random_below(r, n) == 0;
}

#define PICK(r, list) ((list)[random_below(r, ARRAY_SIZE(list))])

static const char *const keys[] = { "a", "b", "c" }, *const values[] = { "0", "1", "2" };
static const char *const protos[] = { "TCP", "UDP", "SCTP" };
static const char *const names[] = { "http", "dns", "web" };
static const int ports[] = { 53, 80, 81, 8080 };

static struct json_object *object(void)
{
	return json_object_new_object();
}

static struct json_object *array(void)
{
	return json_object_new_array();
}

/* ---- objects ---- */

static struct json_object *labels(struct random *r)
{
	struct json_object *o = object();

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!one_in(r, 3))
			json_add_str(o, keys[i], PICK(r, values));
	return o;
}

static struct json_object *meta(struct random *r, const char *ns, const char *name, size_t i)
{
	struct json_object *o = object(), *m = object();
	char text[32];

	snprintf(text, sizeof(text), "%s%zu", name, i);
	json_add_str(m, "name", text);
	if (ns)
		json_add_str(m, "namespace", ns);
	json_add(m, "labels", labels(r));
	json_add(o, "metadata", m);
	return o;
}

struct json_object *random_space(struct random *r, size_t i)
{
	struct json_object *o = meta(r, NULL, "n", i);
	char name[32];

	snprintf(name, sizeof(name), "n%zu", i);
	json_add_str(json_path(o, "metadata.labels"), "kubernetes.io/metadata.name", name);
	return o;
}

static struct json_object *container(struct random *r)
{
	struct json_object *c = object(), *list = array();

	for (uint32_t n = random_below(r, 4); n; n--) {
		struct json_object *p = object();

		if (!one_in(r, 4))
			json_add_str(p, "name", PICK(r, names));
		json_add_str(p, "protocol", PICK(r, protos));
		json_add_int(p, "containerPort", PICK(r, ports));
		json_append(list, p);
	}
	json_add(c, "ports", list);
	return c;
}

static void add_ip(struct json_object *list, const char *format, size_t i)
{
	struct json_object *o = object();
	char text[32];

	snprintf(text, sizeof(text), format, i);
	json_add_str(o, "ip", text);
	json_append(list, o);
}

struct json_object *random_pod(struct random *r, size_t i)
{
	static const char *const spaces[] = { "n0", "n1", "n2" };
	static const char *const phases[] = { "Running", "Running",   "Running",
					      "Pending", "Succeeded", "Failed" };
	struct json_object *o, *spec = object(), *status = object(), *list = array(),
			       *containers = array();

	o = meta(r, spaces[i % 3], "p", i);
	json_add_bool(spec, "hostNetwork", one_in(r, 8));
	json_append(containers, container(r));
	json_append(containers, container(r));
	json_add(spec, "containers", containers);
	if (!one_in(r, 8)) {
		add_ip(list, i % 2 ? "10.1.0.%zu" : "10.1.1.%zu", i + 1);
		add_ip(list, "fd00::%zu", i + 1);
	}
	json_add(status, "podIPs", list);
	json_add_str(status, "phase", PICK(r, phases));
	json_add(o, "spec", spec);
	json_add(o, "status", status);
	return o;
}

struct json_object *random_node(struct random *r, size_t i)
{
	static const char *const formats[] = { "172.18.0.%zu", "fd01::%zu", "node%zu" };
	struct json_object *o = meta(r, NULL, "node", i), *status = object(), *list = array();

	for (size_t k = 0; k < ARRAY_SIZE(formats); k++) {
		struct json_object *a = object();
		char text[32];

		snprintf(text, sizeof(text), formats[k], i + 1);
		json_add_str(a, "address", text);
		json_append(list, a);
	}
	json_add(status, "addresses", list);
	json_add(o, "status", status);
	return o;
}

/* ---- selectors, blocks ---- */

static struct json_object *expression(struct random *r)
{
	static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	uint32_t op = random_below(r, 4);
	struct json_object *o = object(), *list = array();

	json_add_str(o, "key", PICK(r, keys));
	json_add_str(o, "operator", ops[op]);
	for (uint32_t n = op < 2 ? 1 + random_below(r, 2) : 0; n; n--)
		json_append_str(list, PICK(r, values));
	json_add(o, "values", list);
	return o;
}

static struct json_object *selector(struct random *r)
{
	struct json_object *o = object(), *map, *list;

	if (one_in(r, 3))
		return o;
	if (one_in(r, 2)) {
		map = object();
		json_add_str(map, PICK(r, keys), PICK(r, values));
		json_add(o, "matchLabels", map);
	}
	if (one_in(r, 2)) {
		list = array();
		for (uint32_t n = random_below(r, 3); n; n--)
			json_append(list, expression(r));
		json_add(o, "matchExpressions", list);
	}
	return o;
}

static const char *const cidrs[] = {
	"0.0.0.0/0",   "10.0.0.0/8",   "10.1.0.0/16",	"10.1.0.0/24",
	"10.1.1.0/24", "10.1.1.1/32",  "10.1.0.2/31",	"172.18.0.0/24",
	"1.2.3.0/24",  "10.1.1.77/24", "::/0",		"fd00::/8",
	"fd00::/120",  "fd00::4/126",  "2001:db8::/32", "::/64",
};

static struct json_object *block(struct random *r)
{
	struct json_object *o = object(), *list = array();
	const char *cidr = PICK(r, cidrs);
	struct prefix p, x;

	prefix_parse_host(cidr, &p, NULL);
	json_add_str(o, "cidr", cidr);
	for (size_t i = 0; i < ARRAY_SIZE(cidrs); i++) {
		prefix_parse_host(cidrs[i], &x, NULL);
		if (x.len > p.len && !strchr(cidrs[i], ':') == !strchr(cidr, ':') &&
		    prefix_contains(&p, &x.addr) && one_in(r, 4))
			json_append_str(list, cidrs[i]);
	}
	if (json_object_array_length(list))
		json_add(o, "except", list);
	else
		json_object_put(list);
	return o;
}

/* ---- NetworkPolicy ---- */

static struct json_object *np_port(struct random *r)
{
	struct json_object *o = object();
	int port = PICK(r, ports);

	if (!one_in(r, 4))
		json_add_str(o, "protocol", PICK(r, protos));
	switch (random_below(r, 4)) {
	case 0:
		break;
	case 1:
		json_add_str(o, "port", PICK(r, names));
		break;
	case 2:
		json_add_int(o, "port", port);
		json_add_int(o, "endPort", port + random_below(r, 50));
		break;
	default:
		json_add_int(o, "port", port);
	}
	return o;
}

static struct json_object *np_peer(struct random *r)
{
	struct json_object *o = object();
	uint32_t kind = random_below(r, 4);

	if (kind == 0)
		json_add(o, "ipBlock", block(r));
	if (kind & 1)
		json_add(o, "podSelector", selector(r));
	if (kind & 2)
		json_add(o, "namespaceSelector", selector(r));
	return o;
}

static struct json_object *np_rule(struct random *r, bool ingress)
{
	struct json_object *o = object(), *peers = array(), *list = array();

	for (uint32_t n = one_in(r, 5) ? 0 : 1 + random_below(r, 3); n; n--)
		json_append(peers, np_peer(r));
	for (uint32_t n = one_in(r, 3) ? 0 : 1 + random_below(r, 2); n; n--)
		json_append(list, np_port(r));
	json_add(o, ingress ? "from" : "to", peers);
	json_add(o, "ports", list);
	return o;
}

static struct json_object *np_rules(struct random *r, bool ingress)
{
	struct json_object *list = array();

	for (uint32_t n = random_below(r, 3); n; n--)
		json_append(list, np_rule(r, ingress));
	return list;
}

struct json_object *random_policy(struct random *r, size_t i)
{
	static const char *const spaces[] = { "n0", "n1", "n2" };
	struct json_object *o, *spec, *types;

	if (one_in(r, 3))
		return NULL;
	o = meta(r, spaces[i % 3], "np", i);
	spec = object();
	types = array();
	json_add(spec, "podSelector", selector(r));
	if (!one_in(r, 4))
		json_add(spec, "ingress", np_rules(r, true));
	if (!one_in(r, 4))
		json_add(spec, "egress", np_rules(r, false));
	if (one_in(r, 2))
		json_append_str(types, "Ingress");
	if (one_in(r, 2))
		json_append_str(types, "Egress");
	json_add(spec, "policyTypes", types);
	json_add(o, "spec", spec);
	return o;
}

/* ---- ClusterNetworkPolicy ---- */

static struct json_object *pods_of(struct random *r)
{
	struct json_object *o = object();

	json_add(o, "podSelector", selector(r));
	if (!one_in(r, 4))
		json_add(o, "namespaceSelector", selector(r));
	return o;
}

static struct json_object *cnp_peer(struct random *r, bool ingress, bool *addresses)
{
	struct json_object *o = object(), *list;
	uint32_t kind = random_below(r, ingress ? 9 : 16);

	if (one_in(r, 30)) /* of a later version */
		return o;
	if (kind < 5) {
		json_add(o, "namespaces", selector(r));
	} else if (kind < 9) {
		json_add(o, "pods", pods_of(r));
	} else if (kind < 12) {
		json_add(o, "nodes", selector(r));
		*addresses = true;
	} else {
		list = array();
		for (uint32_t n = 1 + random_below(r, 2); n; n--)
			json_append_str(list, PICK(r, cidrs));
		json_add(o, "networks", list);
		*addresses = true;
	}
	return o;
}

static struct json_object *cnp_protocol(struct random *r, bool addresses)
{
	static const char *const lower[] = { "tcp", "udp", "sctp" };
	struct json_object *o = object(), *t = object(), *d = object(), *range;
	int port = PICK(r, ports);

	if (!addresses && one_in(r, 3)) {
		json_add_str(o, "destinationNamedPort", PICK(r, names));
		json_object_put(t);
		json_object_put(d);
		return o;
	}
	if (one_in(r, 2)) {
		range = object();
		json_add_int(range, "start", port);
		json_add_int(range, "end", port + 1 + random_below(r, 30));
		json_add(d, "range", range);
	} else {
		json_add_int(d, "number", port);
	}
	json_add(t, "destinationPort", d);
	json_add(o, PICK(r, lower), t);
	return o;
}

static struct json_object *cnp_rules(struct random *r, bool ingress)
{
	static const char *const actions[] = { "Accept", "Deny", "Pass" };
	struct json_object *list = array();

	for (uint32_t n = random_below(r, 4); n; n--) {
		struct json_object *rule = object(), *peers = array(), *protocols = array();
		bool addresses = false;

		json_add_str(rule, "action", PICK(r, actions));
		for (uint32_t k = 1 + random_below(r, 2); k; k--)
			json_append(peers, cnp_peer(r, ingress, &addresses));
		for (uint32_t k = one_in(r, 2) ? 0 : 1 + random_below(r, 2); k; k--)
			json_append(protocols, cnp_protocol(r, addresses));
		json_add(rule, ingress ? "from" : "to", peers);
		if (json_object_array_length(protocols))
			json_add(rule, "protocols", protocols);
		else
			json_object_put(protocols);
		json_append(list, rule);
	}
	return list;
}

struct json_object *random_cluster_policy(struct random *r, size_t i)
{
	struct json_object *o, *spec, *subject;

	if (!one_in(r, 3))
		return NULL;
	o = meta(r, NULL, "cnp", i);
	spec = object();
	subject = object();
	json_add_str(spec, "tier", one_in(r, 2) ? "Admin" : "Baseline");
	json_add_int(spec, "priority", random_below(r, 4));
	if (one_in(r, 2))
		json_add(subject, "namespaces", selector(r));
	else
		json_add(subject, "pods", pods_of(r));
	json_add(spec, "subject", subject);
	json_add(spec, "ingress", cnp_rules(r, true));
	json_add(spec, "egress", cnp_rules(r, false));
	json_add(o, "spec", spec);
	return o;
}

/* ---- flows ---- */

void random_addr(struct random *r, union loom_addr *ret)
{
	static const char *const others[] = { "172.18.0.1",  "172.18.0.2", "fd01::1",
					      "fd01::2",     "1.2.3.4",	   "9.9.9.9",
					      "2001:db8::1", "::7",	   "10.1.9.9" };
	uint32_t i = random_below(r, MODEL_PODS);
	char text[32];

	switch (random_below(r, 4)) {
	case 0:
		snprintf(text, sizeof(text), "%s", PICK(r, others));
		break;
	case 1:
		snprintf(text, sizeof(text), "fd00::%u", i + 1);
		break;
	default:
		snprintf(text, sizeof(text), i % 2 ? "10.1.0.%u" : "10.1.1.%u", i + 1);
	}
	addr_parse(text, ret, NULL);
}

void random_port(struct random *r, uint8_t *ret_proto, uint16_t *ret_port)
{
	static const uint8_t numbers[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	*ret_proto = one_in(r, 12) ? IPPROTO_ICMP : PICK(r, numbers);
	*ret_port = *ret_proto == IPPROTO_ICMP ? 0 : PICK(r, ports) + random_below(r, 2);
}
