// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/object.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/json/json.h"

/* ---- problems ---- */

void problems_add(struct problems *p, const char *fmt, ...)
{
	char text[300];
	va_list ap;

	if (p->n == PROBLEMS_MAX) {
		p->more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->v[p->n] = strdup(text);
	if (p->v[p->n])
		p->n++;
	else
		p->more++;
}

void problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	*p = (struct problems){};
}

/* ---- words ---- */

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

static const char *text(struct json_object *o, const char *path)
{
	const char *s = "";

	json_opt_str(o, path, &s, NULL);
	return s;
}

static size_t array_len(struct json_object *o, const char *path, struct json_object **ret)
{
	*ret = NULL;
	json_opt_array(o, path, ret, NULL);
	return *ret ? json_object_array_length(*ret) : 0;
}

/* Kubernetes refuses these for endpoints and for external addresses alike. */
static const char *not_usable(const union loom_addr *a)
{
	bool v4 = addr_is_v4(a);

	if (addr_is_zero(a))
		return "is unspecified";
	if (v4 ? a->b[12] == 127 : (!a->d[0] && !a->w[2] && a->w[3] == htonl(1)))
		return "is a loopback address";
	if (v4 ? a->b[12] == 169 && a->b[13] == 254 : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80)
		return "is a link-local address";
	if (v4 ? a->b[12] >= 224 : a->b[0] == 0xff)
		return "is no unicast address";
	return NULL;
}

/* An address in element i of `path`. */
static bool read_addr(const char *s, const char *path, size_t i, struct problems *p,
		      union loom_addr *ret)
{
	struct err e = {};
	const char *why;

	if (addr_parse(s, ret, &e) < 0) {
		problems_add(p, "%s[%zu]: %.200s", path, i, e.msg);
		return false;
	}
	why = not_usable(ret);
	if (why)
		problems_add(p, "%s[%zu]: '%.64s' %s", path, i, s, why);
	return !why;
}

/* ---- services ---- */

static void add_address(struct service_object *s, const char *t, const char *path, size_t i,
			uint32_t kind)
{
	struct service_address *a = &s->addrs[s->n_addrs];

	if (!read_addr(t, path, i, &s->problems, &a->addr))
		return;
	for (size_t k = 0; k < s->n_addrs; k++)
		if (addr_equal(&s->addrs[k].addr, &a->addr))
			return;
	a->kind = kind;
	s->n_addrs++;
	if (kind == LOOM_SVC_CLUSTER_IP)
		s->families[!addr_is_v4(&a->addr)] = true;
}

/* ipMode Proxy: the balancer sends to nodes, and its address is its own. */
static void add_ingress(struct service_object *s, struct json_object *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		const char *ip = text(o, "ip");

		if (*ip && strcmp(text(o, "ipMode"), "Proxy") != 0)
			add_address(s, ip, "status.loadBalancer.ingress", i, LOOM_SVC_LOADBALANCER);
	}
}

static void add_texts(struct service_object *s, struct json_object *list, size_t n,
		      const char *path, uint32_t kind)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_string))
			add_address(s, json_object_get_string(o), path, i, kind);
		else
			problems_add(&s->problems, "%s[%zu]: want a string, found %s", path, i,
				     json_type_word(o));
	}
}

static int read_addresses(struct service_object *s)
{
	struct json_object *cluster, *external, *ingress;
	size_t n_cluster = array_len(s->obj, "spec.clusterIPs", &cluster);
	size_t n_external = array_len(s->obj, "spec.externalIPs", &external);
	size_t n_ingress = array_len(s->obj, "status.loadBalancer.ingress", &ingress);
	const char *one = text(s->obj, "spec.clusterIP");

	s->addrs = calloc(n_cluster + n_external + n_ingress + 1, sizeof(*s->addrs));
	if (!s->addrs)
		return -ENOMEM;
	add_texts(s, cluster, n_cluster, "spec.clusterIPs", LOOM_SVC_CLUSTER_IP);
	if (!n_cluster && *one)
		add_address(s, one, "spec.clusterIP", 0, LOOM_SVC_CLUSTER_IP);
	add_texts(s, external, n_external, "spec.externalIPs", LOOM_SVC_EXTERNAL_IP);
	add_ingress(s, ingress, n_ingress);
	return 0;
}

/* Ports are told apart by their names; one without a name stands alone. */
static bool read_port(struct service_object *s, struct json_object *o, size_t i,
		      struct service_port *ret)
{
	const char *proto = "TCP";
	int64_t port, node = 0;
	struct err e = {};
	int err = json_get_int(o, "port", 1, 65535, &port, &e);

	json_opt_str(o, "protocol", &proto, NULL);
	*ret = (struct service_port){ .name = text(o, "name"), .proto = service_proto(proto) };
	if (!err && !ret->proto)
		err = err_set(&e, -EINVAL, "protocol: '%.32s' is none of TCP, UDP and SCTP", proto);
	if (!err)
		err = json_opt_int(o, "nodePort", 0, 65535, &node, &e);
	if (err) {
		problems_add(&s->problems, "spec.ports[%zu].%.200s", i, e.msg);
		return false;
	}
	ret->port = port;
	ret->node_port = node;
	return true;
}

static int read_ports(struct service_object *s)
{
	struct json_object *list;
	size_t n = array_len(s->obj, "spec.ports", &list);

	s->ports = calloc(n + 1, sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (read_port(s, json_object_array_get_idx(list, i), i, &s->ports[s->n_ports]))
			s->n_ports++;
	return 0;
}

static int read_ranges(struct service_object *s)
{
	struct json_object *list;
	size_t n = array_len(s->obj, "spec.loadBalancerSourceRanges", &list);
	struct err e;

	s->has_ranges = n > 0;
	s->ranges = calloc(n + 1, sizeof(*s->ranges));
	if (!s->ranges)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *t = json_object_get_string(json_object_array_get_idx(list, i));
		struct prefix *p = &s->ranges[s->n_ranges];

		e = (struct err){};
		if (prefix_parse_host(t ? t : "", p, &e) < 0) {
			problems_add(&s->problems, "spec.loadBalancerSourceRanges[%zu]: %.200s", i,
				     e.msg);
			continue;
		}
		addr_mask(&p->addr, p->len);
		s->n_ranges++;
	}
	return 0;
}

static void read_policies(struct service_object *s)
{
	const char *d = text(s->obj, "spec.trafficDistribution");
	int64_t timeout = 10800, health = 0;

	s->local_out = strcmp(text(s->obj, "spec.externalTrafficPolicy"), "Local") == 0;
	s->local_in = strcmp(text(s->obj, "spec.internalTrafficPolicy"), "Local") == 0;
	s->affinity = strcmp(text(s->obj, "spec.sessionAffinity"), "ClientIP") == 0;
	json_opt_int(s->obj, "spec.sessionAffinityConfig.clientIP.timeoutSeconds", 1, 86400,
		     &timeout, NULL);
	s->affinity_s = timeout;
	json_opt_int(s->obj, "spec.healthCheckNodePort", 0, 65535, &health, NULL);
	s->health_port = s->local_out ? health : 0;
	if (strcmp(d, "PreferSameNode") == 0)
		s->distribution = DISTRIBUTE_NODE;
	else if (strcmp(d, "PreferClose") == 0 || strcmp(d, "PreferSameZone") == 0)
		s->distribution = DISTRIBUTE_ZONE;
}

struct service_object *service_object_new(struct json_object *obj)
{
	_cleanup_(service_object_freep) struct service_object *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->obj = json_object_get(obj);
	s->type = text(obj, "spec.type");
	s->created = text(obj, "metadata.creationTimestamp");
	if (strcmp(s->type, "ExternalName") == 0 ||
	    strcasecmp(text(obj, "spec.clusterIP"), "None") == 0)
		return TAKE_PTR(s);
	if (read_addresses(s) < 0 || read_ports(s) < 0 || read_ranges(s) < 0)
		return NULL;
	read_policies(s);
	return TAKE_PTR(s);
}

void service_object_free(struct service_object *s)
{
	if (!s)
		return;
	problems_clear(&s->problems);
	free(s->ranges);
	free(s->ports);
	free(s->addrs);
	json_object_put(s->obj);
	free(s);
}

/* ---- slices ---- */

/* Absent conditions: ready unless said otherwise, serving as it is ready (API documentation). */
static void read_conditions(struct json_object *o, struct endpoint *ep)
{
	ep->ready = true;
	json_opt_bool(o, "conditions.ready", &ep->ready, NULL);
	json_opt_bool(o, "conditions.terminating", &ep->terminating, NULL);
	ep->serving = ep->ready;
	json_opt_bool(o, "conditions.serving", &ep->serving, NULL);
}

/* Of several addresses the first counts, as kube-proxy has it. */
static void read_endpoint(struct slice_object *s, struct json_object *o, size_t i)
{
	struct endpoint *ep = &s->endpoints[s->n_endpoints];
	struct json_object *list, *first;

	if (!array_len(o, "addresses", &list))
		return;
	first = json_object_array_get_idx(list, 0);
	if (!json_object_is_type(first, json_type_string)) {
		problems_add(&s->problems, "endpoints[%zu].addresses[0]: want a string, found %s",
			     i, json_type_word(first));
		return;
	}
	*ep = (struct endpoint){
		.node = text(o, "nodeName"), .zone = text(o, "zone"), .pod_namespace = "", .pod = ""
	};
	if (!read_addr(json_object_get_string(first), "endpoints", i, &s->problems, &ep->addr))
		return;
	if (addr_is_v4(&ep->addr) != (s->family == 0)) {
		problems_add(&s->problems, "endpoints[%zu]: '%.64s' is not of the slice's family",
			     i, json_object_get_string(first));
		return;
	}
	if (strcmp(text(o, "targetRef.kind"), "Pod") == 0) {
		ep->pod_namespace = text(o, "targetRef.namespace");
		ep->pod = text(o, "targetRef.name");
	}
	array_len(o, "hints.forZones", &ep->for_zones);
	array_len(o, "hints.forNodes", &ep->for_nodes);
	read_conditions(o, ep);
	s->n_endpoints++;
}

static void read_slice_port(struct slice_object *s, struct json_object *o, size_t i)
{
	const char *proto = "TCP";
	struct err e = {};
	int64_t port = 0;

	json_opt_str(o, "protocol", &proto, NULL);
	if (json_get_int(o, "port", 1, 65535, &port, &e) < 0) {
		problems_add(&s->problems, "ports[%zu].%.200s", i, e.msg);
		return;
	}
	if (!service_proto(proto)) {
		problems_add(&s->problems,
			     "ports[%zu].protocol: '%.32s' is none of TCP, UDP and SCTP", i, proto);
		return;
	}
	s->ports[s->n_ports++] =
		(struct endpoint_port){ text(o, "name"), port, service_proto(proto) };
}

struct slice_object *slice_object_new(struct json_object *obj)
{
	_cleanup_(slice_object_freep) struct slice_object *s = calloc(1, sizeof(*s));
	struct json_object *eps, *ports, *labels;
	size_t n_eps, n_ports;
	const char *type;

	if (!s)
		return NULL;
	s->obj = json_object_get(obj);
	labels = json_path(obj, "metadata.labels");
	s->service = "";
	if (labels &&
	    json_object_is_type(json_field(labels, "kubernetes.io/service-name"), json_type_string))
		s->service =
			json_object_get_string(json_field(labels, "kubernetes.io/service-name"));
	type = text(obj, "addressType");
	s->family = strcmp(type, "IPv4") == 0 ? 0 : strcmp(type, "IPv6") == 0 ? 1 : -1;
	n_eps = array_len(obj, "endpoints", &eps);
	n_ports = array_len(obj, "ports", &ports);
	s->endpoints = calloc(n_eps + 1, sizeof(*s->endpoints));
	s->ports = calloc(n_ports + 1, sizeof(*s->ports));
	if (!s->endpoints || !s->ports)
		return NULL;
	for (size_t i = 0; s->family >= 0 && i < n_eps; i++)
		read_endpoint(s, json_object_array_get_idx(eps, i), i);
	for (size_t i = 0; i < n_ports; i++)
		read_slice_port(s, json_object_array_get_idx(ports, i), i);
	return TAKE_PTR(s);
}

void slice_object_free(struct slice_object *s)
{
	if (!s)
		return;
	problems_clear(&s->problems);
	free(s->endpoints);
	free(s->ports);
	json_object_put(s->obj);
	free(s);
}
