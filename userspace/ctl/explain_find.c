// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "ctl/explain.h"
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

/* A pod, of any node, that a service has for a backend. */
struct found_pod {
	union loom_addr addr;
	const char *name; /* in f->services */
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
	struct found_pod *pod, *next;

	HASH_ITER (hh, f->pods, pod, next) {
		HASH_DEL(f->pods, pod);
		free(pod);
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

static int index_pod(struct json_object *backend, void *arg)
{
	struct found *f = arg;
	struct found_pod *pod;
	union loom_addr addr;

	if (!*str(backend, "pod") || addr_parse(str(backend, "address"), &addr, NULL) < 0)
		return 0;
	HASH_FIND(hh, f->pods, &addr, sizeof(addr), pod);
	if (pod)
		return 0;
	pod = calloc(1, sizeof(*pod));
	if (!pod)
		return 1;
	pod->addr = addr;
	pod->name = str(backend, "pod");
	HASH_ADD(hh, f->pods, addr, sizeof(addr), pod);
	return 0;
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
	if (ask->has_proto && strcmp(str(port, "protocol"), proto_text(ask->proto)) != 0)
		return false;
	if (*ask->port_name)
		return strcmp(str(port, "name"), ask->port_name) == 0;
	if (!ask->port)
		return n_ports == 1;
	return json_object_get_int64(json_field(port, "port")) == ask->port;
}

static int no_port(struct json_object *ports, const struct ask *ask, struct err *e)
{
	char list[256] = "";
	size_t used = 0;

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
	ask->proto = strcmp(proto, "UDP") == 0	  ? IPPROTO_UDP
		     : strcmp(proto, "SCTP") == 0 ? IPPROTO_SCTP
						  : IPPROTO_TCP;
	return 0;
}

static int resolve_service(struct found *f, struct ask *ask, struct err *e)
{
	struct json_object *ports = NULL, *chosen = NULL;
	_json_ *answer = NULL;
	char path[700];
	int err;

	snprintf(path, sizeof(path), "/v1/services/%s", ask->to.text);
	err = client_get(f->c, path, &answer, e);
	if (err == -EPROTO)
		return err_set(e, -EINVAL, "there is no service '%s'", ask->to.text);
	if (err < 0)
		return err;
	for (size_t i = 0; i < length(answer) && !ports; i++)
		if (is_called(at(answer, i), ask->to.text))
			ports = json_field(at(answer, i), "ports");
	for (size_t i = 0; i < length(ports) && !chosen; i++)
		if (port_is(at(ports, i), ask, length(ports)))
			chosen = at(ports, i);
	return chosen ? take_port(chosen, ask, e) : no_port(ports, ask, e);
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
		each_backend(f, take_pod, end);
	if (!end->n)
		return err_set(e, -EINVAL,
			       "pod '%s' is not on this node, and no service knows its address: "
			       "give the address",
			       end->text);
	return 0;
}

static int resolve_name(struct found *f, struct end *end, struct err *e)
{
	bool here = strcmp(end->text, "host") == 0;
	struct json_object *nodes = NULL;
	_json_ *answer = NULL;
	int err = ask_list(f, "/v1/nodes", "nodes", &answer, &nodes, e);

	end->host = here;
	if (err < 0)
		return err;
	for (size_t i = 0; i < length(nodes); i++) {
		struct json_object *node = at(nodes, i);
		bool own = json_object_get_boolean(json_field(node, "thisNode"));

		if (here ? !own : strcmp(str(node, "name"), end->text) != 0)
			continue;
		end->host = own;
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

int found_resolve(struct found *f, struct ask *ask, struct err *e)
{
	int err = resolve_end(f, ask, &ask->from, e);

	if (!err)
		err = resolve_end(f, ask, &ask->to, e);
	if (err < 0)
		return err;
	for (size_t i = 0; i < ask->to.n; i++)
		for (size_t j = 0; j < ask->from.n; j++)
			if (addr_is_v4(&ask->to.addrs[i]) == addr_is_v4(&ask->from.addrs[j])) {
				ask->dst = ask->to.addrs[i];
				ask->src = ask->from.addrs[j];
				return 0;
			}
	return err_set(e, -EINVAL, "'%s' and '%s' have no addresses of the same family",
		       ask->from.text, ask->to.text);
}

/* ---- back to names ---- */

const char *found_addr(struct found *f, const union loom_addr *addr)
{
	const char *name = f->who.addr(f->who.arg, 0, addr);
	struct found_pod *pod = NULL;

	if (name)
		return name;
	services(f);
	HASH_FIND(hh, f->pods, addr, sizeof(*addr), pod);
	return pod ? pod->name : NULL;
}

const char *found_who(struct found *f, const union loom_addr *addr, uint16_t port,
		      char buf[static WHO_STRLEN])
{
	const char *name = found_addr(f, addr);
	char text[ADDR_STRLEN];
	bool brackets = port && !addr_is_v4(addr);
	int n;

	n = snprintf(buf, WHO_STRLEN, "%s%s%s", brackets ? "[" : "", addr_format(addr, text),
		     brackets ? "]" : "");
	if (port)
		n += snprintf(buf + n, WHO_STRLEN - n, ":%u", port);
	if (name)
		snprintf(buf + n, WHO_STRLEN - n, " (%s)", name);
	return buf;
}

const char *found_service(struct found *f, uint32_t number, char *buf, size_t len)
{
	struct json_object *all = services(f);

	for (size_t i = 0; i < length(all); i++) {
		struct json_object *svc = at(all, i), *ports = json_field(svc, "ports");

		for (size_t j = 0; j < length(ports); j++) {
			const char *port = str(at(ports, j), "name");

			if (json_object_get_int64(json_field(at(ports, j), "number")) != number)
				continue;
			snprintf(buf, len, "%s/%s%s%s", str(svc, "namespace"), str(svc, "name"),
				 *port ? ", port " : "", port);
			return buf;
		}
	}
	return NULL;
}
