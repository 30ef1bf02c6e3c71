// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/modules/pods/pods_int.h"
#include "agent/modules/pods/port_mappings.h"
#include "lib/base/clock.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

static void add_ip(struct json_object *ips, const union loom_addr *a)
{
	char text[ADDR_STRLEN];

	if (!addr_is_zero(a))
		json_append_str(ips, addr_format(a, text));
}

static struct json_object *show_record(const struct record *rec)
{
	struct json_object *o = json_object_new_object(), *ips = json_object_new_array();
	const struct attachment *att = &rec->att;
	char mac[MAC_STRLEN];

	add_ip(ips, &att->ips.ip4);
	add_ip(ips, &att->ips.ip6);
	json_add_str(o, "namespace", att->pod_namespace);
	json_add_str(o, "name", att->pod_name);
	json_add_str(o, "uid", att->pod_uid);
	json_add_str(o, "containerID", att->container_id);
	json_add_str(o, "interface", att->ifname);
	json_add_str(o, "network", rec->network);
	json_add_str(o, "netns", att->netns);
	json_add_str(o, "state", attachment_state_name(att->state));
	json_add_int(o, "since", rec->since_ms);
	json_add(o, "ips", ips);
	json_add_str(o, "mac", mac_format(att->mac, mac));
	json_add_str(o, "hostMAC", mac_format(att->hmac, mac));
	json_add_str(o, "hostInterface", att->host_ifname);
	json_add_int(o, "hostIfindex", att->host_ifindex);
	json_add_int(o, "ep", att->ep);
	json_add_int(o, "mtu", att->mtu);
	json_add(o, "portMappings", port_mappings_json(att->ports, att->n_ports));
	return o;
}

static int by_pod(const struct record *a, const struct record *b)
{
	int n = strcmp(a->att.pod_namespace, b->att.pod_namespace);

	if (!n)
		n = strcmp(a->att.pod_name, b->att.pod_name);
	return n ? n : strcmp(a->key, b->key);
}

static void get_pods(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct pods *p = arg;
	struct record *rec, *next;

	HASH_SORT(p->records, by_pod);
	HASH_ITER (hh, p->records, rec, next)
		json_append(list, show_record(rec));
	json_add(o, "pods", list);
	reply->json = o;
}

int view_init(struct pods *p)
{
	return httpd_route(agent_httpd(p->agent), "GET", "/v1/pods", get_pods, p);
}

void view_count(struct pods *p, const struct request *r, unsigned int code)
{
	struct verb_stats *s = &p->stats[r->verb];
	size_t i = 0;

	s->count++;
	s->seconds += (clock_ns() - r->start_ns) / 1e9;
	/* The last place is for all codes that found no other. */
	while (i < N_CODES - 1 && s->codes[i].count && s->codes[i].code != code)
		i++;
	s->codes[i].code = code;
	s->codes[i].count++;
}

static void count_states(struct pods *p, unsigned int ret[static 3])
{
	struct record *rec, *next;

	memset(ret, 0, 3 * sizeof(*ret));
	HASH_ITER (hh, p->records, rec, next)
		ret[rec->att.state]++;
}

void pods_metrics(struct agent *a, struct metrics *m)
{
	struct pods *p = pods_get(a);
	unsigned int states[3];
	char code[16];

	count_states(p, states);
	for (int i = 0; i < 3; i++)
		metrics_sample(m, "netloom_attachments", METRIC_GAUGE,
			       "Interfaces of containers on this node.", states[i], "state",
			       attachment_state_name(i), NULL);
	for (int v = 0; v < CNI_N_VERBS; v++) {
		for (int i = 0; i < N_CODES && p->stats[v].codes[i].count; i++) {
			snprintf(code, sizeof(code), "%u", p->stats[v].codes[i].code);
			metrics_sample(m, "netloom_cni_requests_total", METRIC_COUNTER,
				       "CNI requests answered, by CNI error code (0: success).",
				       p->stats[v].codes[i].count, "verb", cni_verb_name(v), "code",
				       code, NULL);
		}
	}
	for (int v = 0; v < CNI_N_VERBS; v++)
		metrics_sample(m, "netloom_cni_request_duration_seconds_sum", METRIC_COUNTER,
			       "Time from request to answer.", p->stats[v].seconds, "verb",
			       cni_verb_name(v), NULL);
	for (int v = 0; v < CNI_N_VERBS; v++)
		metrics_sample(m, "netloom_cni_request_duration_seconds_count", METRIC_COUNTER,
			       "Requests timed.", p->stats[v].count, "verb", cni_verb_name(v),
			       NULL);
}

struct json_object *pods_status(struct agent *a)
{
	struct json_object *o = json_object_new_object();
	struct pods *p = pods_get(a);
	unsigned int states[3];

	count_states(p, states);
	for (int i = 0; i < 3; i++)
		json_add_int(o, attachment_state_name(i), states[i]);
	return o;
}
