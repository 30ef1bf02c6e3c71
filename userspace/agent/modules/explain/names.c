// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "agent/modules/db/db.h"
#include "agent/modules/explain/private.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/pods/pods.h"
#include "agent/modules/policy/policy.h"
#include "agent/modules/services/services.h"
#include "api/etcd_keys.h"
#include "lib/base/addr.h"
#include "lib/json/json.h"

/* ---- for the engine ---- */

static const char *name_addr(void *arg, const union loom_addr *addr)
{
	static char text[600];
	struct explain_module *m = arg;
	const struct attachment *att = pods_find_ip(m->agent, addr);

	if (!att || !*att->pod_name)
		return policy_pod_at(m->agent, addr) ?: nodesync_name_of_addr(m->agent, addr);
	snprintf(text, sizeof(text), "%s/%s", att->pod_namespace, att->pod_name);
	return text;
}

static const char *name_node(void *arg, uint32_t id)
{
	struct explain_module *m = arg;

	return nodesync_name_of_id(m->agent, id);
}

static const char *name_service(void *arg, uint32_t number)
{
	static char text[700];
	struct explain_module *m = arg;

	return services_name_of(m->agent, number, text, sizeof(text));
}

static struct json_object *name_policy(void *arg, uint32_t ep, bool ingress,
				       const struct explain_rule *rule)
{
	struct explain_module *m = arg;

	return policy_of_endpoint(m->agent, ep, ingress, rule ? (int)rule->tier : -1,
				  rule ? rule->order : 0);
}

struct explain_names explain_agent_names(struct explain_module *m)
{
	return (struct explain_names){ .addr = name_addr,
				       .node = name_node,
				       .service = name_service,
				       .policy = name_policy,
				       .arg = m };
}

/* ---- for the command line ---- */

static void append_addr(struct json_object *list, struct json_object *text)
{
	const char *s = json_object_get_string(text);
	union loom_addr addr;

	if (s && addr_parse(s, &addr, NULL) == 0)
		json_append_str(list, s);
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* As its node has published it, else as Kubernetes says; objects that some module follows. */
static void add_addrs(struct agent *a, const char *pod, struct json_object *list)
{
	struct json_object *ips;
	char key[700];

	snprintf(key, sizeof(key), KEY_ENDPOINT "%s", pod);
	ips = json_field(db_get(a, key), "ips");
	for (size_t i = 0; i < length(ips); i++)
		append_addr(list, json_object_array_get_idx(ips, i));
	if (length(list))
		return;
	snprintf(key, sizeof(key), KEY_K8S_POD "%s", pod);
	ips = json_path(db_get(a, key), "status.podIPs");
	for (size_t i = 0; i < length(ips); i++)
		append_addr(list, json_field(json_object_array_get_idx(ips, i), "ip"));
}

static void find_pod(struct explain_module *m, const char *pod, struct httpd_reply *reply)
{
	struct json_object *list = json_object_new_array();

	if (strlen(pod) < 600)
		add_addrs(m->agent, pod, list);
	if (!length(list)) {
		json_object_put(list);
		explain_refuse(reply, 404, "no such pod is known here");
		return;
	}
	reply->json = json_object_new_object();
	json_add_str(reply->json, "name", pod);
	json_add(reply->json, "addresses", list);
}

static void find_addr(struct explain_module *m, const char *text, struct httpd_reply *reply)
{
	union loom_addr addr;
	const char *name;
	struct err e = {};

	if (addr_parse(text, &addr, &e) < 0) {
		explain_refuse(reply, 400, e.msg);
		return;
	}
	name = name_addr(m, &addr);
	if (!name) {
		explain_refuse(reply, 404, "nobody is known to have this address");
		return;
	}
	reply->json = json_object_new_object();
	json_add_str(reply->json, "name", name);
}

void explain_where(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	const char *pod = httpd_query(req, "pod"), *addr = httpd_query(req, "address");

	if (pod)
		find_pod(arg, pod, reply);
	else if (addr)
		find_addr(arg, addr, reply);
	else
		explain_refuse(reply, 400, "want pod=NAMESPACE/NAME or address=ADDRESS");
}
