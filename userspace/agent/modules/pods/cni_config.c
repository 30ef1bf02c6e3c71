// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/pods/cni_config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/pods/port_mappings.h"
#include "lib/cni/cni_names.h"
#include "lib/json/json.h"

#define MAX_NAME 253 /* of Kubernetes objects, RFC 1123 subdomain */

const char *cni_verb_name(enum cni_verb verb)
{
	static const char *const names[CNI_N_VERBS] = { "ADD", "DEL", "CHECK", "GC", "STATUS" };

	return names[verb];
}

int cni_fail(struct cni_error *f, enum cni_code code, const char *details, const char *fmt, ...)
{
	va_list ap;

	f->code = code;
	va_start(ap, fmt);
	vsnprintf(f->msg, sizeof(f->msg), fmt, ap);
	va_end(ap);
	snprintf(f->details, sizeof(f->details), "%s", details ? details : "");
	return -EINVAL;
}

void cni_config_clear(struct cni_config *c)
{
	json_object_put(c->json);
	free(c->ports);
	*c = (struct cni_config){};
}

static int parse_version(struct cni_config *c, enum cni_verb verb, struct cni_error *f)
{
	static const enum cni_version since[CNI_N_VERBS] = {
		[CNI_CHECK] = CNI_0_4_0, [CNI_GC] = CNI_1_1_0, [CNI_STATUS] = CNI_1_1_0
	};
	static const char *const versions[] = CNI_VERSIONS;
	const char *v = "0.2.0";
	struct err e = {};

	if (json_opt_str(c->json, "cniVersion", &v, &e) < 0)
		return cni_fail(f, CNI_DECODE, e.msg, "network configuration is malformed");
	for (int i = 0; i < CNI_N_VERSIONS; i++) {
		if (strcmp(v, versions[i]))
			continue;
		c->version = i;
		if (c->version >= since[verb])
			return 0;
		return cni_fail(f, CNI_BAD_VERSION, NULL, "cniVersion %s does not have %s", v,
				cni_verb_name(verb));
	}
	return cni_fail(f, CNI_BAD_VERSION, NULL, "cniVersion '%.32s' is not supported", v);
}

/* ---- previous results ---- */

static int check_interface(struct json_object *intf, struct err *e)
{
	const char *s = NULL;
	int err;

	err = json_get_str(intf, "name", &s, e);
	if (!err)
		err = json_opt_str(intf, "mac", &s, e);
	if (!err)
		err = json_opt_str(intf, "sandbox", &s, e);
	return err;
}

static int check_ip(struct json_object *ip, size_t n_interfaces, struct err *e)
{
	int64_t index = 0;
	const char *s = NULL;
	struct prefix p;
	int err;

	err = json_get_str(ip, "address", &s, e);
	if (!err && prefix_parse_host(s, &p, e) < 0)
		err = err_prefix(e, "address");
	if (!err)
		err = json_opt_int(ip, "interface", 0, (int64_t)n_interfaces - 1, &index, e);
	return err;
}

static int check_prev_result(struct json_object *prev, struct err *e)
{
	struct json_object *interfaces = NULL, *ips = NULL, *routes = NULL, *dns = NULL;
	size_t n;
	int err;

	if (json_opt_array(prev, "interfaces", &interfaces, e) < 0 ||
	    json_opt_array(prev, "ips", &ips, e) < 0 ||
	    json_opt_array(prev, "routes", &routes, e) < 0 ||
	    json_opt_object(prev, "dns", &dns, e) < 0)
		return -EINVAL;
	n = interfaces ? json_object_array_length(interfaces) : 0;
	for (size_t i = 0; i < n; i++) {
		err = check_interface(json_object_array_get_idx(interfaces, i), e);
		if (err < 0)
			return err_prefix(e, "interfaces[%zu]", i);
	}
	for (size_t i = 0; ips && i < json_object_array_length(ips); i++) {
		err = check_ip(json_object_array_get_idx(ips, i), n, e);
		if (err < 0)
			return err_prefix(e, "ips[%zu]", i);
	}
	return 0;
}

/* ---- what a configuration may ask for and would not get ---- */

static bool is_empty(struct json_object *v)
{
	switch (json_object_get_type(v)) {
	case json_type_null:
		return true;
	case json_type_array:
		return json_object_array_length(v) == 0;
	case json_type_object:
		return json_object_object_length(v) == 0;
	case json_type_string:
		return json_object_get_string_len(v) == 0;
	default:
		return false;
	}
}

/* A requested address or bandwidth that is silently not given breaks the pod later and elsewhere.
 */
static int refuse_unsupported(const struct cni_config *c, struct cni_error *f)
{
	static const char *const paths[] = {
		"runtimeConfig.ips", "runtimeConfig.mac", "runtimeConfig.bandwidth",
		"args.cni.ips",	     "args.cni.mac",
	};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct json_object *v = json_path(c->json, paths[i]);

		if (!is_empty(v))
			return cni_fail(f, CNI_UNSUPPORTED_FIELD, json_text(v),
					"field %s is not supported", paths[i]);
	}
	return 0;
}

static int parse_ports(struct cni_config *c, struct cni_error *f)
{
	struct json_object *list, *runtime = NULL;
	struct err e = {};

	if (json_opt_object(c->json, "runtimeConfig", &runtime, &e) < 0)
		return cni_fail(f, CNI_BAD_CONFIG, e.msg, "network configuration is invalid");
	list = json_field(runtime, "portMappings");
	if (!list || port_mappings_parse(list, &c->ports, &c->n_ports, &e) == 0)
		return 0;
	err_set(&e, e.code, "runtimeConfig.portMappings%s", strdupa(e.msg));
	return cni_fail(f, e.code == -ENOMEM ? CNI_TRY_AGAIN : CNI_BAD_CONFIG, e.msg,
			"network configuration is invalid");
}

static int check_attachment_list(struct json_object *list, const char *name, struct err *e)
{
	if (!json_object_is_type(list, json_type_array))
		return err_set(e, -EINVAL, "%s: want an array, found %s", name,
			       json_type_word(list));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *a = json_object_array_get_idx(list, i);
		const char *s;

		if (json_get_str(a, "containerID", &s, e) < 0 ||
		    json_get_str(a, "ifname", &s, e) < 0)
			return err_prefix(e, "%s[%zu]", name, i);
	}
	return 0;
}

static const char *const attachment_lists[] = { "cni.dev/valid-attachments",
						"cni.dev/attachments" };

/*
 * Without a list everything would be garbage: an absent one is refused, an empty one is not. null
 * is libcni's empty one (a nil slice of Go).
 */
static int check_gc(const struct cni_config *c, struct cni_error *f)
{
	bool found = false;
	struct err e = {};

	for (size_t i = 0; i < ARRAY_SIZE(attachment_lists); i++) {
		struct json_object *list = NULL;

		if (!json_object_object_get_ex(c->json, attachment_lists[i], &list))
			continue;
		found = true;
		if (list && check_attachment_list(list, attachment_lists[i], &e) < 0)
			return cni_fail(f, CNI_BAD_CONFIG, e.msg,
					"network configuration is invalid");
	}
	if (!found)
		return cni_fail(f, CNI_BAD_CONFIG, NULL, "cni.dev/valid-attachments: missing");
	if (!*c->network)
		return cni_fail(f, CNI_BAD_CONFIG, NULL, "name: missing");
	return 0;
}

static int parse_fields(struct cni_config *c, enum cni_verb verb, struct cni_error *f)
{
	struct err e = {};

	c->network = "";
	if (json_opt_str(c->json, "name", &c->network, &e) < 0)
		return cni_fail(f, CNI_BAD_CONFIG, e.msg, "network configuration is invalid");
	if (*c->network && !cni_identifier_valid(c->network))
		return cni_fail(f, CNI_BAD_CONFIG, NULL, "name: '%.64s' is no network name",
				c->network);
	/* DEL and GC have to work with whatever was good enough for ADD once. */
	if (verb == CNI_GC)
		return check_gc(c, f);
	if (verb != CNI_ADD && verb != CNI_CHECK)
		return 0;
	if (json_opt_object(c->json, "dns", &c->dns, &e) < 0 ||
	    json_opt_object(c->json, "prevResult", &c->prev_result, &e) < 0)
		return cni_fail(f, CNI_BAD_CONFIG, e.msg, "network configuration is invalid");
	if (c->prev_result && check_prev_result(c->prev_result, &e) < 0)
		return cni_fail(f, CNI_BAD_CONFIG, e.msg, "prevResult is invalid");
	if (verb == CNI_CHECK && !c->prev_result)
		return cni_fail(f, CNI_BAD_CONFIG, NULL, "prevResult: missing");
	if (verb != CNI_ADD)
		return 0;
	return refuse_unsupported(c, f) ?: parse_ports(c, f);
}

int cni_config_parse(const uint8_t *text, size_t len, enum cni_verb verb, struct cni_config *ret,
		     struct cni_error *f)
{
	_cleanup_(cni_config_clear) struct cni_config c = {};
	struct err e = {};

	if (json_parse((const char *)text, len, &c.json, &e) < 0)
		return cni_fail(f, CNI_DECODE, e.msg, "network configuration is no JSON");
	if (!json_object_is_type(c.json, json_type_object))
		return cni_fail(f, CNI_DECODE, NULL,
				"network configuration: want an object, found %s",
				json_type_word(c.json));
	if (parse_version(&c, verb, f) < 0 || parse_fields(&c, verb, f) < 0)
		return -EINVAL;
	*ret = c;
	c = (struct cni_config){};
	return 0;
}

static bool list_has(struct json_object *list, const char *container_id, const char *ifname)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *a = json_object_array_get_idx(list, i);
		const char *id = "", *name = "";

		if (json_get_str(a, "containerID", &id, NULL) == 0 &&
		    json_get_str(a, "ifname", &name, NULL) == 0 && !strcmp(id, container_id) &&
		    !strcmp(name, ifname))
			return true;
	}
	return false;
}

bool cni_config_is_valid(const struct cni_config *c, const char *container_id, const char *ifname)
{
	for (size_t i = 0; i < ARRAY_SIZE(attachment_lists); i++) {
		if (list_has(json_field(c->json, attachment_lists[i]), container_id, ifname))
			return true;
	}
	return false;
}

/* ---- CNI_ARGS ---- */

void cni_args_clear(struct cni_args *a)
{
	free(a->pod_namespace);
	free(a->pod_name);
	free(a->pod_uid);
	*a = (struct cni_args){};
}

/* They become parts of etcd keys and of text for people: no slash, no blank, nothing unprintable.
 */
static bool is_object_name(const char *s, size_t len)
{
	if (len > MAX_NAME)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
		      (s[i] >= '0' && s[i] <= '9') || s[i] == '-' || s[i] == '.'))
			return false;
	}
	return true;
}

static int set_arg(char **field, const char *name, const char *value, size_t len,
		   struct cni_error *f)
{
	char *copy;

	if (!is_object_name(value, len))
		return cni_fail(f, CNI_BAD_ENV, NULL, "CNI_ARGS: %s: '%.*s' is no object name",
				name, (int)MIN(len, 64u), value);
	copy = strndup(value, len);
	if (!copy)
		return cni_fail(f, CNI_TRY_AGAIN, NULL, "out of memory");
	free(*field);
	*field = copy;
	return 0;
}

int cni_args_parse(const char *text, struct cni_args *ret, struct cni_error *f)
{
	_cleanup_(cni_args_clear) struct cni_args a = { strdup(""), strdup(""), strdup("") };
	const struct {
		const char *name;
		char **field;
	} known[] = { { "K8S_POD_NAMESPACE", &a.pod_namespace },
		      { "K8S_POD_NAME", &a.pod_name },
		      { "K8S_POD_UID", &a.pod_uid } };

	if (!a.pod_namespace || !a.pod_name || !a.pod_uid)
		return cni_fail(f, CNI_TRY_AGAIN, NULL, "out of memory");
	while (*text) {
		size_t len = strcspn(text, ";");
		const char *eq = memchr(text, '=', len);

		if (len > 0 && !eq)
			return cni_fail(f, CNI_BAD_ENV, NULL, "CNI_ARGS: '%.*s' has no value",
					(int)MIN(len, 64u), text);
		for (size_t i = 0; eq && i < ARRAY_SIZE(known); i++) {
			size_t n = eq - text;

			if (n != strlen(known[i].name) || memcmp(text, known[i].name, n))
				continue;
			if (set_arg(known[i].field, known[i].name, eq + 1, len - n - 1, f) < 0)
				return -EINVAL;
		}
		text += len + (text[len] == ';');
	}
	*ret = a;
	a = (struct cni_args){};
	return 0;
}
