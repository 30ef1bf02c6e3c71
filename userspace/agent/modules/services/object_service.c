// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/modules/services/object.h"
#include "agent/modules/services/read.h"
#include "lib/json/json.h"

/* Where source ranges were before the field was: separated by commas. */
#define RANGES_ANNOTATION "service.beta.kubernetes.io/load-balancer-source-ranges"

/* Ports times addresses are frontends: one object must not be able to fill memory. */
#define MAX_ADDRS  128
#define MAX_PORTS  1024
#define MAX_RANGES 1024

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = { { "TCP", IPPROTO_TCP }, { "UDP", IPPROTO_UDP }, { "SCTP", IPPROTO_SCTP } };

uint8_t service_proto(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (strcmp(protos[i].name, name) == 0)
			return protos[i].proto;
	return 0;
}

const char *service_proto_name(uint8_t proto)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return "?";
}

/* How many of n are looked at. */
static size_t at_most(const struct place *p, const char *path, size_t n, size_t max)
{
	if (n > max)
		problems_add(p->problems, "%s: %zu are too many, only the first %zu count", path, n,
			     max);
	return MIN(n, max);
}

static size_t read_some(const struct place *p, const char *path, size_t max,
			struct json_object **ret)
{
	return at_most(p, path, read_array(p, path, ret), max);
}

/* ---- addresses ---- */

static void add_address(struct service_object *s, const char *at, struct json_object *value,
			uint32_t kind)
{
	struct service_address *a = &s->addrs[s->n_addrs];

	if (!read_address(&s->problems, at, value, &a->addr))
		return;
	for (size_t i = 0; i < s->n_addrs; i++)
		if (addr_equal(&s->addrs[i].addr, &a->addr))
			return;
	a->kind = kind;
	s->n_addrs++;
}

static void add_addresses(struct service_object *s, const char *path, struct json_object *list,
			  size_t n, uint32_t kind)
{
	char at[80];

	for (size_t i = 0; i < n; i++) {
		snprintf(at, sizeof(at), "%s[%zu]", path, i);
		add_address(s, at, json_object_array_get_idx(list, i), kind);
	}
}

/* ipMode Proxy: the balancer sends to the nodes, and its address is its own. */
static void add_ingress(struct service_object *s, const struct place *p, struct json_object *list,
			size_t n)
{
	struct place one;
	char at[88];

	for (size_t i = 0; i < n; i++) {
		if (!read_element(p, "status.loadBalancer.ingress", list, i, &one) ||
		    strcmp(read_text(&one, "ipMode"), "Proxy") == 0 || !json_field(one.obj, "ip"))
			continue;
		snprintf(at, sizeof(at), "%sip", one.at);
		add_address(s, at, json_field(one.obj, "ip"), LOOM_SVC_LOADBALANCER);
	}
}

static int read_addresses(struct service_object *s, const struct place *p)
{
	struct json_object *cluster, *external, *ingress;
	size_t n_cluster = read_some(p, "spec.clusterIPs", MAX_ADDRS, &cluster);
	size_t n_external = read_some(p, "spec.externalIPs", MAX_ADDRS, &external);
	size_t n_ingress = read_some(p, "status.loadBalancer.ingress", MAX_ADDRS, &ingress);
	struct json_object *one = json_path(p->obj, "spec.clusterIP");

	s->addrs = calloc(n_cluster + n_external + n_ingress + 1, sizeof(*s->addrs));
	if (!s->addrs)
		return -ENOMEM;
	add_addresses(s, "spec.clusterIPs", cluster, n_cluster, LOOM_SVC_CLUSTER_IP);
	if (!n_cluster && one && *read_text(p, "spec.clusterIP"))
		add_address(s, "spec.clusterIP", one, LOOM_SVC_CLUSTER_IP);
	add_addresses(s, "spec.externalIPs", external, n_external, LOOM_SVC_EXTERNAL_IP);
	add_ingress(s, p, ingress, n_ingress);
	return 0;
}

/* What the object says, else what its cluster addresses are. */
static void read_families(struct service_object *s, const struct place *p)
{
	struct json_object *list;
	size_t n = read_array(p, "spec.ipFamilies", &list);

	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *text = json_object_is_type(o, json_type_string)
					   ? json_object_get_string(o)
					   : json_type_word(o);

		if (strcmp(text, "IPv4") == 0)
			s->families[0] = true;
		else if (strcmp(text, "IPv6") == 0)
			s->families[1] = true;
		else
			problems_add(&s->problems,
				     "spec.ipFamilies[%zu]: '%.32s' is neither IPv4 nor IPv6", i,
				     text);
	}
	for (size_t i = 0; !n && i < s->n_addrs; i++)
		if (s->addrs[i].kind == LOOM_SVC_CLUSTER_IP)
			s->families[!addr_is_v4(&s->addrs[i].addr)] = true;
}

/* ---- ports ---- */

static bool read_port(struct service_object *s, const struct place *p, struct service_port *ret)
{
	const char *proto = json_field(p->obj, "protocol") ? read_text(p, "protocol") : "TCP";
	struct err e = {};
	int64_t port;

	if (json_get_int(p->obj, "port", 1, 65535, &port, &e) < 0) {
		problems_add(p->problems, "%s%s", p->at, e.msg);
		return false;
	}
	if (!service_proto(proto)) {
		problems_add(p->problems, "%sprotocol: '%.32s' is none of TCP, UDP and SCTP", p->at,
			     proto);
		return false;
	}
	*ret = (struct service_port){
		.name = texts_add(&s->texts, read_text(p, "name"), NULL),
		.port = port,
		.node_port = read_number(p, "nodePort", 0, 65535, 0),
		.proto = service_proto(proto),
	};
	return ret->name;
}

static bool is_new_port(struct service_object *s, const struct place *p)
{
	const struct service_port *last = &s->ports[s->n_ports];

	for (const struct service_port *other = s->ports; other < last; other++)
		if (other->port == last->port && other->proto == last->proto &&
		    strcmp(other->name, last->name) == 0) {
			problems_add(p->problems, "%sport: %u is there twice", p->at, last->port);
			return false;
		}
	return true;
}

static int read_ports(struct service_object *s, const struct place *p)
{
	struct json_object *list;
	size_t n = read_some(p, "spec.ports", MAX_PORTS, &list);
	struct place one;

	s->ports = calloc(n + 1, sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (read_element(p, "spec.ports", list, i, &one) &&
		    read_port(s, &one, &s->ports[s->n_ports]) && is_new_port(s, &one))
			s->n_ports++;
	return 0;
}

/* ---- source ranges ---- */

/* As the API server reads them (ParseIPNets of k8s.io/utils/net): blanks around it are nothing. */
static void add_range(struct service_object *s, const char *at, size_t i, const char *text)
{
	static const char blanks[] = " \t\n\v\f\r";
	const char *from = text + strspn(text, blanks);
	size_t len = strlen(from);
	struct err e = {};
	char word[128];

	while (len && strchr(blanks, from[len - 1]))
		len--;
	/* One that is too long is none: it must not become another one. */
	snprintf(word, sizeof(word), "%.*s", len < sizeof(word) ? (int)len : 0, from);
	if (prefix_parse_legacy(word, &s->ranges[s->n_ranges], &e) < 0)
		problems_add(&s->problems, "%s[%zu]: %.200s", at, i, e.msg);
	else
		s->n_ranges++;
}

static int read_range_field(struct service_object *s, struct json_object *list, size_t n)
{
	s->ranges = calloc(n, sizeof(*s->ranges));
	if (!s->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		add_range(s, "spec.loadBalancerSourceRanges", i,
			  json_object_is_type(o, json_type_string) ? json_object_get_string(o)
								   : json_type_word(o));
	}
	return 0;
}

static int read_range_annotation(struct service_object *s, const struct place *p, const char *text)
{
	_cleanup_(freep) char *copy = strdup(text);
	char *rest = copy, *word;
	size_t n = 1;

	for (const char *c = text; *c; c++)
		n += *c == ',';
	n = at_most(p, RANGES_ANNOTATION, n, MAX_RANGES);
	s->ranges = calloc(n, sizeof(*s->ranges));
	if (!copy || !s->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n && (word = strsep(&rest, ",")); i++)
		add_range(s, RANGES_ANNOTATION, i, word);
	return 0;
}

/* If none of them can be read, nobody passes: somebody meant to restrict it. */
static int read_ranges(struct service_object *s, const struct place *p)
{
	struct json_object *list, *annotation;
	size_t n = read_some(p, "spec.loadBalancerSourceRanges", MAX_RANGES, &list);
	const char *text;

	if (json_path(p->obj, "spec.loadBalancerSourceRanges") && !list)
		s->has_ranges = true;
	if (n) {
		s->has_ranges = true;
		return read_range_field(s, list, n);
	}
	annotation = json_field(json_path(p->obj, "metadata.annotations"), RANGES_ANNOTATION);
	text = json_object_is_type(annotation, json_type_string)
		       ? json_object_get_string(annotation)
		       : "";
	if (!text[strspn(text, " ")])
		return 0;
	s->has_ranges = true;
	return read_range_annotation(s, p, text);
}

/* ---- the rest ---- */

/* Either word or, absent, `otherwise`; anything else is told and taken for `otherwise`. */
static bool is_word(const struct place *p, const char *path, const char *word,
		    const char *otherwise)
{
	const char *text = read_text(p, path);

	if (strcmp(text, word) == 0)
		return true;
	if (*text && strcmp(text, otherwise) != 0)
		problems_add(p->problems, "%s: '%.32s' is neither %s nor %s", path, text, word,
			     otherwise);
	return false;
}

static int read_policies(struct service_object *s, const struct place *p)
{
	s->local_out = is_word(p, "spec.externalTrafficPolicy", "Local", "Cluster");
	s->local_in = is_word(p, "spec.internalTrafficPolicy", "Local", "Cluster");
	s->affinity = is_word(p, "spec.sessionAffinity", "ClientIP", "None");
	s->affinity_s = read_number(p, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", 1,
				    86400, 10800);
	s->health_port = read_number(p, "spec.healthCheckNodePort", 0, 65535, 0);
	if (!s->local_out)
		s->health_port = 0;
	s->distribution = texts_add(&s->texts, read_text(p, "spec.trafficDistribution"), NULL);
	return s->distribution ? 0 : -ENOMEM;
}

static bool is_headless(const struct place *p)
{
	struct json_object *list;

	if (strcasecmp(read_text(p, "spec.clusterIP"), "None") == 0)
		return true;
	list = json_path(p->obj, "spec.clusterIPs");
	if (!json_object_is_type(list, json_type_array) || !json_object_array_length(list))
		return false;
	list = json_object_array_get_idx(list, 0);
	return json_object_is_type(list, json_type_string) &&
	       strcasecmp(json_object_get_string(list), "None") == 0;
}

static const char *why_not_served(const struct service_object *s, const struct place *p)
{
	if (strcmp(s->type, "ExternalName") == 0)
		return "an ExternalName is for DNS alone";
	if (is_headless(p))
		return "it is headless: it has no address, DNS answers with its pods'";
	return read_is_for_others(p) ? "its label service.kubernetes.io/service-proxy-name "
				       "leaves it to another proxy"
				     : NULL;
}

struct service_object *service_object_new(struct json_object *obj)
{
	_cleanup_(service_object_freep) struct service_object *s = calloc(1, sizeof(*s));
	struct place p = { .obj = obj };

	if (!s)
		return NULL;
	p.problems = &s->problems;
	s->type = texts_add(&s->texts, read_text(&p, "spec.type"), NULL);
	s->created = texts_add(&s->texts, read_text(&p, "metadata.creationTimestamp"), NULL);
	s->distribution = "";
	if (!s->type || !s->created)
		return NULL;
	if (!*s->type)
		s->type = "ClusterIP";
	s->not_served = why_not_served(s, &p);
	if (s->not_served)
		return TAKE_PTR(s);
	if (read_addresses(s, &p) < 0 || read_ports(s, &p) < 0 || read_ranges(s, &p) < 0 ||
	    read_policies(s, &p) < 0)
		return NULL;
	read_families(s, &p);
	return TAKE_PTR(s);
}

void service_object_free(struct service_object *s)
{
	if (!s)
		return;
	problems_clear(&s->problems);
	texts_clear(&s->texts);
	free(s->ranges);
	free(s->ports);
	free(s->addrs);
	free(s);
}
