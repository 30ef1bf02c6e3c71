// SPDX-License-Identifier: Apache-2.0
#include "ksr/resource.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "lib/json/json.h"

#define MAX_NAME  253
#define MAX_LABEL 63

static const struct resource resources[N_RESOURCES] = {
	[RES_NAMESPACE] = { "namespace", "Namespace", false, { "v1" }, { "/api/v1/namespaces" } },
	[RES_NODE] = { "node", "Node", false, { "v1" }, { "/api/v1/nodes" } },
	[RES_POD] = { "pod", "Pod", true, { "v1" }, { "/api/v1/pods" } },
	[RES_SERVICE] = { "service", "Service", true, { "v1" }, { "/api/v1/services" } },
	[RES_ENDPOINTSLICE] = { "endpointslice",
				"EndpointSlice",
				true,
				{ "discovery.k8s.io/v1", "discovery.k8s.io/v1beta1" },
				{ "/apis/discovery.k8s.io/v1/endpointslices",
				  "/apis/discovery.k8s.io/v1beta1/endpointslices" } },
	[RES_NETWORKPOLICY] = { "networkpolicy",
				"NetworkPolicy",
				true,
				{ "networking.k8s.io/v1" },
				{ "/apis/networking.k8s.io/v1/networkpolicies" } },
};

const struct resource *resource_get(enum resource_id id)
{
	return &resources[id];
}

bool resource_find(const char *api_version, const char *kind, enum resource_id *ret)
{
	for (unsigned int id = 0; id < N_RESOURCES; id++) {
		const struct resource *r = &resources[id];

		if (strcmp(r->kind, kind) != 0)
			continue;
		for (size_t v = 0; r->api_versions[v]; v++) {
			if (strcmp(r->api_versions[v], api_version) == 0) {
				*ret = id;
				return true;
			}
		}
	}
	return false;
}

bool resource_of_key(const char *key, enum resource_id *ret)
{
	if (strncmp(key, KEY_K8S, strlen(KEY_K8S)) != 0)
		return false;
	key += strlen(KEY_K8S);
	for (unsigned int id = 0; id < N_RESOURCES; id++) {
		size_t n = strlen(resources[id].word);

		if (strncmp(key, resources[id].word, n) == 0 && key[n] == '/') {
			*ret = id;
			return true;
		}
	}
	return false;
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Lower-case letters, digits and '-', and between labels '.', each label framed by alphanumerics.
 */
static bool is_subdomain(const char *s, bool dots)
{
	size_t n = strlen(s);

	if (!n || n > (dots ? MAX_NAME : MAX_LABEL))
		return false;
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i == n - 1 || s[i - 1] == '.' || s[i + 1] == '.';

		if (is_alnum(s[i]) || (!edge && s[i] == '-') ||
		    (dots && s[i] == '.' && i && i < n - 1 && s[i - 1] != '.'))
			continue;
		return false;
	}
	return true;
}

int resource_key(enum resource_id id, const char *ns, const char *name, char **ret, struct err *e)
{
	const struct resource *r = &resources[id];
	char *key;

	if (!is_subdomain(name, id != RES_NAMESPACE))
		return err_set(e, -EINVAL, "metadata.name: '%.64s' is no valid name", name);
	if (r->namespaced && !is_subdomain(ns, false))
		return err_set(e, -EINVAL, "metadata.namespace: '%.64s' is no valid name", ns);
	if (asprintf(&key, KEY_K8S "%s/%s%s%s", r->word, r->namespaced ? ns : "",
		     r->namespaced ? "/" : "", name) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = key;
	return 0;
}

int resource_key_of(enum resource_id id, struct json_object *obj, char **ret, struct err *e)
{
	const char *ns = "", *name;
	int err = json_get_str(obj, "metadata.name", &name, e);

	if (!err && resources[id].namespaced)
		err = json_get_str(obj, "metadata.namespace", &ns, e);
	return err < 0 ? err : resource_key(id, ns, name, ret, e);
}
