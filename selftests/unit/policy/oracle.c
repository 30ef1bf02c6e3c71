// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/oracle.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { NOTHING = -1, ACCEPT, DENY, PASS };

struct flow {
	const struct model *m;
	struct json_object *subject;
	bool ingress;
	const union loom_addr *peer;
	struct json_object *peer_pod, *peer_node; /* NULL: none */
	uint8_t proto;
	uint16_t port;
};

static struct json_object *get(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, name, &v)
		       ? v
		       : NULL;
}

static const char *text(struct json_object *o, const char *name)
{
	struct json_object *v = get(o, name);

	return v ? json_object_get_string(v) : "";
}

static size_t count(struct json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

static struct json_object *nth(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

/* ---- selectors ---- */

static bool among(struct json_object *values, const char *value)
{
	for (size_t i = 0; i < count(values); i++)
		if (strcmp(json_object_get_string(nth(values, i)), value) == 0)
			return true;
	return false;
}

static bool expression_holds(struct json_object *e, struct json_object *labels)
{
	struct json_object *label = get(labels, text(e, "key"));
	const char *op = text(e, "operator"), *value = label ? json_object_get_string(label) : NULL;

	if (strcmp(op, "In") == 0)
		return value && among(get(e, "values"), value);
	if (strcmp(op, "NotIn") == 0)
		return !value || !among(get(e, "values"), value);
	return strcmp(op, "Exists") == 0 ? value != NULL : value == NULL;
}

/* An absent selector is the caller's business. */
static bool selects(struct json_object *selector, struct json_object *labels)
{
	struct json_object *list = get(selector, "matchExpressions"),
			   *map = get(selector, "matchLabels");

	if (map) {
		json_object_object_foreach(map, key, want)
		{
			struct json_object *have = get(labels, key);

			if (!have ||
			    strcmp(json_object_get_string(have), json_object_get_string(want)) != 0)
				return false;
		}
	}
	for (size_t i = 0; i < count(list); i++)
		if (!expression_holds(nth(list, i), labels))
			return false;
	return true;
}

static struct json_object *labels_of(struct json_object *o)
{
	return get(get(o, "metadata"), "labels");
}

static const char *space_of(struct json_object *o)
{
	return text(get(o, "metadata"), "namespace");
}

static struct json_object *space_labels(const struct model *m, struct json_object *pod)
{
	for (size_t i = 0; i < MODEL_SPACES; i++)
		if (m->spaces[i] &&
		    strcmp(text(get(m->spaces[i], "metadata"), "name"), space_of(pod)) == 0)
			return labels_of(m->spaces[i]);
	return NULL;
}

/* ---- addresses ---- */

bool oracle_counts(struct json_object *pod)
{
	struct json_object *host = get(get(pod, "spec"), "hostNetwork");
	const char *phase = text(get(pod, "status"), "phase");

	return pod && !(host && json_object_get_boolean(host)) && strcmp(phase, "Failed") != 0 &&
	       strcmp(phase, "Succeeded") != 0;
}

static bool list_has(struct json_object *list, const char *field, const union loom_addr *addr)
{
	for (size_t i = 0; i < count(list); i++) {
		union loom_addr a;

		if (addr_parse(text(nth(list, i), field), &a, NULL) == 0 && addr_equal(&a, addr))
			return true;
	}
	return false;
}

bool oracle_has_addr(struct json_object *pod, const union loom_addr *addr)
{
	return list_has(get(get(pod, "status"), "podIPs"), "ip", addr);
}

static bool cidr_has(const char *cidr, const union loom_addr *addr)
{
	bool v4 = !strchr(cidr, ':');
	struct prefix p;

	if (addr_is_v4(addr) != v4 || prefix_parse_host(cidr, &p, NULL) < 0)
		return false;
	for (unsigned int bit = 0; bit < p.len; bit++)
		if ((p.addr.b[bit / 8] ^ addr->b[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return true;
}

/* ---- ports ---- */

static uint8_t protocol(const char *name)
{
	return strcmp(name, "UDP") == 0	   ? IPPROTO_UDP
	       : strcmp(name, "SCTP") == 0 ? IPPROTO_SCTP
					   : IPPROTO_TCP;
}

/* Does the destination pod call the flow's port so? */
static bool is_called(const struct flow *f, const char *name)
{
	struct json_object *dst = f->ingress ? f->subject : f->peer_pod;
	struct json_object *containers = get(get(dst, "spec"), "containers");

	for (size_t c = 0; c < count(containers); c++) {
		struct json_object *ports = get(nth(containers, c), "ports");

		for (size_t i = 0; i < count(ports); i++) {
			struct json_object *p = nth(ports, i);

			/* The first of that name and protocol is the one. */
			if (strcmp(text(p, "name"), name) == 0 &&
			    protocol(text(p, "protocol")) == f->proto)
				return json_object_get_int(get(p, "containerPort")) == f->port;
		}
	}
	return false;
}

static bool np_port_matches(const struct flow *f, struct json_object *p)
{
	struct json_object *port = get(p, "port"), *end = get(p, "endPort");

	if (protocol(text(p, "protocol")) != f->proto)
		return false;
	if (!port)
		return true;
	if (json_object_is_type(port, json_type_string))
		return is_called(f, json_object_get_string(port));
	return f->port >= json_object_get_int(port) &&
	       f->port <= json_object_get_int(end ? end : port);
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

/* ---- NetworkPolicy ---- */

static bool np_peer_matches(const struct flow *f, struct json_object *policy,
			    struct json_object *peer)
{
	struct json_object *pods = get(peer, "podSelector"),
			   *spaces = get(peer, "namespaceSelector"), *block = get(peer, "ipBlock");

	if (block) {
		struct json_object *except = get(block, "except");

		for (size_t i = 0; i < count(except); i++)
			if (cidr_has(json_object_get_string(nth(except, i)), f->peer))
				return false;
		return cidr_has(text(block, "cidr"), f->peer);
	}
	if (!f->peer_pod)
		return false;
	if (spaces ? !selects(spaces, space_labels(f->m, f->peer_pod))
		   : strcmp(space_of(f->peer_pod), space_of(policy)) != 0)
		return false;
	return !pods || selects(pods, labels_of(f->peer_pod));
}

static bool np_rule_matches(const struct flow *f, struct json_object *policy,
			    struct json_object *rule)
{
	struct json_object *peers = get(rule, f->ingress ? "from" : "to"),
			   *ports = get(rule, "ports");
	bool peer = !count(peers), port = !count(ports);

	for (size_t i = 0; i < count(peers); i++)
		peer |= np_peer_matches(f, policy, nth(peers, i));
	for (size_t i = 0; i < count(ports); i++)
		port |= has_ports(f->proto) && np_port_matches(f, nth(ports, i));
	return peer && port;
}

static bool np_decides(const struct flow *f, struct json_object *spec)
{
	struct json_object *types = get(spec, "policyTypes");

	if (!count(types))
		return f->ingress || count(get(spec, "egress"));
	return among(types, f->ingress ? "Ingress" : "Egress");
}

static int np_verdict(const struct flow *f)
{
	int verdict = NOTHING;

	for (size_t i = 0; i < MODEL_POLICIES; i++) {
		struct json_object *p = f->m->policies[i], *spec = get(p, "spec"), *rules;

		if (!p || strcmp(space_of(p), space_of(f->subject)) != 0 ||
		    !selects(get(spec, "podSelector"), labels_of(f->subject)) ||
		    !np_decides(f, spec))
			continue;
		rules = get(spec, f->ingress ? "ingress" : "egress");
		for (size_t k = 0; k < count(rules); k++)
			if (np_rule_matches(f, p, nth(rules, k)))
				return ACCEPT;
		verdict = DENY;
	}
	return verdict;
}

/* ---- ClusterNetworkPolicy ---- */

static bool cnp_pods_match(const struct flow *f, struct json_object *pods, struct json_object *pod)
{
	struct json_object *spaces = get(pods, "namespaceSelector");

	return pod && (!spaces || selects(spaces, space_labels(f->m, pod))) &&
	       selects(get(pods, "podSelector"), labels_of(pod));
}

static bool is_known(struct json_object *peer, bool ingress)
{
	return get(peer, "namespaces") || get(peer, "pods") ||
	       (!ingress && (get(peer, "nodes") || get(peer, "networks")));
}

static bool cnp_peer_matches(const struct flow *f, struct json_object *peer)
{
	struct json_object *networks = get(peer, "networks");

	if (get(peer, "namespaces"))
		return f->peer_pod &&
		       selects(get(peer, "namespaces"), space_labels(f->m, f->peer_pod));
	if (get(peer, "pods"))
		return cnp_pods_match(f, get(peer, "pods"), f->peer_pod);
	if (get(peer, "nodes"))
		return f->peer_node && selects(get(peer, "nodes"), labels_of(f->peer_node));
	for (size_t i = 0; i < count(networks); i++)
		if (cidr_has(json_object_get_string(nth(networks, i)), f->peer))
			return true;
	return false;
}

static bool cnp_protocol_matches(const struct flow *f, struct json_object *p)
{
	const char *field = f->proto == IPPROTO_UDP    ? "udp"
			    : f->proto == IPPROTO_SCTP ? "sctp"
						       : "tcp";
	struct json_object *dst, *range;

	if (get(p, "destinationNamedPort"))
		return is_called(f, text(p, "destinationNamedPort"));
	dst = get(get(p, field), "destinationPort");
	range = get(dst, "range");
	if (range)
		return f->port >= json_object_get_int(get(range, "start")) &&
		       f->port <= json_object_get_int(get(range, "end"));
	return dst && json_object_get_int(get(dst, "number")) == f->port;
}

static int action(struct json_object *rule)
{
	const char *name = text(rule, "action");

	return strcmp(name, "Accept") == 0 ? ACCEPT : strcmp(name, "Deny") == 0 ? DENY : PASS;
}

static int cnp_rule(const struct flow *f, struct json_object *rule)
{
	struct json_object *peers = get(rule, f->ingress ? "from" : "to"),
			   *protocols = get(rule, "protocols");
	bool peer = false, protocol_ok = !count(protocols);

	for (size_t i = 0; i < count(peers); i++) {
		if (!is_known(nth(peers, i), f->ingress))
			return action(rule) == ACCEPT ? NOTHING : DENY;
		peer |= cnp_peer_matches(f, nth(peers, i));
	}
	for (size_t i = 0; i < count(protocols); i++)
		protocol_ok |= has_ports(f->proto) && cnp_protocol_matches(f, nth(protocols, i));
	return peer && protocol_ok ? action(rule) : NOTHING;
}

static bool cnp_selects(const struct flow *f, struct json_object *spec)
{
	struct json_object *subject = get(spec, "subject");

	if (get(subject, "namespaces"))
		return selects(get(subject, "namespaces"), space_labels(f->m, f->subject));
	return cnp_pods_match(f, get(subject, "pods"), f->subject);
}

static int priority(struct json_object *p)
{
	return json_object_get_int(get(get(p, "spec"), "priority"));
}

static bool is_before(struct json_object *a, struct json_object *b)
{
	if (priority(a) != priority(b))
		return priority(a) < priority(b);
	return strcmp(text(get(a, "metadata"), "name"), text(get(b, "metadata"), "name")) < 0;
}

static int cnp_policy(const struct flow *f, struct json_object *p)
{
	struct json_object *rules = get(get(p, "spec"), f->ingress ? "ingress" : "egress");
	int verdict = NOTHING;

	for (size_t i = 0; verdict == NOTHING && i < count(rules); i++)
		verdict = cnp_rule(f, nth(rules, i));
	return verdict;
}

/* By priority: the lowest that is not done yet, until one decides. */
static int cnp_verdict(const struct flow *f, const char *tier)
{
	bool done[MODEL_POLICIES] = {};

	for (;;) {
		size_t best = MODEL_POLICIES;
		int verdict;

		for (size_t i = 0; i < MODEL_POLICIES; i++) {
			struct json_object *p = f->m->cluster[i];

			if (p && !done[i] && strcmp(text(get(p, "spec"), "tier"), tier) == 0 &&
			    cnp_selects(f, get(p, "spec")) &&
			    (best == MODEL_POLICIES || is_before(p, f->m->cluster[best])))
				best = i;
		}
		if (best == MODEL_POLICIES)
			return NOTHING;
		done[best] = true;
		verdict = cnp_policy(f, f->m->cluster[best]);
		if (verdict != NOTHING)
			return verdict;
	}
}

/* ---- all of it ---- */

bool oracle_allows(const struct model *m, struct json_object *pod, bool ingress,
		   const union loom_addr *peer, uint8_t proto, uint16_t port)
{
	struct flow f = { m, pod, ingress, peer, NULL, NULL, proto, port };
	int verdict;

	for (size_t i = 0; i < MODEL_PODS; i++)
		if (oracle_counts(m->pods[i]) && oracle_has_addr(m->pods[i], peer))
			f.peer_pod = m->pods[i];
	for (size_t i = 0; i < MODEL_NODES; i++)
		if (list_has(get(get(m->nodes[i], "status"), "addresses"), "address", peer))
			f.peer_node = m->nodes[i];
	verdict = cnp_verdict(&f, "Admin");
	if (verdict == ACCEPT || verdict == DENY)
		return verdict == ACCEPT;
	verdict = np_verdict(&f);
	if (verdict != NOTHING)
		return verdict == ACCEPT;
	return cnp_verdict(&f, "Baseline") != DENY;
}
