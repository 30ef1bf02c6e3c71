// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "ctl/explain.h"
#include "lib/bpf/names.h"
#include "lib/json/json.h"

static const char *str(struct json_object *o, const char *field)
{
	struct json_object *v = json_field(o, field);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

static size_t length(struct json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

static struct json_object *at(struct json_object *list, size_t i)
{
	return json_object_array_get_idx(list, i);
}

/* What is at an address. */
struct found_addr {
	union loom_addr addr;
	char *name; /* NULL: the agent does not know either */
	UT_hash_handle hh;
};

int found_init(const struct ctl *c, struct found *ret)
{
	struct found f = { .c = c };
	int err = names_new(c, &f.names);

	if (err < 0)
		return err;
	f.who = names_resolver(f.names);
	*ret = f;
	return 0;
}

void found_release(struct found *f)
{
	struct found_addr *entry, *next;

	HASH_ITER (hh, f->addrs, entry, next) {
		HASH_DEL(f->addrs, entry);
		free(entry->name);
		free(entry);
	}
	names_free(f->names);
	json_object_put(f->services);
	json_object_put(f->policies);
}

static void add_addr(struct end *end, const char *text)
{
	if (end->n < ARRAY_SIZE(end->addrs) && addr_parse(text, &end->addrs[end->n], NULL) == 0)
		end->n++;
}

static void add_addrs(struct end *end, struct json_object *list)
{
	for (size_t i = 0; i < length(list); i++)
		add_addr(end, json_object_get_string(at(list, i)) ?: "");
}

static bool is_called(struct json_object *o, const char *title)
{
	const char *ns = str(o, "namespace");
	size_t len = strlen(ns);

	return strncmp(title, ns, len) == 0 && title[len] == '/' &&
	       strcmp(title + len + 1, str(o, "name")) == 0;
}

/* ---- services ---- */

static struct found_addr *keep_addr(struct found *f, const union loom_addr *addr, const char *name)
{
	struct found_addr *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->addr = *addr;
	entry->name = name ? strdup(name) : NULL;
	HASH_ADD(hh, f->addrs, addr, sizeof(*addr), entry);
	return entry;
}

static int index_pod(struct json_object *backend, void *arg)
{
	struct found *f = arg;
	struct found_addr *entry;
	union loom_addr addr;

	if (!*str(backend, "pod") || addr_parse(str(backend, "address"), &addr, NULL) < 0)
		return 0;
	HASH_FIND(hh, f->addrs, &addr, sizeof(addr), entry);
	return !entry && !keep_addr(f, &addr, str(backend, "pod"));
}

static int each_backend(struct found *f, int (*fn)(struct json_object *backend, void *arg),
			void *arg);

static struct json_object *services(struct found *f)
{
	if (f->asked || !names_known(f->names))
		return f->services;
	f->asked = true;
	client_get(f->c, "/v1/services", &f->services, NULL);
	each_backend(f, index_pod, f);
	return f->services;
}

/* All backends of all services to fn, until it returns non-zero. */
static int each_backend(struct found *f, int (*fn)(struct json_object *backend, void *arg),
			void *arg)
{
	struct json_object *all = services(f);

	for (size_t i = 0; i < length(all); i++) {
		struct json_object *ports = json_field(at(all, i), "ports");

		for (size_t j = 0; j < length(ports); j++) {
			struct json_object *b = json_field(at(ports, j), "backends");

			for (size_t k = 0; k < length(b); k++)
				if (fn(at(b, k), arg))
					return 1;
		}
	}
	return 0;
}

static int take_pod(struct json_object *backend, void *arg)
{
	struct end *end = arg;

	if (strcmp(str(backend, "pod"), end->text) != 0)
		return 0;
	for (size_t i = 0; i < end->n; i++) {
		char text[ADDR_STRLEN];

		if (strcmp(addr_format(&end->addrs[i], text), str(backend, "address")) == 0)
			return 0;
	}
	add_addr(end, str(backend, "address"));
	return 0;
}

static bool port_is(struct json_object *port, const struct ask *ask, size_t n_ports)
{
	if (ask->has_proto && strcmp(str(port, "protocol"), explain_proto_name(ask->proto)) != 0)
		return false;
	if (*ask->port_name)
		return strcmp(str(port, "name"), ask->port_name) == 0;
	if (!ask->port)
		return n_ports == 1;
	return json_object_get_int64(json_field(port, "port")) == ask->port;
}

static int no_port(struct json_object *svc, const struct ask *ask, struct err *e)
{
	struct json_object *ports = json_field(svc, "ports");
	char list[256] = "";
	size_t used = 0;

	if (!length(ports))
		return err_set(e, -EINVAL, "service '%s' is not served: %s; name one of its pods",
			       ask->to.text,
			       *str(svc, "notServed") ? str(svc, "notServed") : "it has no ports");

	for (size_t i = 0; i < length(ports) && used < sizeof(list); i++)
		used += snprintf(list + used, sizeof(list) - used, "%s%d/%s", i ? ", " : "",
				 json_object_get_int(json_field(at(ports, i), "port")),
				 str(at(ports, i), "protocol"));
	if (!ask->port && !*ask->port_name)
		return err_set(e, -EINVAL, "service '%s': say which port: %s", ask->to.text, list);
	return err_set(e, -EINVAL, "service '%s' has no such port: it has %s", ask->to.text, list);
}

static int take_port(struct json_object *port, struct ask *ask, struct err *e)
{
	struct json_object *fronts = json_field(port, "frontends");
	const char *proto = str(port, "protocol");

	for (size_t i = 0; i < length(fronts); i++)
		if (strcmp(str(at(fronts, i), "kind"), "ClusterIP") == 0)
			add_addr(&ask->to, str(at(fronts, i), "address"));
	if (!ask->to.n)
		return err_set(e, -EINVAL,
			       "service '%s' has no cluster address: name one of its pods",
			       ask->to.text);
	ask->port = json_object_get_int64(json_field(port, "port"));
	return explain_proto_parse(proto, &ask->proto) < 0
		       ? err_set(e, -EINVAL, "service '%s': protocol '%s'", ask->to.text, proto)
		       : 0;
}

static int resolve_service(struct found *f, struct ask *ask, struct err *e)
{
	struct json_object *svc = NULL, *ports, *chosen = NULL;
	_json_ *answer = NULL;
	char path[700];
	int err;

	snprintf(path, sizeof(path), "/v1/services/%s", ask->to.text);
	err = client_get(f->c, path, &answer, e);
	if (err == -EPROTO)
		return err_set(e, -EINVAL, "there is no service '%s'", ask->to.text);
	if (err < 0)
		return err;
	for (size_t i = 0; i < length(answer) && !svc; i++)
		if (is_called(at(answer, i), ask->to.text))
			svc = at(answer, i);
	ports = json_field(svc, "ports");
	for (size_t i = 0; i < length(ports) && !chosen; i++)
		if (port_is(at(ports, i), ask, length(ports)))
			chosen = at(ports, i);
	return chosen ? take_port(chosen, ask, e) : no_port(svc, ask, e);
}

/* ---- pods and nodes ---- */

static int ask_list(struct found *f, const char *path, const char *field,
		    struct json_object **ret_answer, struct json_object **ret, struct err *e)
{
	int err = client_get(f->c, path, ret_answer, e);

	if (!err)
		*ret = json_field(*ret_answer, field);
	return err;
}

/* A name that can stand in a URL as it is. */
static bool is_plain(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-./") == strlen(s);
}

/* Pods of other nodes. */
static void find_elsewhere(struct found *f, struct end *end)
{
	_json_ *answer = NULL;
	char path[700];

	if (!is_plain(end->text))
		return;
	snprintf(path, sizeof(path), "/v1/explain/where?pod=%s", end->text);
	if (client_get(f->c, path, &answer, NULL) == 0)
		add_addrs(end, json_field(answer, "addresses"));
}

static int resolve_pod(struct found *f, struct end *end, struct err *e)
{
	struct json_object *pods = NULL;
	_json_ *answer = NULL;
	int err = ask_list(f, "/v1/pods", "pods", &answer, &pods, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < length(pods); i++)
		if (is_called(at(pods, i), end->text))
			add_addrs(end, json_field(at(pods, i), "ips"));
	if (!end->n)
		find_elsewhere(f, end);
	if (!end->n)
		each_backend(f, take_pod, end);
	if (!end->n)
		return err_set(e, -EINVAL,
			       "pod '%s' is not on this node, and the agent knows no address of "
			       "it: give the address",
			       end->text);
	return 0;
}

static int resolve_name(struct found *f, struct end *end, struct err *e)
{
	bool here = strcmp(end->text, "host") == 0;
	struct json_object *nodes = NULL;
	_json_ *answer = NULL;
	int err = ask_list(f, "/v1/nodes", "nodes", &answer, &nodes, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < length(nodes); i++) {
		struct json_object *node = at(nodes, i);
		bool own = json_object_get_boolean(json_field(node, "thisNode"));

		if (here ? !own : strcmp(str(node, "name"), end->text) != 0)
			continue;
		add_addrs(end, json_field(node, "addresses"));
	}
	if (!end->n)
		return err_set(e, -EINVAL, "there is no node '%s'; a pod is NAMESPACE/NAME",
			       end->text);
	return 0;
}

static int resolve_end(struct found *f, struct ask *ask, struct end *end, struct err *e)
{
	switch (end->kind) {
	case END_POD:
		return resolve_pod(f, end, e);
	case END_NAME:
		return resolve_name(f, end, e);
	case END_SERVICE:
		return resolve_service(f, ask, e);
	default:
		return 0;
	}
}

/* Names that only the agent knows need it, and say so where it does not answer. */
int found_resolve(struct found *f, struct ask *ask, struct explain_question *ret, struct err *e)
{
	int err = resolve_end(f, ask, &ask->from, e);

	if (!err)
		err = resolve_end(f, ask, &ask->to, e);
	if (err < 0)
		return err;
	for (size_t i = 0; i < ask->to.n; i++)
		for (size_t j = 0; j < ask->from.n; j++)
			if (addr_is_v4(&ask->to.addrs[i]) == addr_is_v4(&ask->from.addrs[j])) {
				*ret = (struct explain_question){
					.src = ask->from.addrs[j],
					.dst = ask->to.addrs[i],
					.port = ask->port,
					.proto = ask->proto,
					.flow = ask->flow,
					.host = ask->from.kind == END_NAME,
				};
				return 0;
			}
	return err_set(e, -EINVAL, "'%s' and '%s' have no addresses of the same family",
		       ask->from.text, ask->to.text);
}

/* ---- back to names ---- */

/* The agent may know more than its lists have: pods of other nodes. */
static struct found_addr *ask_addr(struct found *f, const union loom_addr *addr)
{
	char path[128], text[ADDR_STRLEN];
	_json_ *answer = NULL;

	snprintf(path, sizeof(path), "/v1/explain/where?address=%s", addr_format(addr, text));
	if (names_known(f->names))
		client_get(f->c, path, &answer, NULL);
	return keep_addr(f, addr, *str(answer, "name") ? str(answer, "name") : NULL);
}

static const char *name_addr(void *arg, const union loom_addr *addr)
{
	struct found *f = arg;
	const char *name = f->who.addr(f->who.arg, 0, addr);
	struct found_addr *entry = NULL;

	if (name)
		return name;
	services(f);
	HASH_FIND(hh, f->addrs, addr, sizeof(*addr), entry);
	if (!entry)
		entry = ask_addr(f, addr);
	return entry ? entry->name : NULL;
}

static const char *name_node(void *arg, uint32_t id)
{
	struct found *f = arg;

	return f->who.node(f->who.arg, id);
}

static const char *name_service(void *arg, uint32_t number)
{
	struct found *f = arg;
	struct json_object *all = services(f);

	for (size_t i = 0; i < length(all); i++) {
		struct json_object *svc = at(all, i), *ports = json_field(svc, "ports");

		for (size_t j = 0; j < length(ports); j++) {
			const char *port = str(at(ports, j), "name");

			if (json_object_get_int64(json_field(at(ports, j), "number")) != number)
				continue;
			snprintf(f->service, sizeof(f->service), "%s/%s%s%s", str(svc, "namespace"),
				 str(svc, "name"), *port ? ", port " : "", port);
			return f->service;
		}
	}
	return NULL;
}

/* What the agent says of an endpoint's policies, asked once for both directions. */
static struct json_object *policies_of(struct found *f, uint32_t ep)
{
	const char *name = f->who.ep(f->who.arg, ep);
	_json_ *pods = NULL;
	char path[700];

	if (f->policies_ep == ep)
		return f->policies;
	json_object_put(f->policies);
	f->policies = NULL;
	f->policies_ep = ep;
	if (!name)
		return NULL;
	snprintf(path, sizeof(path), "/v1/policies/%s", name);
	client_get(f->c, path, &pods, NULL);
	for (size_t i = 0; i < length(pods) && !f->policies; i++)
		if (json_object_get_int64(json_field(at(pods, i), "endpoint")) == ep)
			f->policies = json_object_get(at(pods, i));
	return f->policies;
}

static void copy(struct json_object *to, const char *as, struct json_object *v)
{
	if (v)
		json_add(to, as, json_object_get(v));
}

static struct json_object *name_policy(void *arg, uint32_t ep, bool ingress,
				       const struct explain_rule *rule)
{
	struct json_object *pod = policies_of(arg, ep), *o = json_object_new_object();
	struct json_object *dir = json_field(pod, ingress ? "ingress" : "egress");
	struct json_object *rules = json_field(dir, "rules");

	copy(o, "reason", json_field(pod, "reason"));
	copy(o, "policy", json_field(dir, "policy"));
	copy(o, "policies", json_field(dir, "policies"));
	for (size_t i = 0; rule && i < length(rules); i++)
		if (strcmp(str(at(rules, i), "tier"), loom_tier_title(rule->tier)) == 0 &&
		    json_object_get_int64(json_field(at(rules, i), "order")) == rule->order)
			copy(o, "rule", json_field(at(rules, i), "text"));
	return o;
}

struct explain_names found_names(struct found *f)
{
	return (struct explain_names){ .addr = name_addr,
				       .node = name_node,
				       .service = name_service,
				       .policy = name_policy,
				       .arg = f };
}
