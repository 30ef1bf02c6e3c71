// SPDX-License-Identifier: Apache-2.0
#include "ksr/reduce.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/shape.h"
#include "lib/base/name.h"
#include "lib/json/json.h"

/* ---- names ---- */

static int get_name(struct json_object *obj, const char *field, bool dots, const char **ret,
		    struct err *e)
{
	char shown[48];
	size_t n = 0;
	int err = json_get_str(obj, field, ret, e);

	if (err < 0)
		return err;
	if (dots ? name_is_subdomain(*ret) : name_is_label(*ret))
		return 0;
	for (const char *c = *ret; *c && n < sizeof(shown) - 1; c++)
		shown[n++] = *c >= ' ' && *c < 127 ? *c : '?';
	shown[n] = 0;
	return err_set(e, -EINVAL, "%s: '%s' is not a DNS name in lower case", field, shown);
}

int reduce_key(enum kind kind, struct json_object *obj, char **ret, struct err *e)
{
	const struct kind_info *info = &kinds[kind];
	const char *name, *ns = "";
	struct json_object *meta;
	char *key;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "%s: want an object, found %s", info->name,
			       json_type_word(obj));
	err = json_get_object(obj, "metadata", &meta, e);
	if (!err)
		err = get_name(obj, "metadata.name", kind != KIND_NAMESPACE, &name, e);
	if (!err && info->namespaced)
		err = get_name(obj, "metadata.namespace", false, &ns, e);
	if (err < 0)
		return err_prefix(e, "%s", info->name);
	if (asprintf(&key, KEY_K8S "%s/%s%s%s", info->name, ns, *ns ? "/" : "", name) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = key;
	return 0;
}

/* ---- values ---- */

/* discovery.k8s.io/v1beta1 tells node and zone in a map. */
static void topology_fields(struct json_object *from, struct json_object *to)
{
	static const char *const fields[][2] = {
		{ "nodeName", "kubernetes.io/hostname" },
		{ "zone", "topology.kubernetes.io/zone" },
	};
	struct json_object *topology = json_field(from, "topology");

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct json_object *v = json_field(topology, fields[i][1]);

		if (v && json_object_is_type(v, json_type_string) && !json_field(to, fields[i][0]))
			json_add_str(to, fields[i][0], json_object_get_string(v));
	}
}

static void fill_topology(struct json_object *from, struct json_object *to)
{
	struct json_object *old = json_field(from, "endpoints"), *new = json_field(to, "endpoints");

	for (size_t i = 0; new &&i < json_object_array_length(new); i++)
		topology_fields(json_object_array_get_idx(old, i),
				json_object_array_get_idx(new, i));
}

static int named_error(const char *name, struct json_object *obj, struct err *e)
{
	const char *ns = "", *n = "";

	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	json_opt_str(obj, "metadata.name", &n, NULL);
	return err_prefix(e, "%s %.63s%s%.253s", name, ns, *ns ? "/" : "", n);
}

int reduce_value(enum kind kind, struct json_object *obj, char **ret, struct err *e)
{
	const struct kind_info *info = &kinds[kind];
	_json_ *value = NULL;
	const char *text;
	int err = shape_copy(info->shape, obj, &value, e);

	if (err < 0)
		return named_error(info->name, obj, e);
	if (kind == KIND_ENDPOINTSLICE)
		fill_topology(obj, value);
	text = json_text(value);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	if (strlen(text) > REDUCED_MAX_BYTES) {
		err_set(e, -E2BIG, "%zu bytes are more than the %u that etcd takes", strlen(text),
			REDUCED_MAX_BYTES);
		return named_error(info->name, obj, e);
	}
	*ret = strdup(text);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* metadata comes first, with the version before everything that users write (labels), and a quote
 * inside of a string is escaped: so the first occurrence is the field. */
static const char *version_of(const char *text, const char **ret_end)
{
	static const char field[] = "\"resourceVersion\":\"";
	const char *at = strstr(text, field), *end;

	if (!at)
		return NULL;
	end = strchr(at + strlen(field), '"');
	if (!end)
		return NULL;
	*ret_end = end;
	return at + strlen(field);
}

bool reduced_equal(const char *a, const char *b)
{
	const char *a_end = NULL, *b_end = NULL;
	const char *va = version_of(a, &a_end), *vb = version_of(b, &b_end);

	if (!va || !vb)
		return strcmp(a, b) == 0;
	return va - a == vb - b && memcmp(a, b, va - a) == 0 && strcmp(a_end, b_end) == 0;
}
