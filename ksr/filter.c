// SPDX-License-Identifier: Apache-2.0
#include "ksr/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ksr/schema.h"
#include "lib/json/json.h"

#define END                  \
	{                    \
		.name = NULL \
	}
#define STR(n)                                \
	{                                     \
		.name = n, .type = SCHEMA_STR \
	}
#define INT(n)                                \
	{                                     \
		.name = n, .type = SCHEMA_INT \
	}
#define BOOL(n)                                \
	{                                      \
		.name = n, .type = SCHEMA_BOOL \
	}
#define STRS(n)                                    \
	{                                          \
		.name = n, .type = SCHEMA_STR_LIST \
	}
#define OBJECT(n, s)                                       \
	{                                                  \
		.name = n, .type = SCHEMA_OBJECT, .sub = s \
	}
#define LIST(n, s)                                       \
	{                                                \
		.name = n, .type = SCHEMA_LIST, .sub = s \
	}
#define WHOLE(n, s)                                                       \
	{                                                                 \
		.name = n, .type = SCHEMA_OBJECT, .sub = s, .whole = true \
	}
#define WHOLE_LIST(n, s)                                                \
	{                                                               \
		.name = n, .type = SCHEMA_LIST, .sub = s, .whole = true \
	}

/* Annotations that netloom reads: its own, and networks of the Network Plumbing Working Group. */
static const char *const our_annotations[] = { "netloom.io/", "k8s.v1.cni.cncf.io/", NULL };

static const struct schema metadata[] = {
	{ .name = "name", .type = SCHEMA_STR, .required = true },
	STR("namespace"),
	STR("uid"),
	STR("resourceVersion"),
	{ .name = "labels", .type = SCHEMA_STR_MAP },
	{ .name = "annotations", .type = SCHEMA_STR_MAP, .prefixes = our_annotations },
	END,
};
#define METADATA                                                                             \
	{                                                                                    \
		.name = "metadata", .type = SCHEMA_OBJECT, .sub = metadata, .required = true \
	}

/* ---- pod ---- */

static const struct schema container_port[] = { STR("name"),	 INT("containerPort"),
						INT("hostPort"), STR("hostIP"),
						STR("protocol"), END };
static const struct schema container[] = { STR("name"), LIST("ports", container_port), END };
static const struct schema pod_spec[] = { STR("nodeName"), BOOL("hostNetwork"),
					  LIST("containers", container), END };
static const struct schema ip[] = { STR("ip"), END };
static const struct schema condition[] = { STR("type"), STR("status"), END };
static const struct schema pod_status[] = {
	STR("phase"),
	STR("podIP"),
	LIST("podIPs", ip),
	STR("hostIP"),
	{ .name = "conditions",
	  .type = SCHEMA_LIST,
	  .sub = condition,
	  .only_key = "type",
	  .only_is = "Ready" },
	END,
};
static const struct schema pod[] = { METADATA, OBJECT("spec", pod_spec),
				     OBJECT("status", pod_status), END };

/* ---- node, namespace ---- */

static const struct schema node_spec[] = { STR("podCIDR"), STRS("podCIDRs"), END };
static const struct schema node_address[] = { STR("type"), STR("address"), END };
static const struct schema node_status[] = { LIST("addresses", node_address), END };
static const struct schema node[] = { METADATA, OBJECT("spec", node_spec),
				      OBJECT("status", node_status), END };
static const struct schema namespace[] = { METADATA, END };

/* ---- service ---- */

static const struct schema service_port[] = { STR("name"), STR("protocol"), INT("port"),
					      INT("nodePort"), END };
static const struct schema service_spec[] = {
	STR("type"),
	STR("clusterIP"),
	STRS("clusterIPs"),
	STRS("externalIPs"),
	{ .name = "selector", .type = SCHEMA_STR_MAP },
	WHOLE_LIST("ports", service_port),
	END,
};
static const struct schema service_status[] = { WHOLE("loadBalancer", NULL), END };
static const struct schema service[] = { METADATA, WHOLE("spec", service_spec),
					 OBJECT("status", service_status), END };

/* ---- endpointslice ---- */

static const struct schema endpoint_conditions[] = { BOOL("ready"), BOOL("serving"),
						     BOOL("terminating"), END };
static const struct schema endpoint[] = { STRS("addresses"),
					  WHOLE("conditions", endpoint_conditions), STR("nodeName"),
					  WHOLE("targetRef", NULL), END };
static const struct schema endpoint_port[] = { STR("name"), STR("protocol"), INT("port"), END };
static const struct schema endpointslice[] = { METADATA, STR("addressType"),
					       WHOLE_LIST("endpoints", endpoint),
					       WHOLE_LIST("ports", endpoint_port), END };

/* ---- networkpolicy ---- */

static const struct schema policy_spec[] = { WHOLE("podSelector", NULL), STRS("policyTypes"),
					     WHOLE_LIST("ingress", NULL),
					     WHOLE_LIST("egress", NULL), END };
static const struct schema networkpolicy[] = { METADATA, WHOLE("spec", policy_spec), END };

static const struct schema *const schemas[N_RESOURCES] = {
	[RES_NAMESPACE] = namespace,
	[RES_NODE] = node,
	[RES_POD] = pod,
	[RES_SERVICE] = service,
	[RES_ENDPOINTSLICE] = endpointslice,
	[RES_NETWORKPOLICY] = networkpolicy,
};

/* In discovery.k8s.io/v1beta1 an endpoint's node is a label of its topology. */
static int modernize_endpoints(struct json_object *slice)
{
	struct json_object *endpoints = json_field(slice, "endpoints");

	for (size_t i = 0; endpoints && i < json_object_array_length(endpoints); i++) {
		struct json_object *ep = json_object_array_get_idx(endpoints, i);
		struct json_object *host =
			json_field(json_field(ep, "topology"), "kubernetes.io/hostname");

		if (!host || json_field(ep, "nodeName"))
			continue;
		if (json_add(ep, "nodeName", json_object_get(host)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int write_value(struct json_object *obj, char **ret, struct err *e)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		obj, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	if (text && len > FILTER_MAX_VALUE)
		return err_set(e, -E2BIG, "%zu bytes where at most %u can be kept", len,
			       FILTER_MAX_VALUE);
	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int filter_object(enum resource_id id, struct json_object *obj, struct filtered *ret, struct err *e)
{
	_cleanup_(freep) char *key = NULL;
	_json_ *kept = NULL;
	char *value = NULL;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = resource_key_of(id, obj, &key, e);
	if (!err)
		err = schema_reduce(schemas[id], obj, &kept, e);
	if (!err && id == RES_ENDPOINTSLICE && modernize_endpoints(kept) < 0)
		err = err_set(e, -ENOMEM, "out of memory");
	if (!err)
		err = write_value(kept, &value, e);
	if (err < 0)
		return err;
	ret->key = TAKE_PTR(key);
	ret->value = value;
	return 0;
}

void filtered_clear(struct filtered *f)
{
	free(f->key);
	free(f->value);
	*f = (struct filtered){};
}

#define VERSION_FIELD "\"resourceVersion\":\""

/*
 * Where the version's text begins and ends. In what schema_reduce() wrote, only name, namespace and
 * uid stand before it, in whose JSON text an unescaped quote cannot stand; labels come behind.
 */
static bool find_version(const char *s, size_t *begin, size_t *end)
{
	const char *labels = strstr(s, "\"labels\":{"), *at = strstr(s, VERSION_FIELD);

	if (!at || (labels && labels < at))
		return false;
	at += strlen(VERSION_FIELD);
	*begin = at - s;
	*end = *begin + strcspn(at, "\"\\");
	return true;
}

bool filter_same(const char *a, const char *b)
{
	size_t a_begin, a_end, b_begin, b_end;

	if (!find_version(a, &a_begin, &a_end) || !find_version(b, &b_begin, &b_end))
		return strcmp(a, b) == 0;
	return a_begin == b_begin && memcmp(a, b, a_begin) == 0 &&
	       strcmp(a + a_end, b + b_end) == 0;
}

static void put_printable(FILE *f, const char *s)
{
	for (size_t i = 0; s[i] && i < 80; i++)
		fputc(isprint((unsigned char)s[i]) ? s[i] : '?', f);
}

const char *filter_describe(enum resource_id id, struct json_object *obj, char *buf, size_t len)
{
	const char *ns = "", *name = "(no name)";
	FILE *f = fmemopen(buf, len, "w");

	if (!f)
		return resource_get(id)->kind;
	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	json_opt_str(obj, "metadata.name", &name, NULL);
	fprintf(f, "%s ", resource_get(id)->kind);
	put_printable(f, ns);
	if (*ns)
		fputc('/', f);
	put_printable(f, name);
	fclose(f);
	buf[len - 1] = 0;
	return buf;
}
