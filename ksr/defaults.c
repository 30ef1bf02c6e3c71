// SPDX-License-Identifier: Apache-2.0
#include "ksr/defaults.h"

#include <errno.h>
#include <string.h>

#include "lib/json/json.h"

static struct json_object *object(struct json_object *parent, const char *name)
{
	struct json_object *v = json_field(parent, name);

	return v && json_object_is_type(v, json_type_object) ? v : NULL;
}

static size_t list_len(struct json_object *parent, const char *name, struct json_object **ret)
{
	*ret = json_field(parent, name);
	return *ret && json_object_is_type(*ret, json_type_array) ? json_object_array_length(*ret)
								  : 0;
}

static int set_str(struct json_object *obj, const char *name, const char *value)
{
	if (!obj || !json_object_is_type(obj, json_type_object) || json_field(obj, name))
		return 0;
	return json_add_str(obj, name, value);
}

static int fill_protocols(struct json_object *parent, const char *name)
{
	struct json_object *list;
	size_t n = list_len(parent, name, &list);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = set_str(json_object_array_get_idx(list, i), "protocol", "TCP");
	return err;
}

static int each(struct json_object *parent, const char *name, const char *ports)
{
	struct json_object *list;
	size_t n = list_len(parent, name, &list);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		err = fill_protocols(json_object_array_get_idx(list, i), ports);
	return err;
}

static int fill_pod(struct json_object *obj)
{
	struct json_object *spec = object(obj, "spec");

	return each(spec, "containers", "ports") ?: each(spec, "initContainers", "ports");
}

static int fill_target_ports(struct json_object *spec)
{
	struct json_object *list;
	size_t n = list_len(spec, "ports", &list);
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct json_object *port = json_field(item, "port");

		if (port && !json_field(item, "targetPort"))
			err = json_add(item, "targetPort", json_object_get(port));
	}
	return err;
}

/* A given clusterIP stands in clusterIPs too. */
static int fill_cluster_ips(struct json_object *spec)
{
	struct json_object *ip = json_field(spec, "clusterIP"), *list;

	if (!ip || json_field(spec, "clusterIPs"))
		return 0;
	list = json_object_new_array();
	if (!list)
		return -ENOMEM;
	if (json_append(list, json_object_get(ip)) < 0) {
		json_object_put(list);
		return -ENOMEM;
	}
	return json_add(spec, "clusterIPs", list);
}

static int fill_service(struct json_object *obj)
{
	struct json_object *spec = object(obj, "spec");
	int err = set_str(spec, "type", "ClusterIP");

	err = err ?: set_str(spec, "sessionAffinity", "None");
	err = err ?: set_str(spec, "internalTrafficPolicy", "Cluster");
	err = err ?: fill_protocols(spec, "ports");
	err = err ?: fill_target_ports(spec);
	return err ?: spec ? fill_cluster_ips(spec) : 0;
}

/* Ingress always, Egress where there are rules for it. What is no list is for others to refuse. */
static int fill_policy_types(struct json_object *spec)
{
	struct json_object *types, *rules;
	int err;

	if (json_field(spec, "policyTypes") &&
	    (!json_object_is_type(json_field(spec, "policyTypes"), json_type_array) ||
	     list_len(spec, "policyTypes", &types)))
		return 0;
	types = json_object_new_array();
	if (!types)
		return -ENOMEM;
	err = json_append_str(types, "Ingress");
	if (!err && list_len(spec, "egress", &rules))
		err = json_append_str(types, "Egress");
	if (err < 0) {
		json_object_put(types);
		return err;
	}
	return json_add(spec, "policyTypes", types);
}

static int fill_policy(struct json_object *obj)
{
	struct json_object *spec = object(obj, "spec");
	int err;

	if (!spec)
		return 0;
	err = each(spec, "ingress", "ports") ?: each(spec, "egress", "ports");
	return err ?: fill_policy_types(spec);
}

/* What policies select namespaces by. */
static int fill_namespace(struct json_object *obj)
{
	struct json_object *meta = object(obj, "metadata"), *labels = NULL;
	const char *name = NULL;
	int err = 0;

	if (json_opt_str(meta, "name", &name, NULL) < 0 || !name)
		return 0;
	if (!json_field(meta, "labels")) {
		labels = json_object_new_object();
		err = labels ? json_add(meta, "labels", labels) : -ENOMEM;
	}
	return err ?: set_str(object(meta, "labels"), "kubernetes.io/metadata.name", name);
}

int defaults_fill(enum kind kind, struct json_object *obj)
{
	switch (kind) {
	case KIND_NAMESPACE:
		return fill_namespace(obj);
	case KIND_POD:
		return fill_pod(obj);
	case KIND_SERVICE:
		return fill_service(obj);
	case KIND_ENDPOINTSLICE:
		return fill_protocols(obj, "ports");
	case KIND_NETWORKPOLICY:
		return fill_policy(obj);
	default:
		return 0;
	}
}
