// SPDX-License-Identifier: Apache-2.0
/*
 * The objects behind a policy's number, as the agent's /v1/policies names them: which policies it
 * is made of, and which of their rules one of the map's was. Absent when nobody answers, or when
 * the agent has another number for the pod by now.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/explain.h"
#include "lib/json/json.h"

#define MAX_NAMED 4

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static const char *text_at(struct json_object *list, size_t i)
{
	return json_object_get_string(json_object_array_get_idx(list, i)) ?: "";
}

/* The agent's word on the endpoint, which is asked for once for both directions. */
static struct json_object *pod_of(struct found *f, uint32_t ep)
{
	const char *name = f->who.ep(f->who.arg, ep);
	char path[700];

	for (size_t i = 0; i < length(f->policies); i++) {
		struct json_object *pod = json_object_array_get_idx(f->policies, i);

		if (json_object_get_int64(json_field(pod, "endpoint")) == ep)
			return pod;
	}
	if (!name)
		return NULL;
	json_object_put(f->policies);
	f->policies = NULL;
	snprintf(path, sizeof(path), "/v1/policies/%s", name);
	client_get(f->c, path, &f->policies, NULL);
	return length(f->policies) ? json_object_array_get_idx(f->policies, 0) : NULL;
}

struct json_object *found_policy(struct found *f, uint32_t ep, bool ingress, uint32_t policy)
{
	struct json_object *o = json_field(pod_of(f, ep), ingress ? "ingress" : "egress");

	return json_object_get_int64(json_field(o, "policy")) == policy ? o : NULL;
}

const char *found_closed(struct found *f, uint32_t ep)
{
	return json_object_get_string(json_field(pod_of(f, ep), "reason"));
}

static bool is_network_policys(const char *rule)
{
	return strncmp(rule, "networkpolicy ", 14) == 0;
}

const char *policy_isolating(struct json_object *policy, char *buf, size_t len)
{
	struct json_object *names = json_field(policy, "policies");
	size_t used = 0, n = 0;

	*buf = '\0';
	for (size_t i = 0; i < length(names); i++) {
		if (!is_network_policys(text_at(names, i)) || ++n > MAX_NAMED || used >= len)
			continue;
		used += snprintf(buf + used, len - used, "%s%s", n > 1 ? ", " : "",
				 text_at(names, i));
	}
	if (n > MAX_NAMED && used < len)
		snprintf(buf + used, len - used, " and %zu more", n - MAX_NAMED);
	return buf;
}

/*
 * Rules are listed by tier, then order, which counts from 0 in each tier. Where the
 * NetworkPolicies' rules are is plain from their names, so the Baseline tier's are found behind
 * them only.
 */
const char *policy_rule(struct json_object *policy, unsigned int tier, unsigned int order)
{
	struct json_object *rules = json_field(policy, "rules");
	size_t n = length(rules), first = 0, end;

	while (first < n && !is_network_policys(text_at(rules, first)))
		first++;
	end = first;
	while (end < n && is_network_policys(text_at(rules, end)))
		end++;
	if (tier == LOOM_TIER_ADMIN)
		return order < first ? text_at(rules, order) : NULL;
	if (tier == LOOM_TIER_NP)
		return first + order < end ? text_at(rules, first + order) : NULL;
	return first < end && end + order < n ? text_at(rules, end + order) : NULL;
}
