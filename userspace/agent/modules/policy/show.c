// SPDX-License-Identifier: Apache-2.0
/* What people see: GET /v1/policies, metrics, status. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/private.h"
#include "lib/bpf/names.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* ---- a pod ---- */

/* "order" is the data plane's: the lowest of a tier that matches decides. */
static struct json_object *show_rule(const struct ruleset_rule *r, enum direction dir)
{
	_cleanup_(freep) char *words = rule_words(r, dir);
	struct json_object *o = json_object_new_object();

	json_add_str(o, "text", words ?: "");
	json_add_str(o, "policy", r->policy->name);
	json_add_int(o, "rule", r->index);
	json_add_str(o, "tier", loom_tier_title(r->tier));
	json_add_int(o, "order", r->order);
	if (r->tier != LOOM_TIER_NP)
		json_add_int(o, "priority", r->policy->priority);
	return o;
}

static struct json_object *show_rules(const struct ruleset *r)
{
	struct json_object *rules = json_object_new_array();

	for (size_t i = 0; rules && r && i < r->n_rules; i++)
		json_append(rules, show_rule(&r->rules[i], r->dir));
	return rules;
}

/* Of many pods without the rules, which may be megabytes of text for each. */
static struct json_object *show_direction(const struct ruleset *r, bool with_rules)
{
	struct json_object *o = json_object_new_object(), *policies = json_object_new_array();

	if (!o || !policies) {
		json_object_put(o);
		json_object_put(policies);
		return NULL;
	}
	json_add_int(o, "policy", r ? r->number : 0);
	json_add_bool(o, "isolated", r && r->flags & LOOM_POLSET_ISOLATES);
	json_add_bool(o, "logOnly", r && r->flags & LOOM_POLSET_LOG_ONLY);
	for (size_t i = 0; r && i < r->n_policies; i++)
		json_append_str(policies, r->policies[i]->name);
	json_add(o, "policies", policies);
	if (with_rules)
		json_add(o, "rules", show_rules(r));
	return o;
}

const char *endpoint_why(const struct endpoint *ep)
{
	const struct pod *pod = ep->pod;

	if (ep->written.flags & LOOM_EPOL_KNOWN)
		return pod && pod->owner.identity && pod->owner.identity->starved
			       ? "its policies do not fit: those of before hold"
			       : NULL;
	if (!pod || !pod->there)
		return "closed: its Pod object is not known";
	if (!endpoint_is_of(ep, pod))
		return "closed: the Pod object that is known is another one of that name";
	if (!pod->ns->labels)
		return "closed: its Namespace object is not known";
	return pod->ended ? "closed: the pod has ended" : "closed: its policies are not written";
}

static struct json_object *show_endpoint(const struct endpoint *ep, bool with_rules)
{
	struct json_object *o = json_object_new_object();
	const char *slash = ep->pod ? strchr(ep->pod->key, '/') : NULL;
	char ns[256] = "";

	if (!o)
		return NULL;
	if (slash)
		snprintf(ns, sizeof(ns), "%.*s", (int)(slash - ep->pod->key), ep->pod->key);
	json_add_str(o, "namespace", ns);
	json_add_str(o, "name", slash ? slash + 1 : "");
	json_add_int(o, "endpoint", ep->ep);
	json_add_int(o, "identity", ep->written.identity);
	json_add_bool(o, "open", ep->written.flags & LOOM_EPOL_KNOWN);
	if (endpoint_why(ep))
		json_add_str(o, "reason", endpoint_why(ep));
	json_add(o, "ingress", show_direction(ep->rules[DIR_IN], with_rules));
	json_add(o, "egress", show_direction(ep->rules[DIR_OUT], with_rules));
	return o;
}

/* ---- REST ---- */

static int by_pod(const struct endpoint *a, const struct endpoint *b)
{
	return strcmp(a->pod ? a->pod->key : "", b->pod ? b->pod->key : "");
}

void policy_no_pod(const struct world *w, const char *key, struct httpd_reply *reply)
{
	struct pod *pod = NULL;

	if (w)
		HASH_FIND_STR(w->pods, key, pod);
	free(TAKE_PTR(reply->text));
	reply->status = 404;
	reply->content_type = NULL;
	reply->json = json_object_new_object();
	if (reply->json)
		json_add_str(reply->json, "error",
			     pod && pod->host_network
				     ? "the pod is on the host's network: no policy selects it"
				     : "no such pod on this node");
}

static void get(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct policy_module *m = arg;
	const char *only = strcmp(req->path, "/v1/policies") == 0 ? NULL : req->rest;
	size_t len, n = 0;
	FILE *f = open_memstream(&reply->text, &len);

	if (!f) {
		reply->status = 500;
		return;
	}
	if (m->world)
		HASH_SORT(m->world->endpoints, by_pod);
	reply->content_type = "application/json";
	fputc('[', f);
	for (struct endpoint *ep = m->world ? m->world->endpoints : NULL; ep; ep = ep->hh.next) {
		_json_ *o = NULL;

		if (only && (!ep->pod || strcmp(ep->pod->key, only) != 0))
			continue;
		o = show_endpoint(ep, only);
		fprintf(f, "%s%s", n++ ? ",\n" : "", o ? json_text(o) : "null");
	}
	fputs("]\n", f);
	fclose(f);
	if (only && !n)
		policy_no_pod(m->world, only, reply);
}

int policy_routes(struct policy_module *m)
{
	struct httpd *h = agent_httpd(m->agent);
	int err = httpd_route(h, "GET", "/v1/policies", get, m);

	err = err ?: httpd_route(h, "GET", "/v1/policies/", get, m);
	return err ?: denied_routes(m);
}

/* ---- figures ---- */

struct figures {
	size_t policies, refused, closed, starved;
};

static struct figures count(const struct world *w)
{
	struct figures c = {};

	for (const struct policy_entry *e = w->policies; e; e = e->hh.next) {
		c.policies += e->policy != NULL;
		c.refused += e->problem || e->unfit;
	}
	for (const struct endpoint *ep = w->endpoints; ep; ep = ep->hh.next) {
		c.closed += !(ep->written.flags & LOOM_EPOL_KNOWN);
		c.starved += ep->pod && ep->pod->owner.identity && ep->pod->owner.identity->starved;
	}
	return c;
}

void policy_metrics(struct agent *a, struct metrics *m)
{
	const struct policy_module *p = policy_get(a);
	const struct world *w = p ? p->world : NULL;
	struct figures c;

	if (!w)
		return;
	c = count(w);
	metrics_sample(m, "netloom_policies", METRIC_GAUGE,
		       "NetworkPolicies and ClusterNetworkPolicies that hold in the cluster.",
		       c.policies, NULL);
	metrics_sample(
		m, "netloom_policies_refused", METRIC_GAUGE,
		"Policies whose latest text can't be read or does not fit: those of before hold, "
		"or nothing passes.",
		c.refused, NULL);
	metrics_sample(m, "netloom_policy_pods_closed", METRIC_GAUGE,
		       "Pods of this node whose policies are not known.", c.closed, NULL);
	metrics_sample(m, "netloom_policy_pods_outdated", METRIC_GAUGE,
		       "Pods of this node whose latest policies do not fit.", c.starved, NULL);
	metrics_sample(m, "netloom_policy_identities", METRIC_GAUGE,
		       "Sets of labels and named ports that policies can tell apart.",
		       HASH_COUNT(w->ids.all), NULL);
	metrics_sample(
		m, "netloom_policy_rule_sets", METRIC_GAUGE,
		"Rule sets of this node's pods, one a direction and distinct set of policies.",
		HASH_COUNT(w->sets.all), NULL);
	metrics_sample(m, "netloom_policy_sets", METRIC_GAUGE, "Entries of loom_pol.",
		       w->sets.n_sets, NULL);
	metrics_sample(m, "netloom_policy_classes", METRIC_GAUGE,
		       "Prefixes that the policies of this node's pods name.", w->sets.classes.n,
		       NULL);
	metrics_sample(m, "netloom_policy_rules", METRIC_GAUGE, "Entries of loom_polrule in use.",
		       w->sets.lists.slots.used, NULL);
	metrics_sample(m, "netloom_policy_map_writes_total", METRIC_COUNTER,
		       "Writes to the maps of policies.", w->maps.writes, NULL);
	metrics_sample(m, "netloom_policy_commits_total", METRIC_COUNTER,
		       "Times that changes were brought to the maps of policies.", w->commits,
		       NULL);
	metrics_sample(m, "netloom_policy_seconds_total", METRIC_COUNTER,
		       "Time spent on compiling policies and writing them to the maps.", p->seconds,
		       NULL);
}

#define MAX_PROBLEMS 8

static bool add_problem(struct json_object *list, const char *text)
{
	if (text && json_object_array_length(list) < MAX_PROBLEMS)
		json_append_str(list, text);
	return json_object_array_length(list) < MAX_PROBLEMS;
}

/* One for all pods that are closed, if only for a moment: with the first that comes. */
static void add_closed(struct json_object *list, const struct world *w, size_t n)
{
	char text[600], others[48] = "";

	for (const struct endpoint *ep = w->endpoints; ep; ep = ep->hh.next) {
		if (ep->written.flags & LOOM_EPOL_KNOWN || !ep->pod || ep->pod->ended)
			continue;
		if (n > 1)
			snprintf(others, sizeof(others), " (and %zu more are closed)", n - 1);
		snprintf(text, sizeof(text), "pod '%s' is %s%s", ep->pod->key, endpoint_why(ep),
			 others);
		add_problem(list, text);
		return;
	}
}

/* The first of those policies that are refused, and of peers that there is no room for. */
static void add_problems(struct json_object *o, const struct world *w, size_t closed)
{
	struct json_object *list = json_object_new_array();
	char text[300];

	if (list && closed)
		add_closed(list, w, closed);
	if (list && w->some_unwritten)
		add_problem(list, "no room for the addresses of all pods and nodes");
	for (const struct policy_entry *e = w->policies; list && e; e = e->hh.next)
		if (!add_problem(list, e->problem) || !add_problem(list, e->unfit))
			break;
	for (const struct identity *id = w->ids.all; list && id; id = id->hh.next) {
		if (!id->homeless && !id->starved)
			continue;
		snprintf(text, sizeof(text), "no room for the rules %s pods of namespace '%.64s'",
			 id->starved ? "of" : "about", id->ns ? id->ns->text : "");
		if (!add_problem(list, text))
			break;
	}
	json_add(o, "problems", list);
}

struct json_object *policy_status(struct agent *a)
{
	const struct policy_module *p = policy_get(a);
	struct json_object *o = p ? json_object_new_object() : NULL;
	struct figures c;

	if (!o)
		return NULL;
	json_add_str(o, "state", p->loaded ? "ready" : "waiting");
	if (!p->loaded)
		json_add_str(o, "reason", "not all objects that policies need are reflected yet");
	if (!p->world)
		return o;
	c = count(p->world);
	json_add_int(o, "policies", c.policies);
	json_add_int(o, "refused", c.refused);
	json_add_int(o, "closedPods", c.closed);
	json_add_int(o, "outdatedPods", c.starved);
	json_add_int(o, "identities", HASH_COUNT(p->world->ids.all));
	add_problems(o, p->world, p->loaded ? c.closed : 0);
	return o;
}
