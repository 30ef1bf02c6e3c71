// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/read.h"

#include <stdio.h>

#include "lib/json/json.h"

const char *read_text(const struct place *p, const char *path)
{
	const char *s = "";
	struct err e = {};

	if (json_opt_str(p->obj, path, &s, &e) < 0)
		problems_add(p->problems, "%s%s", p->at, e.msg);
	return s;
}

bool read_flag(const struct place *p, const char *path, bool otherwise)
{
	struct err e = {};

	if (json_opt_bool(p->obj, path, &otherwise, &e) < 0)
		problems_add(p->problems, "%s%s", p->at, e.msg);
	return otherwise;
}

int64_t read_number(const struct place *p, const char *path, int64_t min, int64_t max,
		    int64_t otherwise)
{
	struct err e = {};

	if (json_opt_int(p->obj, path, min, max, &otherwise, &e) < 0)
		problems_add(p->problems, "%s%s", p->at, e.msg);
	return otherwise;
}

bool read_is_for_others(const struct place *p)
{
	struct json_object *labels = json_path(p->obj, "metadata.labels");

	return json_object_is_type(labels, json_type_object) &&
	       json_object_object_get_ex(labels, "service.kubernetes.io/service-proxy-name", NULL);
}

size_t read_array(const struct place *p, const char *path, struct json_object **ret)
{
	struct err e = {};

	*ret = NULL;
	if (json_opt_array(p->obj, path, ret, &e) < 0)
		problems_add(p->problems, "%s%s", p->at, e.msg);
	return *ret ? json_object_array_length(*ret) : 0;
}

bool read_element(const struct place *p, const char *path, struct json_object *array, size_t i,
		  struct place *ret)
{
	struct json_object *o = json_object_array_get_idx(array, i);

	*ret = (struct place){ .obj = o, .problems = p->problems };
	snprintf(ret->at, sizeof(ret->at), "%s%s[%zu].", p->at, path, i);
	if (json_object_is_type(o, json_type_object))
		return true;
	problems_add(p->problems, "%s%s[%zu]: want an object, found %s", p->at, path, i,
		     json_type_word(o));
	return false;
}

static bool is_link_local(const union loom_addr *a)
{
	return addr_is_v4(a) ? a->b[12] == 169 && a->b[13] == 254
			     : a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Kubernetes refuses these for endpoints and for external addresses alike
 * (ValidateNonSpecialIP). */
static const char *not_usable(const union loom_addr *a)
{
	if (addr_is_zero(a))
		return "is unspecified";
	if (addr_is_loopback(a))
		return "is a loopback address";
	if (is_link_local(a))
		return "is a link-local address";
	if (addr_is_v4(a) ? a->b[12] >= 224 : a->b[0] == 0xff)
		return "is no unicast address";
	return NULL;
}

bool read_address(struct problems *problems, const char *at, struct json_object *value,
		  union loom_addr *ret)
{
	const char *text = json_object_get_string(value), *why;
	union loom_addr addr;
	struct err e = {};

	if (!json_object_is_type(value, json_type_string)) {
		problems_add(problems, "%s: want a string, found %s", at, json_type_word(value));
		return false;
	}
	if (addr_parse(text, &addr, &e) < 0) {
		problems_add(problems, "%s: %.200s", at, e.msg);
		return false;
	}
	why = not_usable(&addr);
	if (why) {
		problems_add(problems, "%s: '%.64s' %s", at, text, why);
		return false;
	}
	*ret = addr;
	return true;
}
