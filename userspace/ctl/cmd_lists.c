// SPDX-License-Identifier: Apache-2.0
/* Commands that show one list of the agent's: nodes, pods, ipam, history; and version. */
#include <errno.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"
#include "version.h"

#define TEXT(heading, field)                        \
	{                                           \
		heading, field, COLUMN_PLAIN, false \
	}
#define NUMBER(heading, field)                     \
	{                                          \
		heading, field, COLUMN_PLAIN, true \
	}

static const struct column node_columns[] = {
	NUMBER("ID", "id"),
	TEXT("NAME", "name"),
	TEXT("STATE", "state"),
	TEXT("ADDRESSES", "addresses"),
	TEXT("POD CIDRS", "podCIDRs"),
	TEXT("TRANSPORT", "transport"),
	TEXT("VERSION", "version"),
	TEXT("", "note"),
	{},
};
static const struct column pod_columns[] = {
	TEXT("NAMESPACE", "namespace"),
	TEXT("NAME", "name"),
	TEXT("STATE", "state"),
	TEXT("IPS", "ips"),
	TEXT("LINK", "hostInterface"),
	NUMBER("EP", "ep"),
	NUMBER("MTU", "mtu"),
	TEXT("SINCE", "sinceText"),
	{},
};
static const struct column pool_columns[] = {
	TEXT("POOL", "cidr"),	      NUMBER("CAPACITY", "capacity"), NUMBER("USED", "used"),
	NUMBER("RESTING", "resting"), NUMBER("FREE", "free"),	      {},
};
static const struct column allocation_columns[] = {
	TEXT("IPS", "ips"),
	TEXT("STATE", "state"),
	TEXT("OWNER", "ownerText"),
	{ "RESTS FOR", "restSeconds", COLUMN_SECONDS, true },
	{},
};
static const struct column history_columns[] = {
	NUMBER("SEQ", "seq"),	    TEXT("TIME", "time"),
	TEXT("EVENT", "event"),	    NUMBER("MS", "ms"),
	TEXT("CHANGES", "changes"), TEXT("RESULT", "result"),
	TEXT("WHAT", "what"),	    {},
};

/* `field` of the answer as an array, empty when it is absent; borrowed. */
static struct json_object *list_of(struct json_object *answer, const char *field)
{
	struct json_object *list = json_field(answer, field);

	return json_object_is_type(list, json_type_array) ? list : NULL;
}

static void each(struct json_object *list, void (*fn)(struct json_object *o))
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_object))
			fn(o);
	}
}

/* Fetches, and prints as JSON when that is asked for: 1 when there is something left to print. */
static int fetch(const struct ctl *c, const char *path, struct json_object **ret, int *exit_code)
{
	struct err e = {};
	int err = client_get(c, path, ret, &e);

	*exit_code = CTL_OK;
	if (err < 0) {
		*exit_code = client_complain(c, err, &e);
		return 0;
	}
	if (c->json)
		print_json(c->out, *ret);
	return !c->json;
}

static void note_node(struct json_object *node)
{
	const char *reason = NULL;
	bool here = false;

	json_opt_bool(node, "thisNode", &here, NULL);
	json_opt_bool(node, "self", &here, NULL);
	json_opt_str(node, "reason", &reason, NULL);
	if (reason)
		json_add_str(node, "note", reason);
	else
		json_add_str(node, "note", here ? "this node" : " ");
}

int cmd_nodes(const struct ctl *c)
{
	_json_ *answer = NULL;
	int code;

	if (fetch(c, "/v1/nodes", &answer, &code)) {
		each(list_of(answer, "nodes"), note_node);
		print_table(c->out, node_columns, list_of(answer, "nodes"));
	}
	return code;
}

static void time_pod(struct json_object *pod)
{
	char text[64];

	json_add_str(pod, "sinceText", print_time(json_field(pod, "since"), text, sizeof(text)));
}

int cmd_pods(const struct ctl *c)
{
	_json_ *answer = NULL;
	int code;

	if (fetch(c, "/v1/pods", &answer, &code)) {
		each(list_of(answer, "pods"), time_pod);
		print_table(c->out, pod_columns, list_of(answer, "pods"));
	}
	return code;
}

/* The pod, where the runtime named one; else the container. */
static void name_owner(struct json_object *allocation)
{
	const char *owner = NULL, *ns = "", *pod = NULL;
	char text[512];

	json_opt_str(allocation, "owner", &owner, NULL);
	json_opt_str(allocation, "namespace", &ns, NULL);
	json_opt_str(allocation, "pod", &pod, NULL);
	if (pod) {
		snprintf(text, sizeof(text), "%s/%s", ns, pod);
		owner = text;
	}
	if (owner)
		json_add_str(allocation, "ownerText", owner);
}

int cmd_ipam(const struct ctl *c)
{
	_json_ *answer = NULL;
	int code;

	if (fetch(c, "/v1/ipam", &answer, &code)) {
		each(list_of(answer, "allocations"), name_owner);
		print_table(c->out, pool_columns, list_of(answer, "pools"));
		fputc('\n', c->out);
		print_table(c->out, allocation_columns, list_of(answer, "allocations"));
	}
	return code;
}

/* "3 created, 1 failed" of an object of counts. */
static void changes_text(struct json_object *counts, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	if (!json_object_is_type(counts, json_type_object))
		return;
	json_object_object_foreach(counts, what, n)
	{
		if (json_object_get_int64(n) > 0 && at < len)
			at += snprintf(buf + at, len - at, "%s%lld %s", at ? ", " : "",
				       (long long)json_object_get_int64(n), what);
	}
}

/* The event's own error, or the first one of what it set off. */
static const char *first_error(struct json_object *record)
{
	static const char *const lists[] = { "handlers", "operations" };
	const char *error = NULL;

	json_opt_str(record, "error", &error, NULL);
	for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
		struct json_object *list = list_of(record, lists[l]);

		for (size_t i = 0; list && !error && i < json_object_array_length(list); i++)
			json_opt_str(json_object_array_get_idx(list, i), "error", &error, NULL);
	}
	return error && *error ? error : NULL;
}

static void shape_history(struct json_object *record)
{
	const char *error = first_error(record);
	char text[256];
	int64_t us = 0;

	json_opt_int(record, "us", 0, INT64_MAX, &us, NULL);
	snprintf(text, sizeof(text), "%lld.%lld", (long long)us / 1000, (long long)us / 100 % 10);
	json_add_str(record, "ms", text);
	json_add_str(record, "time", print_time(json_field(record, "startMs"), text, sizeof(text)));
	json_add_str(record, "result", error ?: "ok");
	changes_text(json_field(record, "items"), text, sizeof(text));
	json_add_str(record, "changes", text);
	if (json_field(record, "what"))
		json_add_str(record, "what",
			     json_object_to_json_string_ext(
				     json_field(record, "what"),
				     JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

int cmd_history(const struct ctl *c)
{
	_json_ *answer = NULL;
	char path[64] = "/v1/history";
	int code;

	if (c->last)
		snprintf(path, sizeof(path), "/v1/history?last=%lu", c->last);
	if (fetch(c, path, &answer, &code)) {
		each(list_of(answer, "records"), shape_history);
		print_table(c->out, history_columns, list_of(answer, "records"));
	}
	return code;
}

/* Works without an agent: then only this program's version is known. */
int cmd_version(const struct ctl *c)
{
	_json_ *answer = NULL, *both = json_object_new_object();
	const char *agent = NULL;

	if (client_get(c, "/v1/status", &answer, NULL) == 0)
		json_opt_str(answer, "version", &agent, NULL);
	if (c->json) {
		json_add_str(both, "client", NETLOOM_VERSION);
		json_add(both, "agent", agent ? json_object_new_string(agent) : NULL);
		print_json(c->out, both);
		return CTL_OK;
	}
	fprintf(c->out, "netloom %s\nagent   %s\n", NETLOOM_VERSION,
		agent ?: "can't be reached, so its version is not known");
	return CTL_OK;
}
