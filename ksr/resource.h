/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The kinds of objects that are reflected, and where they are found: in the Kubernetes API, and in
 * etcd (api/etcd_keys.h). A new kind is a row here and a schema in schema.c.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

enum resource_id {
	RES_NAMESPACE,
	RES_NODE,
	RES_POD,
	RES_SERVICE,
	RES_ENDPOINTSLICE,
	RES_NETWORKPOLICY,
	N_RESOURCES,
};

struct resource {
	const char *word; /* in keys, logs and metrics: "pod" */
	const char *kind; /* "Pod" */
	bool namespaced;
	/* API groups in order of preference, NULL-terminated; the first that a server has is used:
	 * {"discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"} */
	const char *api_versions[3];
	const char *paths[3]; /* of the same, for all namespaces: "/api/v1/pods" */
};

const struct resource *resource_get(enum resource_id id);
/* By kind and apiVersion, any of those above; false: not one of ours. */
bool resource_find(const char *api_version, const char *kind, enum resource_id *ret);
/* By the word that keys have behind /netloom/k8s/; `key` is a whole key. */
bool resource_of_key(const char *key, enum resource_id *ret);

/*
 * The etcd key of an object, heap. -EINVAL names the field when a name is not what Kubernetes
 * allows (RFC 1123 subdomain of at most 253 characters, a label for namespaces), -ENOMEM. Nothing
 * that could lead a key astray, like '/', passes.
 */
int resource_key(enum resource_id id, const char *ns, const char *name, char **ret, struct err *e);
/* The same from an object's metadata. */
int resource_key_of(enum resource_id id, struct json_object *obj, char **ret, struct err *e);
