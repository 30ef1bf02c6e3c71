// SPDX-License-Identifier: Apache-2.0
/* What the module shows: its part of /v1/status, /v1/drops, and the metrics. */
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/internal.h"
#include "agent/modules/pods/pods.h"
#include "lib/bpf/names.h"
#include "lib/bpf/walk.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* Series of single endpoints: more than a node's usual limit of pods, and an end all the same. */
#define MAX_ENDPOINT_SERIES 1000

/* ---- names ---- */

struct namer {
	struct agent *agent;
	char buf[512];
};

static const char *pod_name(struct namer *n, const struct attachment *att)
{
	if (!att || !att->pod_name || !att->pod_name[0])
		return NULL;
	snprintf(n->buf, sizeof(n->buf), "%s/%s", att->pod_namespace, att->pod_name);
	return n->buf;
}

static const char *name_addr(void *arg, uint32_t scope, const union loom_addr *addr)
{
	struct namer *n = arg;

	return scope == 0 ? pod_name(n, pods_find_ip(n->agent, addr)) : NULL;
}

struct ep_search {
	uint32_t ep;
	const struct attachment *found;
};

static int match_ep(const struct attachment *att, void *arg)
{
	struct ep_search *s = arg;

	if (att->ep != s->ep)
		return 0;
	s->found = att;
	return 1;
}

static const char *name_ep(void *arg, uint32_t ep)
{
	struct namer *n = arg;
	struct ep_search s = { .ep = ep };

	pods_foreach(n->agent, match_ep, &s);
	return pod_name(n, s.found);
}

static const char *name_link(void *arg, uint32_t ifindex)
{
	struct namer *n = arg;

	return if_indextoname(ifindex, n->buf);
}

/* ---- /v1/drops ---- */

/* -EINVAL for what is no number; absent leaves *ret. */
static int query_number(const struct httpd_request *req, const char *name, uint64_t *ret)
{
	const char *text = httpd_query(req, name);
	unsigned long long v;
	char *end;

	if (!text)
		return 0;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-')
		return -EINVAL;
	*ret = v;
	return 0;
}

static void refuse(struct httpd_reply *reply, const char *why)
{
	reply->status = 400;
	reply->json = json_object_new_object();
	if (reply->json)
		json_add_str(reply->json, "error", why);
}

static void serve_drops(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	const struct datapath *dp = arg;
	struct namer namer = { .agent = dp->agent };
	struct table_names names = { name_addr, NULL, name_link, name_ep, &namer, 0 };
	uint64_t last = DROPS_KEPT, since = 0;

	if (query_number(req, "last", &last) < 0)
		refuse(reply, "last: want a number");
	else if (query_number(req, "since", &since) < 0)
		refuse(reply, "since: want the number of an event");
	else
		reply->json = drops_json(dp->drops, since, MIN(last, (uint64_t)DROPS_KEPT), &names);
	if (!reply->json)
		reply->status = 500;
}

void datapath_on_verdict(struct agent *a,
			 struct json_object *(*fn)(const struct loom_event *ev, void *arg),
			 void *arg)
{
	drops_on_verdict(datapath_get(a)->drops, fn, arg);
}

int datapath_routes(struct agent *a)
{
	return httpd_route(agent_httpd(a), "GET", "/v1/drops", serve_drops, datapath_get(a));
}

/* ---- how full ---- */

/* Conntrack is counted by its collector; of arrays it does not matter. -1: not counted. */
static int64_t map_entries(const struct datapath *dp, const struct loaded_map *m)
{
	struct map_shape shape;
	int n;

	if (strcmp(m->name, "loom_ct") == 0)
		return ctgc_stats(dp->gc)->entries;
	if (strcmp(m->name, "loom_ct_new") == 0)
		return ctgc_stats(dp->gc)->new_entries;
	if (map_shape(m->fd, &shape) < 0 || shape.type == BPF_MAP_TYPE_RINGBUF ||
	    map_is_array(&shape))
		return -1;
	n = map_count(m->fd);
	return n < 0 ? -1 : n;
}

static struct json_object *maps_json(const struct datapath *dp, struct json_object *alarms)
{
	_json_ *list = json_object_new_array();

	for (size_t i = 0; list && i < dp->loaded->n_maps; i++) {
		const struct loaded_map *m = &dp->loaded->maps[i];
		int64_t n = map_entries(dp, m);
		struct json_object *one;
		char text[160];

		if (n < 0)
			continue;
		one = json_object_new_object();
		if (json_append(list, one) < 0 || json_add_str(one, "name", m->name) < 0 ||
		    json_add_int(one, "entries", n) < 0 ||
		    json_add_int(one, "capacity", m->max_entries) < 0)
			return NULL;
		/* The LRU maps are meant to be full. */
		if (n * 100 < m->max_entries * 95ll || strstr(m->name, "_new") ||
		    strstr(m->name, "_frag") || strcmp(m->name, "loom_aff") == 0 ||
		    strncmp(m->name, "loom_sock", 9) == 0 || strcmp(m->name, "loom_ct") == 0 ||
		    strcmp(m->name, "loom_denied") == 0)
			continue;
		snprintf(text, sizeof(text), "map %s is nearly full: %lld of %u entries", m->name,
			 (long long)n, m->max_entries);
		if (json_append_str(alarms, text) < 0)
			return NULL;
	}
	return TAKE_PTR(list);
}

static struct json_object *conntrack_json(const struct datapath *dp, struct json_object *alarms)
{
	const struct ctgc_stats *s = ctgc_stats(dp->gc);
	const struct loaded_map *ct = loaded_map(dp->loaded, "loom_ct");
	_json_ *ret = json_object_new_object();
	char text[160];

	if (!ret || json_add_int(ret, "entries", s->entries) < 0 ||
	    json_add_int(ret, "capacity", ct->max_entries) < 0 ||
	    json_add_int(ret, "halfOpen", s->new_entries) < 0 ||
	    json_add_int(ret, "collected", s->removed + s->new_removed) < 0 ||
	    json_add_int(ret, "didNotFit", s->full_total) < 0 ||
	    json_add_int(ret, "nextRunMs", s->next_ms) < 0)
		return NULL;
	if (s->alarm) {
		snprintf(text, sizeof(text),
			 "conntrack is nearly full: %u of %u entries; raise conntrack.maxEntries "
			 "or shorten its timeouts",
			 s->entries, ct->max_entries);
		if (json_append_str(alarms, text) < 0)
			return NULL;
	}
	return TAKE_PTR(ret);
}

/* Pods' links carry filters on every kernel, so one word for all would be wrong. */
struct attached_count {
	int64_t tcx, clsact;
};

static int count_attached(const struct attached *at, void *arg)
{
	struct attached_count *n = arg;

	n->tcx += at->link_id != 0;
	n->clsact += at->link_id == 0;
	return 0;
}

static struct json_object *attached_json(const struct datapath *dp, struct json_object *alarms)
{
	const struct err *problem = &dp->sockets_problem, *xdp = &dp->xdp.problem;
	_json_ *ret = json_object_new_object();
	struct attached_count n = {};
	char text[640];

	attach_foreach(&dp->attach.attacher, count_attached, &n);
	if (!ret || json_add_int(ret, "tcx", n.tcx) < 0 ||
	    json_add_int(ret, "clsact", n.clsact) < 0 ||
	    json_add_int(ret, "cgroup", cgroup_count(dp->cgroup.dir)) < 0)
		return NULL;
	if (json_add_str(ret, "xdp", xdp_mode_name(dp->xdp.dir)) < 0 ||
	    json_add_str(ret, "xdpProblem", xdp->msg) < 0)
		return NULL;
	if (xdp->code && dp->xdp.must) {
		snprintf(text, sizeof(text), "uplink.xdp: %s; packets go by tc", xdp->msg);
		if (json_append_str(alarms, text) < 0)
			return NULL;
	}
	if (problem->code) {
		snprintf(text, sizeof(text),
			 "services.socketLB: %s; sockets' packets are translated one by one",
			 problem->msg);
		if (json_append_str(alarms, text) < 0)
			return NULL;
	}
	return TAKE_PTR(ret);
}

struct json_object *datapath_status(struct agent *a)
{
	const struct datapath *dp = datapath_get(a);
	_json_ *ret = json_object_new_object();
	struct json_object *alarms = json_object_new_array();

	if (!ret || json_add(ret, "alarms", alarms) < 0 ||
	    json_add_str(ret, "programs", load_how_name(dp->loaded->how)) < 0 ||
	    json_add(ret, "attached", attached_json(dp, alarms)) < 0 ||
	    json_add_int(ret, "endpoints", epnum_count(&dp->eps)) < 0 ||
	    json_add(ret, "conntrack", conntrack_json(dp, alarms)) < 0 ||
	    json_add(ret, "maps", maps_json(dp, alarms)) < 0 ||
	    json_add_int(ret, "dropEvents", drops_next_seq(dp->drops) - 1) < 0 ||
	    json_add_int(ret, "dropEventsLost", drops_lost(dp->drops)) < 0)
		return NULL;
	return TAKE_PTR(ret);
}

/* ---- metrics ---- */

static void count_packets(struct metrics *m, const char *name, const char *help, uint32_t index,
			  uint64_t v)
{
	unsigned int reason = index / LOOM_HOOK_MAX;

	metrics_sample(m, name, METRIC_COUNTER, help, v, "hook",
		       loom_hook_name(index % LOOM_HOOK_MAX), "result",
		       reason == LOOM_DROP_FORWARDED	   ? "forwarded"
		       : reason == LOOM_DROP_POLICY_LOGGED ? "logged"
							   : "dropped",
		       "reason", loom_drop_name(reason), NULL);
}

static int packets_entry(const void *key, const void *value, void *arg)
{
	uint32_t index = *(const uint32_t *)key;
	struct loom_counter c;

	map_percpu_sum(value, sizeof(c), &c);
	if (!c.packets)
		return 0;
	count_packets(arg, "netloom_datapath_packets_total",
		      "Packets by hook and what became of them.", index, c.packets);
	count_packets(arg, "netloom_datapath_bytes_total", "Bytes by hook and what became of them.",
		      index, c.bytes);
	return 0;
}

static void conntrack_metrics(const struct datapath *dp, struct metrics *m)
{
	static const char *const protos[] = { "tcp", "udp", "icmp", "other" };
	const struct ctgc_stats *s = ctgc_stats(dp->gc);

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		metrics_sample(m, "netloom_conntrack_flows", METRIC_GAUGE,
			       "Connections kept at the last collection, in both tables.",
			       s->by_proto[i], "proto", protos[i], NULL);
	metrics_sample(m, "netloom_conntrack_full_total", METRIC_COUNTER,
		       "Connections that found no room.", s->full_total, NULL);
	metrics_sample(m, "netloom_conntrack_gc_runs_total", METRIC_COUNTER,
		       "Runs of the collector.", s->runs, NULL);
	metrics_sample(m, "netloom_conntrack_gc_failed_total", METRIC_COUNTER,
		       "Runs of the collector that the kernel refused.", s->failed_runs, NULL);
	metrics_sample(m, "netloom_conntrack_gc_removed_total", METRIC_COUNTER,
		       "Entries that the collector removed.", s->removed + s->new_removed, NULL);
	metrics_sample(m, "netloom_conntrack_gc_seconds_total", METRIC_COUNTER,
		       "Time spent in the collector.", s->run_ns / 1e9, NULL);
}

static void map_metrics(const struct datapath *dp, struct metrics *m)
{
	for (size_t i = 0; i < dp->loaded->n_maps; i++) {
		const struct loaded_map *map = &dp->loaded->maps[i];
		int64_t n = map_entries(dp, map);

		if (n < 0)
			continue;
		metrics_sample(m, "netloom_datapath_map_entries", METRIC_GAUGE, "Entries in a map.",
			       n, "map", map->name, NULL);
		metrics_sample(m, "netloom_datapath_map_capacity", METRIC_GAUGE,
			       "Entries that a map can hold.", map->max_entries, "map", map->name,
			       NULL);
	}
}

struct ep_metrics {
	struct metrics *m;
	int fd;
	void *values;
	unsigned int n;
};

static void ep_sample(struct metrics *m, const char *name, const char *help, uint64_t v,
		      const struct attachment *att)
{
	metrics_sample(m, name, METRIC_COUNTER, help, v, "namespace", att->pod_namespace, "pod",
		       att->pod_name, NULL);
}

static void denied_sample(struct metrics *m, const char *direction, uint64_t v,
			  const struct attachment *att)
{
	metrics_sample(m, "netloom_policy_denied_packets_total", METRIC_COUNTER,
		       "Packets denied by the pod's policies, or while these were not known.", v,
		       "namespace", att->pod_namespace, "pod", att->pod_name, "direction",
		       direction, NULL);
}

static int ep_entry(const struct attachment *att, void *arg)
{
	struct ep_metrics *em = arg;
	struct loom_epstats s;

	if (em->n++ == MAX_ENDPOINT_SERIES)
		return 1;
	if (!att->ep || bpf_map_lookup_elem(em->fd, &att->ep, em->values) < 0)
		return 0;
	map_percpu_sum(em->values, sizeof(s), &s);
	ep_sample(em->m, "netloom_endpoint_transmit_packets_total", "Packets that the pod sent.",
		  s.tx_packets, att);
	ep_sample(em->m, "netloom_endpoint_transmit_bytes_total", "Bytes that the pod sent.",
		  s.tx_bytes, att);
	ep_sample(em->m, "netloom_endpoint_receive_packets_total", "Packets delivered to the pod.",
		  s.rx_packets, att);
	ep_sample(em->m, "netloom_endpoint_receive_bytes_total", "Bytes delivered to the pod.",
		  s.rx_bytes, att);
	ep_sample(em->m, "netloom_endpoint_drop_packets_total",
		  "Packets dropped that the pod sent or was to get.", s.drop_packets, att);
	denied_sample(em->m, "ingress", s.deny_in_packets, att);
	denied_sample(em->m, "egress", s.deny_out_packets, att);
	return 0;
}

static void endpoint_metrics(const struct datapath *dp, struct metrics *m)
{
	_cleanup_(freep) void *values = NULL;
	struct ep_metrics em = { .m = m, .fd = loaded_map_fd(dp->loaded, "loom_epstats") };
	struct map_shape shape;

	if (map_shape(em.fd, &shape) < 0)
		return;
	em.values = values = malloc(map_user_value_size(&shape));
	if (values)
		pods_foreach(dp->agent, ep_entry, &em);
}

void datapath_metrics(struct agent *a, struct metrics *m)
{
	const struct datapath *dp = datapath_get(a);

	map_walk(loaded_map_fd(dp->loaded, "loom_metrics"), packets_entry, m);
	conntrack_metrics(dp, m);
	map_metrics(dp, m);
	endpoint_metrics(dp, m);
	metrics_sample(m, "netloom_drop_events_total", METRIC_COUNTER,
		       "Drop events that the agent got.", drops_next_seq(dp->drops) - 1, NULL);
	metrics_sample(m, "netloom_drop_events_lost_total", METRIC_COUNTER,
		       "Drop events not sent, by rate limit or for want of room.",
		       drops_lost(dp->drops), NULL);
	metrics_sample(m, "netloom_datapath_programs_info", METRIC_GAUGE,
		       "How the programs came to be there, and how they are attached.", 1, "how",
		       load_how_name(dp->loaded->how), "mode", attach_mode_name(dp->loaded->mode),
		       NULL);
}
