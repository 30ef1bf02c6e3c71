// SPDX-License-Identifier: Apache-2.0
/*
 * netloom services: what the agent made of Services and their endpoints. A backend's flows are
 * counted from the pinned conntrack map, which needs root; without it the column is empty.
 */
#include <errno.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/bpf/pins.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "shared/loom_maps.h"

#define MAX_BACKENDS (1 << 22) /* an agent that says more is not believed */

#define TEXT(heading, field)                        \
	{                                           \
		heading, field, COLUMN_PLAIN, false \
	}
#define NUMBER(heading, field)                     \
	{                                          \
		heading, field, COLUMN_PLAIN, true \
	}

static const struct column service_columns[] = {
	TEXT("NAMESPACE", "namespace"),
	TEXT("NAME", "name"),
	TEXT("TYPE", "type"),
	TEXT("PORT", "portText"),
	TEXT("FRONTENDS", "frontendText"),
	NUMBER("READY", "ready"),
	NUMBER("BACKENDS", "total"),
	NUMBER("PROBLEMS", "problemCount"),
	{},
};
static const struct column frontend_columns[] = {
	{ "FRONTEND", "address", COLUMN_ENDPOINT, false },
	TEXT("KIND", "kind"),
	TEXT("PROBLEM", "problem"),
	{},
};
static const struct column backend_columns[] = {
	{ "BACKEND", "address", COLUMN_ENDPOINT, false },
	TEXT("STATE", "state"),
	TEXT("POD", "pod"),
	TEXT("NODE", "node"),
	TEXT("ZONE", "zone"),
	TEXT("LOCAL", "local"),
	NUMBER("NUMBER", "number"),
	NUMBER("FLOWS", "flows"),
	{},
};

static const char *str(struct json_object *o, const char *field)
{
	return json_object_get_string(json_field(o, field)) ?: "";
}

/* `field` as an array, NULL when it is none; borrowed. */
static struct json_object *list_of(struct json_object *o, const char *field)
{
	struct json_object *list = json_field(o, field);

	return json_object_is_type(list, json_type_array) ? list : NULL;
}

static size_t length(struct json_object *list)
{
	return list ? json_object_array_length(list) : 0;
}

/* ---- flows ---- */

/* Flows by number of backend; NULL when they can't be known. */
struct flows {
	uint32_t *v;
	size_t n;
};

static void flows_release(struct flows *f)
{
	free(f->v);
}

static int count_flow(const void *key, const void *value, void *arg)
{
	const struct loom_ct *ct = value;
	const struct flows *f = arg;

	(void)key;
	if (ct->flags & LOOM_CT_SVC && ct->backend < f->n)
		f->v[ct->backend]++;
	return 0;
}

/* One more than the highest number among the backends of `services`, which are from outside. */
static size_t numbers_end(struct json_object *services)
{
	int64_t end = 0, number;

	for (size_t i = 0; i < length(services); i++) {
		struct json_object *ports =
			list_of(json_object_array_get_idx(services, i), "ports");

		for (size_t j = 0; j < length(ports); j++) {
			struct json_object *b =
				list_of(json_object_array_get_idx(ports, j), "backends");

			for (size_t k = 0; k < length(b); k++) {
				number = 0;
				json_opt_int(json_object_array_get_idx(b, k), "number", 0,
					     MAX_BACKENDS, &number, NULL);
				end = MAX(end, number + 1);
			}
		}
	}
	return end;
}

static void count_flows(const struct ctl *c, struct json_object *services, struct flows *f)
{
	_cleanup_(closep) int fd = pin_open_map_readonly(c->bpf_dir, "loom_ct", NULL);
	struct map_shape shape;

	if (fd < 0 || map_shape(fd, &shape) < 0 || shape.value_size != sizeof(struct loom_ct))
		return;
	f->n = numbers_end(services);
	f->v = calloc(f->n + 1, sizeof(*f->v));
	if (f->v && map_walk(fd, count_flow, f) < 0) {
		free(f->v);
		f->v = NULL;
	}
}

/* ---- the list ---- */

static int64_t count_ready(struct json_object *backends)
{
	int64_t n = 0;

	for (size_t i = 0; i < length(backends); i++)
		n += strcmp(str(json_object_array_get_idx(backends, i), "state"), "ready") == 0;
	return n;
}

/* The service's own, and those of this port's frontends, which another service may have. */
static int64_t count_problems(struct json_object *svc, struct json_object *port)
{
	struct json_object *fronts = list_of(port, "frontends");
	int64_t n = length(list_of(svc, "problems"));

	for (size_t i = 0; i < length(fronts); i++)
		n += *str(json_object_array_get_idx(fronts, i), "problem") != '\0';
	return n;
}

static struct json_object *frontend_texts(struct json_object *frontends)
{
	struct json_object *texts = json_object_new_array();
	char text[160];

	for (size_t i = 0; i < length(frontends); i++) {
		struct json_object *f = json_object_array_get_idx(frontends, i);
		bool v6 = strchr(str(f, "address"), ':');

		snprintf(text, sizeof(text), "%s%s%s:%s", v6 ? "[" : "", str(f, "address"),
			 v6 ? "]" : "", str(f, "port"));
		json_append_str(texts, text);
	}
	return texts;
}

static int add_row(struct json_object *rows, struct json_object *svc, struct json_object *port)
{
	struct json_object *row = json_object_new_object();
	char text[64];
	int err;

	if (!row)
		return -ENOMEM;
	snprintf(text, sizeof(text), "%s/%s", str(port, "port"), str(port, "protocol"));
	err = json_add_str(row, "namespace", str(svc, "namespace")) ?:
	      json_add_str(row, "name", str(svc, "name")) ?:
	      json_add_str(row, "type", str(svc, "type")) ?:
	      json_add_str(row, "portText", port ? text : "-") ?:
	      json_add(row, "frontendText", frontend_texts(list_of(port, "frontends"))) ?:
	      json_add_int(row, "ready", count_ready(list_of(port, "backends"))) ?:
	      json_add_int(row, "total", length(list_of(port, "backends"))) ?:
	      json_add_int(row, "problemCount", count_problems(svc, port)) ?:
	      json_append(rows, json_object_get(row));
	json_object_put(row);
	return err;
}

static int print_list(const struct ctl *c, struct json_object *services)
{
	_json_ *rows = json_object_new_array();
	int err = rows ? 0 : -ENOMEM;

	for (size_t i = 0; i < length(services) && !err; i++) {
		struct json_object *svc = json_object_array_get_idx(services, i);
		struct json_object *ports = list_of(svc, "ports");

		if (!length(ports))
			err = add_row(rows, svc, NULL);
		for (size_t j = 0; j < length(ports) && !err; j++)
			err = add_row(rows, svc, json_object_array_get_idx(ports, j));
	}
	if (!err)
		print_table(c->out, service_columns, rows);
	return err;
}

/* ---- one service ---- */

static void complete(struct json_object *list, const struct flows *f)
{
	for (size_t i = 0; i < length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);
		int64_t number = -1;

		if (!json_object_is_type(o, json_type_object))
			continue;
		json_add(o, "addressPort", json_object_get(json_field(o, "port")));
		json_opt_int(o, "number", 0, MAX_BACKENDS, &number, NULL);
		if (f->v && number >= 0 && (size_t)number < f->n)
			json_add_int(o, "flows", f->v[number]);
	}
}

static void print_port(const struct ctl *c, struct json_object *port, const struct flows *f)
{
	char text[256];

	snprintf(text, sizeof(text), "%s/%s %s", str(port, "port"), str(port, "protocol"),
		 str(port, "name"));
	print_text_line(c->out, "\nport ", text);
	complete(list_of(port, "frontends"), f);
	complete(list_of(port, "backends"), f);
	print_table(c->out, frontend_columns, list_of(port, "frontends"));
	print_table(c->out, backend_columns, list_of(port, "backends"));
}

static void print_policy(FILE *out, struct json_object *policy)
{
	if (!json_object_is_type(policy, json_type_object))
		return;
	json_object_object_foreach(policy, name, v)
	{
		const struct column plain = { "", name, COLUMN_PLAIN, false };
		char text[512];

		(void)v;
		fprintf(out, "  %-22s", name);
		print_text_line(out, " ", column_text(&plain, policy, text, sizeof(text)));
	}
}

static void print_one(const struct ctl *c, struct json_object *svc, const struct flows *f)
{
	struct json_object *ports = list_of(svc, "ports"), *problems = list_of(svc, "problems");
	char title[700];

	snprintf(title, sizeof(title), "%s/%s: %s", str(svc, "namespace"), str(svc, "name"),
		 str(svc, "type"));
	print_text_line(c->out, "", title);
	if (*str(svc, "notServed"))
		print_text_line(c->out, "  not served: ", str(svc, "notServed"));
	print_policy(c->out, json_field(svc, "policy"));
	for (size_t i = 0; i < length(problems); i++)
		print_text_line(c->out, "  problem: ",
				json_object_get_string(json_object_array_get_idx(problems, i))
					?: "");
	for (size_t i = 0; i < length(ports); i++)
		print_port(c, json_object_array_get_idx(ports, i), f);
}

/* "namespace/name" of what Kubernetes takes for names (RFC 1123); hence as it is in a URL. */
static bool is_service_name(const char *s)
{
	const char *slash = strchr(s, '/');

	return slash && slash != s && slash[1] && strlen(s) < 400 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-./") == strlen(s) &&
	       !strchr(slash + 1, '/');
}

int cmd_services(const struct ctl *c)
{
	_cleanup_(flows_release) struct flows f = {};
	_json_ *services = NULL;
	char path[512] = "/v1/services";
	struct err e = {};
	int err;

	if (c->arg && !is_service_name(c->arg)) {
		fprintf(c->complain, "netloom: want NAMESPACE/NAME, found '%s'\n", c->arg);
		return CTL_USAGE;
	}
	if (c->arg)
		snprintf(path, sizeof(path), "/v1/services/%s", c->arg);
	err = client_get(c, path, &services, &e);
	if (err < 0)
		return client_complain(c, err, &e);
	if (c->json) {
		print_json(c->out, services);
		return CTL_OK;
	}
	if (!json_object_is_type(services, json_type_array)) {
		fprintf(c->complain, "netloom: %s: want an array\n", path);
		return CTL_FAILED;
	}
	if (!c->arg)
		return print_list(c, services) < 0 ? CTL_FAILED : CTL_OK;
	count_flows(c, services, &f);
	for (size_t i = 0; i < length(services); i++)
		print_one(c, json_object_array_get_idx(services, i), &f);
	return CTL_OK;
}
