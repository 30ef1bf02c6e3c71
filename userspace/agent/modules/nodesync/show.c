// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <time.h>

#include "agent/core/agent_config.h"
#include "agent/modules/nodesync/private.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

static void add_time(struct json_object *o, const char *name, uint64_t real_ms)
{
	time_t t = real_ms / 1000;
	struct tm tm;
	char text[32];

	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		json_add_str(o, name, text);
}

static struct json_object *show_self(struct nodesync *m)
{
	struct node_info info;
	struct json_object *o;

	nodesync_own_info(m, &info);
	o = node_info_json(&info, m->name);
	if (!o)
		return NULL;
	json_add_bool(o, "thisNode", true);
	json_add_str(o, "state", m->why.code ? "waiting" : "ready");
	if (m->why.code)
		json_add_str(o, "reason", m->why.msg);
	return o;
}

static const char *state_of(const struct nodesync *m, const struct peer *peer)
{
	bool tunnel = agent_cfg(m->agent)->transport == TRANSPORT_VXLAN;

	if (!peer->valid)
		return "refused";
	if (peer->problem.code)
		return "conflict";
	return peer->info.tunnel == tunnel ? "ready" : "other-transport";
}

struct show {
	struct nodesync *m;
	struct json_object *list;
};

static int show_peer(const struct peer *peer, void *arg)
{
	struct show *s = arg;
	struct json_object *o =
		peer->valid ? node_info_json(&peer->info, peer->name) : json_object_new_object();

	if (!o)
		return 0;
	if (!peer->valid)
		json_add_str(o, "name", peer->name);
	else
		add_time(o, "since", peer->since_ms);
	json_add_bool(o, "thisNode", false);
	json_add_str(o, "state", state_of(s->m, peer));
	if (peer->problem.code)
		json_add_str(o, "reason", peer->problem.msg);
	json_append(s->list, o);
	return 0;
}

static void on_get(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct nodesync *m = arg;
	struct json_object *o = json_object_new_object(), *self = show_self(m);
	struct show s = { m, json_object_new_array() };

	reply->json = o;
	if (!o || !s.list || !self) {
		json_object_put(s.list);
		json_object_put(self);
		reply->status = 500;
		return;
	}
	json_append(s.list, self);
	peers_foreach(m->peers, show_peer, &s);
	json_add(o, "nodes", s.list);
}

int nodesync_routes(struct nodesync *m)
{
	return httpd_route(agent_httpd(m->agent), "GET", "/v1/nodes", on_get, m);
}

static int count_problem(const struct peer *peer, void *arg)
{
	*(unsigned int *)arg += peer->problem.code != 0;
	return 0;
}

void nodesync_metrics(struct agent *a, struct metrics *out)
{
	struct nodesync *m = nodesync_get(a);
	unsigned int problems = 0;

	peers_foreach(m->peers, count_problem, &problems);
	metrics_sample(out, "netloom_node_id", METRIC_GAUGE, "Id of this node; 0 while unknown.",
		       m->self.id, NULL);
	metrics_sample(out, "netloom_nodes", METRIC_GAUGE, "Other nodes that this node knows of.",
		       peers_count(m->peers), NULL);
	metrics_sample(out, "netloom_nodes_conflicting", METRIC_GAUGE,
		       "Nodes whose object is refused, or claims what another one holds.", problems,
		       NULL);
	metrics_sample(out, "netloom_node_objects_refused_total", METRIC_COUNTER,
		       "Malformed node objects met.", m->refused, NULL);
}

struct json_object *nodesync_status(struct agent *a)
{
	struct nodesync *m = nodesync_get(a);
	struct json_object *o = show_self(m);

	if (o)
		json_add_int(o, "otherNodes", peers_count(m->peers));
	return o;
}
