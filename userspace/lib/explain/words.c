// SPDX-License-Identifier: Apache-2.0
/*
 * The objects behind a policy's number: which policies it is made of, and which of their rules one
 * of the map's was. Absent when nobody knows, or when the endpoint has another number by now.
 */
#include <stdio.h>
#include <string.h>

#include "lib/base/utf8.h"
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

struct json_object *words_policy(struct run *r, uint32_t ep, bool ingress, uint32_t policy,
				 const struct explain_rule *rule)
{
	const struct explain_names *n = r->names;
	_json_ *o = n->policy ? n->policy(n->arg, ep, ingress, rule) : NULL;

	if (policy && json_object_get_int64(json_field(o, "policy")) != policy)
		return NULL;
	return TAKE_PTR(o);
}

void words_cut(char *text)
{
	size_t n;

	for (; (n = utf8_next(text)); text += n)
		;
	*text = '\0';
}

const char *words_isolating(struct json_object *policy, char *buf, size_t len)
{
	struct json_object *names = json_field(policy, "policies");
	size_t used = 0, n = 0, more = json_object_get_int64(json_field(policy, "more"));

	*buf = '\0';
	for (size_t i = 0; i < length(names); i++) {
		if (strncmp(text_at(names, i), "networkpolicy ", 14) != 0 || ++n > MAX_NAMED ||
		    used >= len)
			continue;
		used += snprintf(buf + used, len - used, "%s%s", n > 1 ? ", " : "",
				 text_at(names, i));
	}
	if (n + more > MAX_NAMED && used < len)
		snprintf(buf + used, len - used, " and %zu more", n + more - MAX_NAMED);
	return buf;
}
