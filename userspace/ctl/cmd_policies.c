// SPDX-License-Identifier: Apache-2.0
/* netloom policies [NAMESPACE/POD]: what holds for the pods of this node, in words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"

#define COLUMN(heading, field)                      \
	{                                           \
		heading, field, COLUMN_PLAIN, false \
	}

static const struct column pod_columns[] = {
	COLUMN("NAMESPACE", "namespace"),
	COLUMN("POD", "name"),
	{ "ENDPOINT", "endpoint", COLUMN_PLAIN, true },
	COLUMN("STATE", "state"),
	COLUMN("INGRESS", "ingressText"),
	COLUMN("EGRESS", "egressText"),
	{},
};

static const char *str(struct json_object *o, const char *name)
{
	const char *ret = "";

	json_opt_str(o, name, &ret, NULL);
	return ret;
}

static bool is_true(struct json_object *o, const char *name)
{
	bool ret = false;

	json_opt_bool(o, name, &ret, NULL);
	return ret;
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

/* "open", "closed", "2 policies, isolated", "1 policy, isolated, log only" */
static void summarize(struct json_object *pod, const char *dir)
{
	struct json_object *o = json_field(pod, dir);
	size_t n = length(json_field(o, "policies"));
	char text[64], field[32];

	snprintf(text, sizeof(text), "%s", is_true(pod, "open") ? "open" : "closed");
	if (n)
		snprintf(text, sizeof(text), "%zu polic%s%s%s", n, n == 1 ? "y" : "ies",
			 is_true(o, "isolated") ? ", isolated" : "",
			 is_true(o, "logOnly") ? ", log only" : "");
	snprintf(field, sizeof(field), "%sText", dir);
	json_add_str(pod, field, text);
}

static void print_list(const struct ctl *c, struct json_object *pods)
{
	for (size_t i = 0; i < length(pods); i++) {
		struct json_object *pod = json_object_array_get_idx(pods, i);

		if (!json_object_is_type(pod, json_type_object))
			continue;
		json_add_str(pod, "state", is_true(pod, "open") ? "known" : "closed");
		summarize(pod, "ingress");
		summarize(pod, "egress");
	}
	print_table(c->out, pod_columns, pods);
}

static void print_direction(const struct ctl *c, struct json_object *pod, const char *dir)
{
	struct json_object *o = json_field(pod, dir), *rules = json_field(o, "rules");
	struct json_object *policies = json_field(o, "policies");
	const char *log_only = is_true(o, "logOnly") ? "; what is denied passes and is logged" : "";

	if (!length(policies)) {
		fprintf(c->out, "\n%s: %s\n", dir,
			is_true(pod, "open") ? "open, no policy is about it"
					     : "closed, its policies are not known yet");
		return;
	}
	fprintf(c->out, "\n%s: %s%s\n", dir,
		is_true(o, "isolated") ? "what no rule allows is denied"
				       : "what no rule denies is allowed",
		log_only);
	for (size_t i = 0; i < length(rules); i++)
		print_text_line(c->out, "  ", str(json_object_array_get_idx(rules, i), "text"));
	for (size_t i = 0; !length(rules) && i < length(policies); i++)
		print_text_line(c->out, "  no rule of ",
				json_object_get_string(json_object_array_get_idx(policies, i))
					?: "");
}

static void print_pod(const struct ctl *c, struct json_object *pod)
{
	int64_t endpoint = 0, identity = 0;
	char title[700];

	json_opt_int(pod, "endpoint", 0, INT64_MAX, &endpoint, NULL);
	json_opt_int(pod, "identity", 0, INT64_MAX, &identity, NULL);
	snprintf(title, sizeof(title), "%s/%s: endpoint %lld, identity %lld", str(pod, "namespace"),
		 str(pod, "name"), (long long)endpoint, (long long)identity);
	print_text_line(c->out, "", title);
	if (*str(pod, "reason"))
		print_text_line(c->out, "  ", str(pod, "reason"));
	print_direction(c, pod, "ingress");
	print_direction(c, pod, "egress");
}

/* "namespace/name" of what Kubernetes takes for names (RFC 1123); hence as it is in a URL. */
static bool is_pod_name(const char *s)
{
	const char *slash = strchr(s, '/');

	return slash && slash != s && slash[1] && strlen(s) < 400 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-./") == strlen(s) &&
	       !strchr(slash + 1, '/');
}

int cmd_policies(const struct ctl *c)
{
	char path[512] = "/v1/policies";
	_json_ *pods = NULL;
	struct err e = {};
	int err;

	if (c->arg && !is_pod_name(c->arg)) {
		fprintf(c->complain, "netloom: want NAMESPACE/POD, found '%s'\n", c->arg);
		return CTL_USAGE;
	}
	if (c->arg)
		snprintf(path, sizeof(path), "/v1/policies/%s", c->arg);
	err = client_get(c, path, &pods, &e);
	if (err < 0)
		return client_complain(c, err, &e);
	if (c->json) {
		print_json(c->out, pods);
		return CTL_OK;
	}
	if (!json_object_is_type(pods, json_type_array)) {
		fprintf(c->complain, "netloom: %s: want an array\n", path);
		return CTL_FAILED;
	}
	if (!c->arg)
		print_list(c, pods);
	for (size_t i = 0; c->arg && i < length(pods); i++)
		print_pod(c, json_object_array_get_idx(pods, i));
	return CTL_OK;
}
