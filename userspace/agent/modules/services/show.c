// SPDX-License-Identifier: Apache-2.0
/* What people see: GET /v1/services, metrics, status. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/objects.h"
#include "agent/modules/services/private.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* ---- frontends ---- */

static const char *kind_name(uint32_t kind)
{
	switch (kind) {
	case LOOM_SVC_CLUSTER_IP:
		return "ClusterIP";
	case LOOM_SVC_NODEPORT:
		return "NodePort";
	case LOOM_SVC_EXTERNAL_IP:
		return "ExternalIP";
	case LOOM_SVC_LOADBALANCER:
		return "LoadBalancer";
	default:
		return "HostPort";
	}
}

static void show_front(struct json_object *list, const struct frontend *f)
{
	struct json_object *o = json_object_new_object();
	char addr[ADDR_STRLEN], why[700];
	const char *problem = front_problem(f, why, sizeof(why));

	if (!o)
		return;
	json_add_str(o, "kind", kind_name(f->kind));
	json_add_str(o, "address", addr_format(&f->key->key.addr, addr));
	json_add_int(o, "port", ntohs(f->key->key.port));
	/* "problem": null is part of the contract; json_add() takes NULL for a failure. */
	json_object_object_add(o, "problem", problem ? json_object_new_string(problem) : NULL);
	json_append(list, o);
}

/* Oldest first: the list of a side is the other way round. */
static void show_fronts(struct json_object *list, const struct frontend *f)
{
	if (!f)
		return;
	show_fronts(list, f->next_of_side);
	show_front(list, f);
}

/* ---- backends ---- */

static const struct endpoint *endpoint_of(const struct service *svc, const union loom_addr *addr)
{
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		for (size_t i = 0; i < sl->obj->n_endpoints; i++)
			if (addr_equal(&sl->obj->endpoints[i].addr, addr))
				return &sl->obj->endpoints[i];
	return NULL;
}

static uint32_t number_of(const struct side *side, const struct want *w)
{
	for (size_t i = 0; i < side->n_backends; i++)
		if (addr_equal(&side->backends[i].value.addr, &w->addr) &&
		    side->backends[i].value.port == htons(w->port))
			return side->backends[i].number;
	return 0;
}

static void show_backend(struct json_object *list, const struct side *side, const struct want *w)
{
	const struct endpoint *ep = endpoint_of(side->program->service, &w->addr);
	struct json_object *o = json_object_new_object();
	char addr[ADDR_STRLEN], pod[600] = "";

	if (!o)
		return;
	if (ep && *ep->pod)
		snprintf(pod, sizeof(pod), "%s/%s", ep->pod_namespace, ep->pod);
	json_add_str(o, "address", addr_format(&w->addr, addr));
	json_add_int(o, "port", w->port);
	json_add_str(o, "node", ep ? ep->node : "");
	json_add_str(o, "pod", pod);
	json_add_str(o, "state", want_state_name(w->state));
	json_add_bool(o, "local", w->flags & LOOM_BACKEND_LOCAL);
	json_add_bool(o, "hostNetwork", w->flags & LOOM_BACKEND_HOST);
	json_add_str(o, "zone", ep ? ep->zone : "");
	json_add_int(o, "number", number_of(side, w));
	json_append(list, o);
}

static void show_backends(const struct services *s, struct json_object *list,
			  const struct side *side)
{
	const struct service *svc = side->program->service;
	_cleanup_(freep) struct slice_object **slices = NULL;
	struct wants w = {};
	size_t n = 0;

	slices = service_slices(svc, &n);
	if (!slices || !svc->obj->families[side->family] ||
	    compile_port(svc->obj, &side->program->port, side->family, slices, n, &s->nodes, &w) <
		    0)
		return;
	for (size_t i = 0; i < w.n; i++)
		show_backend(list, side, &w.v[i]);
	wants_clear(&w);
}

/* ---- a service ---- */

static void show_port(const struct services *s, struct json_object *list, const struct program *p)
{
	struct json_object *o = json_object_new_object(), *fronts = json_object_new_array(),
			   *backends = json_object_new_array();

	for (int family = 0; o && fronts && backends && family < 2; family++) {
		show_fronts(fronts, p->sides[family].fronts);
		show_backends(s, backends, &p->sides[family]);
	}
	if (o) {
		json_add_str(o, "name", p->port_name);
		json_add_str(o, "protocol", service_proto_name(p->port.proto));
		json_add_int(o, "port", p->port.port);
		json_add_int(o, "number", p->number);
	}
	json_add(o, "frontends", fronts);
	json_add(o, "backends", backends);
	json_append(list, o);
}

static struct json_object *show_policy(const struct services *s, const struct service_object *obj)
{
	struct json_object *o = json_object_new_object(), *ranges = json_object_new_array();
	char text[PREFIX_STRLEN];

	if (!o || !ranges) {
		json_object_put(o);
		json_object_put(ranges);
		return NULL;
	}
	json_add_str(o, "externalTrafficPolicy", obj->local_out ? "Local" : "Cluster");
	json_add_str(o, "internalTrafficPolicy", obj->local_in ? "Local" : "Cluster");
	json_add_str(o, "sessionAffinity", obj->affinity ? "ClientIP" : "None");
	json_add_int(o, "affinitySeconds", obj->affinity ? obj->affinity_s : 0);
	json_add_str(o, "trafficDistribution", obj->distribution);
	for (size_t i = 0; i < obj->n_ranges; i++)
		json_append_str(ranges, prefix_format(&obj->ranges[i], text));
	json_add(o, "sourceRanges", ranges);
	json_add_int(o, "healthCheckNodePort", obj->health_port);
	json_add_bool(o, "dsr",
		      agent_cfg(s->agent)->services.mode == SERVICES_DSR && !obj->local_out &&
			      !obj->host_ports);
	return o;
}

static void show_problems(struct json_object *list, const char *of, const struct problems *p)
{
	char text[700];

	for (size_t i = 0; i < p->n; i++) {
		snprintf(text, sizeof(text), "%s%s%s", of, *of ? ": " : "", p->v[i]);
		json_append_str(list, text);
	}
	if (p->more) {
		snprintf(text, sizeof(text), "%s%sand %zu more", of, *of ? ": " : "", p->more);
		json_append_str(list, text);
	}
}

static struct json_object *all_problems(const struct service *svc)
{
	struct json_object *list = json_object_new_array();

	if (!list)
		return NULL;
	show_problems(list, "", &svc->obj->problems);
	show_problems(list, "", &svc->problems);
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		show_problems(list, sl->key ?: "", &sl->obj->problems);
	return list;
}

/* Ports in the object's order: the list of programs is in none. */
static struct json_object *all_ports(const struct services *s, const struct service *svc)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; list && i < svc->obj->n_ports; i++) {
		const struct service_port *port = &svc->obj->ports[i];

		for (const struct program *p = svc->programs; p; p = p->next)
			if (p->port.port == port->port && p->port.proto == port->proto &&
			    strcmp(p->port_name, port->name) == 0)
				show_port(s, list, p);
	}
	return list;
}

static struct json_object *show_service(const struct services *s, const struct service *svc)
{
	struct json_object *o = json_object_new_object();
	const char *slash = strchr(svc->title, '/');
	char ns[300];

	if (!o)
		return NULL;
	snprintf(ns, sizeof(ns), "%.*s", slash ? (int)(slash - svc->title) : 0, svc->title);
	json_add_str(o, "namespace", ns);
	json_add_str(o, "name", slash ? slash + 1 : svc->title);
	json_add_str(o, "type", svc->obj->type);
	if (svc->obj->not_served)
		json_add_str(o, "notServed", svc->obj->not_served);
	json_add(o, "policy", show_policy(s, svc->obj));
	json_add(o, "ports", all_ports(s, svc));
	json_add(o, "problems", all_problems(svc));
	return o;
}

/* ---- REST ---- */

static int by_title(const struct service *a, const struct service *b)
{
	return strcmp(a->title, b->title);
}

/* One by one: all of them as one tree would take a hundred times the room. */
static void get(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct services *s = arg;
	const char *only = strcmp(req->path, "/v1/services") == 0 ? NULL : req->rest;
	size_t len, n = 0;
	FILE *f = open_memstream(&reply->text, &len);

	if (!f) {
		reply->status = 500;
		return;
	}
	HASH_SORT(s->all, by_title);
	reply->content_type = "application/json";
	fputc('[', f);
	for (struct service *svc = s->all; svc; svc = svc->hh.next) {
		_json_ *o = NULL;

		if (!svc->obj || (only && strcmp(svc->title, only) != 0))
			continue;
		o = show_service(s, svc);
		fprintf(f, "%s%s", n++ ? ",\n" : "", o ? json_text(o) : "null");
	}
	fputs("]\n", f);
	fclose(f);
	if (only && !n) {
		free(TAKE_PTR(reply->text));
		reply->status = 404;
		reply->json = json_object_new_object();
		if (reply->json)
			json_add_str(reply->json, "error", "no such service");
	}
}

int services_routes(struct services *s)
{
	struct httpd *h = agent_httpd(s->agent);
	int err = httpd_route(h, "GET", "/v1/services", get, s);

	return err ? err : httpd_route(h, "GET", "/v1/services/", get, s);
}

/* ---- figures ---- */

struct figures {
	size_t services, endpoints, problems;
};

static struct figures count(const struct services *s)
{
	struct figures c = {};

	for (const struct service *svc = s->all; svc; svc = svc->hh.next) {
		c.services += svc->obj != NULL;
		c.problems += svc->told != 0;
	}
	for (const struct slice *sl = s->slices; sl; sl = sl->hh.next)
		c.endpoints += sl->obj->n_endpoints;
	return c;
}

void services_metrics(struct agent *a, struct metrics *m)
{
	const struct services *s = services_get(a);
	struct figures c;

	if (!s || !s->maps)
		return;
	c = count(s);
	metrics_sample(m, "netloom_services", METRIC_GAUGE, "Services, and pods with hostPorts.",
		       c.services, NULL);
	metrics_sample(m, "netloom_service_endpoints", METRIC_GAUGE,
		       "Endpoints in the slices of all services.", c.endpoints, NULL);
	metrics_sample(m, "netloom_service_frontends", METRIC_GAUGE,
		       "Addresses and ports that lead to services, or are to.", HASH_COUNT(s->keys),
		       NULL);
	metrics_sample(m, "netloom_service_backends", METRIC_GAUGE,
		       "Numbers of backends in use, those included whose flows are being ended.",
		       s->maps->used_numbers, NULL);
	metrics_sample(m, "netloom_service_slots", METRIC_GAUGE, "Slots of loom_lut in use.",
		       s->maps->slots.used, NULL);
	metrics_sample(m, "netloom_service_problems", METRIC_GAUGE,
		       "Services of which some part is wrong or left out.", c.problems, NULL);
	metrics_sample(m, "netloom_services_without_room", METRIC_GAUGE,
		       "Services that a full map leaves out in part.", s->n_short, NULL);
	metrics_sample(m, "netloom_service_map_writes_total", METRIC_COUNTER,
		       "Writes to the maps of services.", s->maps->writes, NULL);
	metrics_sample(m, "netloom_service_map_writes_failed_total", METRIC_COUNTER,
		       "Writes to the maps of services that the kernel refused.", s->maps->failed,
		       NULL);
	metrics_sample(m, "netloom_service_compilations_total", METRIC_COUNTER,
		       "Services compiled.", s->compiled, NULL);
	metrics_sample(m, "netloom_service_seconds_total", METRIC_COUNTER,
		       "Time spent on compiling services and writing them to the maps.", s->seconds,
		       NULL);
}

struct json_object *services_status(struct agent *a)
{
	const struct services *s = services_get(a);
	struct json_object *o = s ? json_object_new_object() : NULL;
	struct figures c;

	if (!o)
		return NULL;
	c = count(s);
	json_add_str(o, "state",
		     !s->maps || !s->swept ? "waiting"
		     : s->broken	   ? "failing"
					   : "ready");
	if (!s->maps || !s->swept)
		json_add_str(o, "reason", "not all Services and EndpointSlices are reflected yet");
	else if (s->broken)
		json_add_str(o, "reason", "a map could not be written");
	json_add_int(o, "services", c.services);
	json_add_int(o, "frontends", HASH_COUNT(s->keys));
	json_add_int(o, "backends", s->maps ? s->maps->used_numbers : 0);
	json_add_int(o, "problems", c.problems);
	return o;
}
