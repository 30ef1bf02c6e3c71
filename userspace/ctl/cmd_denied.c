// SPDX-License-Identifier: Apache-2.0
/* netloom denied [NAMESPACE[/POD]]: what policy denied to whom, and how often. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/json/json.h"

#define TEXT(heading, field)                        \
	{                                           \
		heading, field, COLUMN_PLAIN, false \
	}

static const struct column columns[] = {
	TEXT("POD", "pod"),
	TEXT("DIRECTION", "direction"),
	TEXT("PEER", "peerText"),
	TEXT("PORT", "portText"),
	{ "PACKETS", "packets", COLUMN_PLAIN, true },
	TEXT("LAST", "lastText"),
	TEXT("BECAUSE", "becauseText"),
	{},
};

static const char *str(struct json_object *o, const char *name)
{
	const char *ret = NULL;

	json_opt_str(o, name, &ret, NULL);
	return ret;
}

/* "shop/client-1 (10.1.2.6)": one pod may be denied by each of its addresses. */
static void add_peer(struct json_object *o)
{
	struct json_object *peer = json_field(o, "peer");
	const char *name = str(peer, "pod") ?: str(peer, "node");
	const char *address = str(peer, "address") ?: "?";
	char text[512];

	if (name)
		snprintf(text, sizeof(text), "%s (%s)", name, address);
	json_add_str(o, "peerText", name ? text : address);
}

/* "5432/TCP", "icmp" */
static void add_port(struct json_object *o)
{
	const char *protocol = str(o, "protocol") ?: "?";
	char text[64];
	int64_t port = -1;

	json_opt_int(o, "port", 0, 65535, &port, NULL);
	if (port >= 0)
		snprintf(text, sizeof(text), "%lld/%s", (long long)port, protocol);
	else
		snprintf(text, sizeof(text), "%s", protocol);
	json_add_str(o, "portText", text);
}

static void add_last(struct json_object *o)
{
	static const struct column ago = { "", "secondsAgo", COLUMN_SECONDS, true };
	char since[32], text[48];

	column_text(&ago, o, since, sizeof(since));
	snprintf(text, sizeof(text), "%s ago", since);
	json_add_str(o, "lastText", text);
}

static void shape(struct json_object *o)
{
	const char *because = str(o, "because") ?: "?";
	bool logged = false;
	char text[600];

	add_peer(o);
	add_port(o);
	add_last(o);
	json_opt_bool(o, "logged", &logged, NULL);
	snprintf(text, sizeof(text), "%s%s", logged ? "only logged: " : "", because);
	json_add_str(o, "becauseText", text);
}

static void print(const struct ctl *c, struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (json_object_is_type(o, json_type_object))
			shape(o);
	}
	print_table(c->out, columns, list);
}

/* Of what Kubernetes takes for names (RFC 1123); hence as it is in a URL. */
static bool is_namespace_or_pod(const char *s)
{
	const char *slash = strchr(s, '/');

	return *s && *s != '/' && strlen(s) < 400 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-./") == strlen(s) &&
	       (!slash || (slash[1] && !strchr(slash + 1, '/')));
}

int cmd_denied(const struct ctl *c)
{
	char path[512] = "/v1/denied";
	_json_ *list = NULL;
	struct err e = {};
	int err;

	if (c->arg && !is_namespace_or_pod(c->arg)) {
		fprintf(c->complain, "netloom: want NAMESPACE or NAMESPACE/POD, found '");
		print_text(c->complain, c->arg);
		fputs("'\n", c->complain);
		return CTL_USAGE;
	}
	if (c->arg)
		snprintf(path, sizeof(path), "/v1/denied/%s", c->arg);
	err = client_get(c, path, &list, &e);
	if (err < 0)
		return client_complain(c, err, &e);
	if (!json_object_is_type(list, json_type_array)) {
		fprintf(c->complain, "netloom: %s: want an array\n", path);
		return CTL_FAILED;
	}
	if (c->json)
		print_json(c->out, list);
	else
		print(c, list);
	return CTL_OK;
}
