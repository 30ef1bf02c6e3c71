// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <uthash.h>

#include "ctl/ctl.h"
#include "lib/base/addr.h"
#include "lib/json/json.h"

enum name_kind { NAME_ADDR, NAME_NODE, NAME_EP };

struct name_key {
	uint32_t kind, number;
	union loom_addr addr;
};

struct name {
	struct name_key key;
	char *text;
	UT_hash_handle hh;
};

struct names {
	struct name *all;
	bool known;
	char link[IFNAMSIZ];
};

static int add(struct names *n, struct name_key key, const char *text)
{
	struct name *name;

	HASH_FIND(hh, n->all, &key, sizeof(key), name);
	if (name)
		return 0;
	name = calloc(1, sizeof(*name));
	if (!name)
		return -ENOMEM;
	name->key = key;
	name->text = strdup(text);
	if (!name->text) {
		free(name);
		return -ENOMEM;
	}
	HASH_ADD(hh, n->all, key, sizeof(key), name);
	return 0;
}

static const char *find(const struct names *n, struct name_key key)
{
	struct name *name;

	HASH_FIND(hh, n->all, &key, sizeof(key), name);
	return name ? name->text : NULL;
}

static int add_addrs(struct names *n, struct json_object *list, const char *text)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const char *s = json_object_get_string(json_object_array_get_idx(list, i));
		struct name_key key = { .kind = NAME_ADDR };
		int err;

		if (!s || addr_parse(s, &key.addr, NULL) < 0)
			continue;
		err = add(n, key, text);
		if (err < 0)
			return err;
	}
	return 0;
}

static int add_pod(struct names *n, struct json_object *pod)
{
	const char *ns = "", *pod_name = "";
	struct json_object *ips = NULL;
	char text[512];
	int64_t ep = 0;
	int err;

	json_opt_str(pod, "namespace", &ns, NULL);
	json_opt_str(pod, "name", &pod_name, NULL);
	json_opt_int(pod, "ep", 0, UINT32_MAX, &ep, NULL);
	json_opt_array(pod, "ips", &ips, NULL);
	if (!*pod_name)
		return 0;
	snprintf(text, sizeof(text), "%s/%s", ns, pod_name);
	err = add_addrs(n, ips, text);
	if (!err && ep)
		err = add(n, (struct name_key){ .kind = NAME_EP, .number = ep }, text);
	return err;
}

static int add_node(struct names *n, struct json_object *node)
{
	struct json_object *addrs = NULL;
	const char *name = "";
	int64_t id = 0;
	int err;

	json_opt_str(node, "name", &name, NULL);
	json_opt_int(node, "id", 0, UINT32_MAX, &id, NULL);
	json_opt_array(node, "addresses", &addrs, NULL);
	if (!*name)
		return 0;
	err = add_addrs(n, addrs, name);
	if (!err && id)
		err = add(n, (struct name_key){ .kind = NAME_NODE, .number = id }, name);
	return err;
}

static int ask(struct names *n, const struct ctl *c, const char *path, const char *field,
	       int (*each)(struct names *n, struct json_object *o))
{
	struct json_object *list = NULL;
	_json_ *answer = NULL;
	int err = client_get(c, path, &answer, NULL);

	if (err < 0)
		return 0;
	n->known = true;
	json_opt_array(answer, field, &list, NULL);
	for (size_t i = 0; list && !err && i < json_object_array_length(list); i++)
		err = each(n, json_object_array_get_idx(list, i));
	return err;
}

int names_new(const struct ctl *c, struct names **ret)
{
	_cleanup_(names_freep) struct names *n = calloc(1, sizeof(*n));
	int err;

	if (!n)
		return -ENOMEM;
	err = ask(n, c, "/v1/nodes", "nodes", add_node);
	if (!err && n->known)
		err = ask(n, c, "/v1/pods", "pods", add_pod);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(n);
	return 0;
}

void names_free(struct names *n)
{
	struct name *name, *next;

	if (!n)
		return;
	HASH_ITER (hh, n->all, name, next) {
		HASH_DEL(n->all, name);
		free(name->text);
		free(name);
	}
	free(n);
}

bool names_known(const struct names *n)
{
	return n->known;
}

bool names_has(const struct names *n, const char *text)
{
	for (const struct name *name = n->all; name; name = name->hh.next)
		if (strcmp(name->text, text) == 0)
			return true;
	return false;
}

static const char *of_addr(void *arg, uint32_t scope, const union loom_addr *addr)
{
	return scope ? NULL : find(arg, (struct name_key){ .kind = NAME_ADDR, .addr = *addr });
}

static const char *of_node(void *arg, uint32_t id)
{
	return find(arg, (struct name_key){ .kind = NAME_NODE, .number = id });
}

static const char *of_ep(void *arg, uint32_t ep)
{
	return find(arg, (struct name_key){ .kind = NAME_EP, .number = ep });
}

static const char *of_link(void *arg, uint32_t ifindex)
{
	return if_indextoname(ifindex, ((struct names *)arg)->link);
}

struct table_names names_resolver(struct names *n)
{
	return (struct table_names){
		.addr = of_addr, .node = of_node, .link = of_link, .ep = of_ep, .arg = n
	};
}
