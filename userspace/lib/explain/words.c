// SPDX-License-Identifier: Apache-2.0
/*
 * The objects behind a policy's number, as /v1/policies names them: which policies it is made of,
 * and which of their rules one of the map's was. Absent when nobody knows, or when the endpoint has
 * another number by now.
 */
#include <stdio.h>
#include <string.h>

#include "lib/bpf/names.h"
#include "lib/explain/private.h"
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

/* Asked once for both directions. */
static struct json_object *known_of(struct run *r, uint32_t ep)
{
	if (r->policies_ep == ep)
		return r->policies;
	json_object_put(r->policies);
	r->policies = r->names->policies ? r->names->policies(r->names->arg, ep) : NULL;
	r->policies_ep = ep;
	return r->policies;
}

struct json_object *words_policy(struct run *r, uint32_t ep, bool ingress, uint32_t policy)
{
	struct json_object *o = json_field(known_of(r, ep), ingress ? "ingress" : "egress");

	return json_object_get_int64(json_field(o, "policy")) == policy ? o : NULL;
}

const char *words_closed(struct run *r, uint32_t ep)
{
	return json_object_get_string(json_field(known_of(r, ep), "reason"));
}

const char *words_isolating(struct json_object *policy, char *buf, size_t len)
{
	struct json_object *names = json_field(policy, "policies");
	size_t used = 0, n = 0;

	*buf = '\0';
	for (size_t i = 0; i < length(names); i++) {
		if (strncmp(text_at(names, i), "networkpolicy ", 14) != 0 || ++n > MAX_NAMED ||
		    used >= len)
			continue;
		used += snprintf(buf + used, len - used, "%s%s", n > 1 ? ", " : "",
				 text_at(names, i));
	}
	if (n > MAX_NAMED && used < len)
		snprintf(buf + used, len - used, " and %zu more", n - MAX_NAMED);
	return buf;
}

const char *words_rule(struct json_object *policy, unsigned int tier, unsigned int order)
{
	struct json_object *rules = json_field(policy, "rules");

	for (size_t i = 0; i < length(rules); i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);
		const char *of = json_object_get_string(json_field(rule, "tier"));

		if (of && strcmp(of, loom_tier_title(tier)) == 0 &&
		    json_object_get_int64(json_field(rule, "order")) == order)
			return json_object_get_string(json_field(rule, "text"));
	}
	return NULL;
}
