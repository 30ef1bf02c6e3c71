// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/policy.h"

#include "agent/modules/policy/private.h"
#include "lib/json/json.h"

const char *policy_pod_at(struct agent *a, const union loom_addr *addr)
{
	const struct policy_module *m = policy_get(a);
	const struct loom_ipkey key = { .addr = *addr };
	const struct address *at = NULL;
	const struct owner *owner;

	if (!m || !m->world)
		return NULL;
	HASH_FIND(hh, m->world->addresses, &key, sizeof(key), at);
	owner = at && at->claims ? at->claims->owner : NULL;
	if (!owner || !owner->identity || owner->identity->kind != IDENTITY_POD)
		return NULL;
	return container_of(owner, struct pod, owner)->key;
}

/* ---- an endpoint ---- */

#define MAX_NAMES 64
#define MAX_RULE  1000 /* bytes of text */

static void add_names(struct json_object *o, const struct ruleset *r)
{
	struct json_object *names = json_object_new_array();
	int64_t more = 0;

	for (size_t i = 0; i < r->n_policies; i++) {
		if (i < MAX_NAMES)
			json_append_str(names, r->policies[i]->name);
		else
			more += r->policies[i]->tier == LOOM_TIER_NP;
	}
	json_add(o, "policies", names);
	json_add_int(o, "more", more);
}

static void add_rule(struct json_object *o, const struct ruleset *r, unsigned int tier,
		     unsigned int order)
{
	char text[MAX_RULE];

	for (size_t i = 0; i < r->n_rules; i++) {
		if (r->rules[i].tier != tier || r->rules[i].order != order)
			continue;
		json_add_str(o, "rule", rule_words_short(&r->rules[i], r->dir, text, sizeof(text)));
		return;
	}
}

static struct json_object *endpoint_json(const struct endpoint *ep, bool ingress, int tier,
					 unsigned int order)
{
	const struct ruleset *r = ep->rules[ingress ? DIR_IN : DIR_OUT];
	struct json_object *o = json_object_new_object();

	if (endpoint_why(ep))
		json_add_str(o, "reason", endpoint_why(ep));
	json_add_int(o, "policy", r ? r->number : 0);
	if (r)
		add_names(o, r);
	if (r && tier >= 0)
		add_rule(o, r, tier, order);
	return o;
}

struct json_object *policy_of_endpoint(struct agent *a, uint32_t number, bool ingress, int tier,
				       unsigned int order)
{
	const struct policy_module *m = policy_get(a);
	const struct endpoint *ep = NULL;

	if (m && m->world)
		HASH_FIND(hh, m->world->endpoints, &number, sizeof(number), ep);
	return ep ? endpoint_json(ep, ingress, tier, order) : NULL;
}
