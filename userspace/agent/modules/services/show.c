// SPDX-License-Identifier: Apache-2.0
/* What people see: GET /v1/services, metrics, status. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/private.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

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

static struct json_object *show_front(const struct frontend *f)
{
	const struct frontend *winner = front_winner(f->key);
	struct json_object *o = json_object_new_object();
	char addr[ADDR_STRLEN], text[700];

	json_add_str(o, "kind", kind_name(f->kind));
	json_add_str(o, "address", addr_format(&f->key->key.addr, addr));
	json_add_int(o, "port", ntohs(f->key->key.port));
	if (winner != f) {
		snprintf(text, sizeof(text), "is of service '%s'", winner->program->service->name);
		json_add_str(o, "problem", text);
	} else if (f->refused) {
		json_add_str(o, "problem", "left out: loom_svc or loom_vip is full");
	} else {
		json_object_object_add(o, "problem", NULL);
	}
	return o;
}

static const struct endpoint *endpoint_of(const struct program *p, const struct backend *b)
{
	for (const struct slice *sl = p->service->slices; sl; sl = sl->next)
		for (size_t i = 0; i < sl->obj->n_endpoints; i++)
			if (addr_equal(&sl->obj->endpoints[i].addr, &b->value.addr))
				return &sl->obj->endpoints[i];
	return NULL;
}

static const char *state_of(const struct endpoint *ep)
{
	if (ep->ready)
		return "ready";
	if (!ep->terminating)
		return "unready";
	return ep->serving ? "serving" : "terminating";
}

static struct json_object *show_backend(const struct program *p, const struct backend *b)
{
	const struct endpoint *ep = endpoint_of(p, b);
	struct json_object *o = json_object_new_object();
	char addr[ADDR_STRLEN], pod[600] = "";

	json_add_str(o, "address", addr_format(&b->value.addr, addr));
	json_add_int(o, "port", ntohs(b->value.port));
	if (ep && *ep->pod)
		snprintf(pod, sizeof(pod), "%s/%s", ep->pod_namespace, ep->pod);
	json_add_str(o, "node", ep ? ep->node : "");
	json_add_str(o, "pod", pod);
	json_add_str(o, "state", ep ? state_of(ep) : "gone");
	json_add_bool(o, "local", b->value.flags & LOOM_BACKEND_LOCAL);
	json_add_bool(o, "hostNetwork", b->value.flags & LOOM_BACKEND_HOST);
	json_add_str(o, "zone", ep ? ep->zone : "");
	json_add_int(o, "number", b->number);
	return o;
}

static struct json_object *show_port(const struct service *svc, const struct service_port *port)
{
	struct json_object *o = json_object_new_object(), *fronts = json_object_new_array(),
			   *backends = json_object_new_array();
	uint32_t number = 0;

	for (const struct program *p = svc->programs; p; p = p->next) {
		if (p->port.port != port->port || p->port.proto != port->proto ||
		    strcmp(p->port_name, port->name) != 0)
			continue;
		number = number && p->family ? number : p->number;
		for (size_t i = 0; i < p->n_fronts; i++)
			json_append(fronts, show_front(&p->fronts[i]));
		for (size_t i = 0; i < p->n_backends; i++)
			json_append(backends, show_backend(p, &p->backends[i]));
	}
	json_add_str(o, "name", port->name);
	json_add_str(o, "protocol", service_proto_name(port->proto));
	json_add_int(o, "port", port->port);
	json_add_int(o, "number", number);
	json_add(o, "frontends", fronts);
	json_add(o, "backends", backends);
	return o;
}

static struct json_object *show_policy(struct services *s, const struct service_object *obj)
{
	static const char *const distributions[] = { "", "PreferSameZone", "PreferSameNode" };
	struct json_object *o = json_object_new_object(), *ranges = json_object_new_array();
	char text[PREFIX_STRLEN];

	json_add_str(o, "externalTrafficPolicy", obj->local_out ? "Local" : "Cluster");
	json_add_str(o, "internalTrafficPolicy", obj->local_in ? "Local" : "Cluster");
	json_add_str(o, "sessionAffinity", obj->affinity ? "ClientIP" : "None");
	json_add_int(o, "affinitySeconds", obj->affinity ? obj->affinity_s : 0);
	json_add_str(o, "trafficDistribution", distributions[obj->distribution]);
	for (size_t i = 0; i < obj->n_ranges; i++)
		json_append_str(ranges, prefix_format(&obj->ranges[i], text));
	json_add(o, "sourceRanges", ranges);
	json_add_int(o, "healthCheckNodePort", obj->health_port);
	json_add_bool(o, "dsr", agent_cfg(s->agent)->services.mode == SERVICES_DSR);
	return o;
}

static void show_problems(struct json_object *list, const char *of, const struct problems *p)
{
	char text[400];

	for (size_t i = 0; i < p->n; i++) {
		snprintf(text, sizeof(text), "%s%s%s", of, *of ? ": " : "", p->v[i]);
		json_append_str(list, text);
	}
	if (p->more) {
		snprintf(text, sizeof(text), "and %zu more", p->more);
		json_append_str(list, text);
	}
}

static struct json_object *show_service(struct services *s, const struct service *svc)
{
	struct json_object *o = json_object_new_object(), *ports = json_object_new_array(),
			   *problems = json_object_new_array();
	const char *name = svc->name, *slash, *end;
	char part[600];

	if (svc->obj->host_ports)
		name += strlen("hostport:");
	slash = strchr(name, '/');
	end = svc->obj->host_ports ? strchr(slash, ':') : NULL;
	snprintf(part, sizeof(part), "%.*s", (int)(slash - name), name);
	json_add_str(o, "namespace", part);
	snprintf(part, sizeof(part), "%.*s", end ? (int)(end - slash - 1) : 599, slash + 1);
	json_add_str(o, "name", part);
	json_add_str(o, "type", *svc->obj->type ? svc->obj->type : "ClusterIP");
	json_add(o, "policy", show_policy(s, svc->obj));
	for (size_t i = 0; i < svc->obj->n_ports; i++)
		json_append(ports, show_port(svc, &svc->obj->ports[i]));
	json_add(o, "ports", ports);
	show_problems(problems, "", &svc->obj->problems);
	show_problems(problems, "", &svc->problems);
	for (const struct slice *sl = svc->slices; sl; sl = sl->next)
		show_problems(problems, sl->key, &sl->obj->problems);
	json_add(o, "problems", problems);
	return o;
}

static void get_all(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct services *s = arg;

	reply->json = json_object_new_array();
	for (struct service *svc = s->all; svc; svc = svc->hh.next)
		if (svc->obj)
			json_append(reply->json, show_service(s, svc));
}

static void get_one(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct services *s = arg;
	struct service *svc;

	HASH_FIND_STR(s->all, req->rest, svc);
	if (!svc || !svc->obj) {
		reply->status = 404;
		reply->json = json_object_new_object();
		json_add_str(reply->json, "error", "no such service");
		return;
	}
	reply->json = json_object_new_array();
	json_append(reply->json, show_service(s, svc));
}

int services_routes(struct services *s)
{
	int err = httpd_route(agent_httpd(s->agent), "GET", "/v1/services", get_all, s);

	return err ? err : httpd_route(agent_httpd(s->agent), "GET", "/v1/services/", get_one, s);
}

void services_metrics(struct agent *a, struct metrics *m)
{
	struct services *s = services_get(a);

	if (!s || !s->maps)
		return;
	metrics_sample(m, "netloom_service_map_writes_total", METRIC_COUNTER,
		       "Writes to the maps of services.", s->maps->writes, NULL);
}

struct json_object *services_status(struct agent *a)
{
	struct services *s = services_get(a);
	struct json_object *o = s ? json_object_new_object() : NULL;

	if (o)
		json_add_int(o, "services", HASH_COUNT(s->all));
	return o;
}
