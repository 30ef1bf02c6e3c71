// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/services/object.h"
#include "agent/modules/services/read.h"
#include "lib/json/json.h"

/* Absent conditions: ready unless said otherwise, and serving as it is ready (API documentation of
 * EndpointConditions). */
static void read_conditions(const struct place *p, struct endpoint *ep)
{
	ep->ready = read_flag(p, "conditions.ready", true);
	ep->terminating = read_flag(p, "conditions.terminating", false);
	ep->serving = read_flag(p, "conditions.serving", ep->ready);
}

/* Names of hints.<path>; most endpoints have those of the one before. */
static int read_hints(struct slice_object *s, const struct place *p, const char *path,
		      const char *const *like, const char *const **ret)
{
	struct json_object *list;
	size_t n = read_array(p, path, &list), same = 0;
	_cleanup_(freep) const char **v = NULL;
	struct place one;

	*ret = NULL;
	if (!n)
		return 0;
	v = calloc(n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!read_element(p, path, list, i, &one))
			v[i] = "";
		else
			v[i] = texts_add(&s->texts, read_text(&one, "name"), like ? like[i] : NULL);
		if (!v[i])
			return -ENOMEM;
		if (like && like[i])
			same += like[i] == v[i];
		else
			like = NULL;
	}
	if (like && same == n && !like[n]) {
		*ret = like;
		return 0;
	}
	*ret = TAKE_PTR(v);
	return 0;
}

/* Does anybody before endpoint i hold the same hints? */
static bool is_shared(const struct slice_object *s, size_t i, const char *const *hints, bool nodes)
{
	const struct endpoint *before = i ? &s->endpoints[i - 1] : NULL;

	return before && hints == (nodes ? before->for_nodes : before->for_zones);
}

static int read_names(struct slice_object *s, const struct place *p, struct endpoint *ep)
{
	static const struct endpoint none = { .node = "", .zone = "", .pod_namespace = "" };
	const struct endpoint *last = s->n_endpoints ? ep - 1 : &none;
	bool pod = strcmp(read_text(p, "targetRef.kind"), "Pod") == 0;
	const char *namespace = pod ? read_text(p, "targetRef.namespace") : "";
	int err;

	ep->node = texts_add(&s->texts, read_text(p, "nodeName"), last->node);
	ep->zone = texts_add(&s->texts, read_text(p, "zone"), last->zone);
	ep->pod_namespace = texts_add(&s->texts, namespace, last->pod_namespace);
	ep->pod = texts_add(&s->texts, pod ? read_text(p, "targetRef.name") : "", NULL);
	if (!ep->node || !ep->zone || !ep->pod_namespace || !ep->pod)
		return -ENOMEM;
	err = read_hints(s, p, "hints.forZones", last->for_zones, &ep->for_zones);
	return err ? err : read_hints(s, p, "hints.forNodes", last->for_nodes, &ep->for_nodes);
}

/* Of several addresses the first counts, as kube-proxy has it. */
static int read_endpoint(struct slice_object *s, const struct place *p)
{
	struct endpoint *ep = &s->endpoints[s->n_endpoints];
	struct json_object *list, *first;
	char at[100];
	int err;

	if (!read_array(p, "addresses", &list))
		return 0;
	first = json_object_array_get_idx(list, 0);
	snprintf(at, sizeof(at), "%saddresses[0]", p->at);
	*ep = (struct endpoint){};
	if (!read_address(p->problems, at, first, &ep->addr))
		return 0;
	if (addr_is_v4(&ep->addr) != (s->family == 0)) {
		problems_add(p->problems, "%s: '%.64s' is not of the slice's addressType", at,
			     json_object_get_string(first));
		return 0;
	}
	err = read_names(s, p, ep);
	if (err < 0) {
		/* The hints that it got are freed with the others. */
		s->n_endpoints++;
		return err;
	}
	read_conditions(p, ep);
	s->n_endpoints++;
	return 0;
}

static int read_endpoints(struct slice_object *s, const struct place *p)
{
	struct json_object *list;
	size_t n = read_array(p, "endpoints", &list);
	struct place one;
	int err = 0;

	s->endpoints = calloc(n + 1, sizeof(*s->endpoints));
	if (!s->endpoints)
		return -ENOMEM;
	for (size_t i = 0; !err && i < n; i++)
		if (read_element(p, "endpoints", list, i, &one))
			err = read_endpoint(s, &one);
	return err;
}

static int read_slice_port(struct slice_object *s, const struct place *p)
{
	const char *proto = json_field(p->obj, "protocol") ? read_text(p, "protocol") : "TCP";
	const char *name = texts_add(&s->texts, read_text(p, "name"), NULL);
	struct err e = {};
	int64_t port;

	if (!name)
		return -ENOMEM;
	if (json_get_int(p->obj, "port", 1, 65535, &port, &e) < 0) {
		problems_add(p->problems, "%s%s", p->at, e.msg);
		return 0;
	}
	if (!service_proto(proto)) {
		problems_add(p->problems, "%sprotocol: '%.32s' is none of TCP, UDP and SCTP", p->at,
			     proto);
		return 0;
	}
	s->ports[s->n_ports++] = (struct endpoint_port){ name, port, service_proto(proto) };
	return 0;
}

static int read_slice_ports(struct slice_object *s, const struct place *p)
{
	struct json_object *list;
	size_t n = read_array(p, "ports", &list);
	struct place one;
	int err = 0;

	s->ports = calloc(n + 1, sizeof(*s->ports));
	if (!s->ports)
		return -ENOMEM;
	for (size_t i = 0; !err && i < n; i++)
		if (read_element(p, "ports", list, i, &one))
			err = read_slice_port(s, &one);
	return err;
}

static int family_of(const struct place *p)
{
	const char *type = read_text(p, "addressType");

	if (strcmp(type, "IPv4") == 0 || strcmp(type, "IPv6") == 0)
		return type[3] == '6';
	if (strcmp(type, "FQDN") != 0)
		problems_add(p->problems, "addressType: '%.32s' is none of IPv4, IPv6 and FQDN",
			     type);
	return -1;
}

struct slice_object *slice_object_new(struct json_object *obj)
{
	_cleanup_(slice_object_freep) struct slice_object *s = calloc(1, sizeof(*s));
	struct json_object *label;
	struct place p = { .obj = obj };

	if (!s)
		return NULL;
	p.problems = &s->problems;
	s->family = -1;
	s->service = "";
	if (read_is_for_others(&p))
		return TAKE_PTR(s);
	label = json_field(json_path(obj, "metadata.labels"), "kubernetes.io/service-name");
	if (json_object_is_type(label, json_type_string))
		s->service = texts_add(&s->texts, json_object_get_string(label), NULL);
	s->family = family_of(&p);
	if (!s->service || read_slice_ports(s, &p) < 0)
		return NULL;
	if (s->family >= 0 && read_endpoints(s, &p) < 0)
		return NULL;
	return TAKE_PTR(s);
}

void slice_object_free(struct slice_object *s)
{
	if (!s)
		return;
	for (size_t i = s->n_endpoints; i-- > 0;) {
		const struct endpoint *ep = &s->endpoints[i];

		if (!is_shared(s, i, ep->for_zones, false))
			free((void *)ep->for_zones);
		if (!is_shared(s, i, ep->for_nodes, true))
			free((void *)ep->for_nodes);
	}
	problems_clear(&s->problems);
	texts_clear(&s->texts);
	free(s->endpoints);
	free(s->ports);
	free(s);
}
