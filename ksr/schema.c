// SPDX-License-Identifier: Apache-2.0
#include "ksr/schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"

static int wrong(const char *want, struct json_object *found, struct err *e)
{
	return err_set(e, -EINVAL, ": want %s, found %s", want, json_type_word(found));
}

static int no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, ": out of memory");
}

/* Path parts are put in front as the recursion returns: "name", then ".", "[n]" or ": …". */
static int at(struct err *e, const char *fmt, ...) _printf_(2, 3);
static int at(struct err *e, const char *fmt, ...)
{
	char rest[sizeof(e->msg)], part[96];
	va_list ap;

	if (!e)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(part, sizeof(part), fmt, ap);
	va_end(ap);
	memcpy(rest, e->msg, sizeof(rest));
	return err_set(e, e->code, "%s%s%.400s", part, *rest == ':' || *rest == '[' ? "" : ".",
		       rest);
}

static bool has_prefix(const char *name, const char *const *prefixes)
{
	for (size_t i = 0; prefixes && prefixes[i]; i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	}
	return !prefixes;
}

static int reduce_map(const struct schema *f, struct json_object *v, struct json_object **ret,
		      struct err *e)
{
	_json_ *map = json_object_new_object();

	if (!json_object_is_type(v, json_type_object))
		return wrong("an object", v, e);
	if (!map)
		return no_memory(e);
	json_object_object_foreach(v, key, value)
	{
		if (!has_prefix(key, f->prefixes))
			continue;
		if (!json_object_is_type(value, json_type_string)) {
			wrong("a string", value, e);
			return at(e, "['%.64s']", key);
		}
		if (json_add(map, key, json_object_get(value)) < 0)
			return no_memory(e);
	}
	*ret = TAKE_PTR(map);
	return 0;
}

static int reduce_strings(struct json_object *v, struct json_object **ret, struct err *e)
{
	if (!json_object_is_type(v, json_type_array))
		return wrong("an array", v, e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		struct json_object *item = json_object_array_get_idx(v, i);

		if (!json_object_is_type(item, json_type_string)) {
			wrong("a string", item, e);
			return at(e, "[%zu]", i);
		}
	}
	*ret = json_object_get(v);
	return 0;
}

static int reduce_object(const struct schema *f, struct json_object *v, struct json_object **ret,
			 struct err *e);

static bool selected(const struct schema *f, struct json_object *item)
{
	const char *value = "";

	return !f->only_key ||
	       (json_opt_str(item, f->only_key, &value, NULL) == 0 && !strcmp(value, f->only_is));
}

static int reduce_list(const struct schema *f, struct json_object *v, struct json_object **ret,
		       struct err *e)
{
	_json_ *list = json_object_new_array();

	if (!json_object_is_type(v, json_type_array))
		return wrong("an array", v, e);
	if (!list)
		return no_memory(e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		struct json_object *item = json_object_array_get_idx(v, i), *kept = NULL;
		int err = reduce_object(f, item, &kept, e);

		if (err < 0)
			return at(e, "[%zu]", i);
		if (!selected(f, item))
			json_object_put(kept);
		else if (json_append(list, kept) < 0)
			return no_memory(e);
	}
	*ret = TAKE_PTR(list);
	return 0;
}

static int expect(struct json_object *v, enum json_type type, const char *want,
		  struct json_object **ret, struct err *e)
{
	if (!json_object_is_type(v, type))
		return wrong(want, v, e);
	*ret = json_object_get(v);
	return 0;
}

static int reduce_value(const struct schema *f, struct json_object *v, struct json_object **ret,
			struct err *e)
{
	switch (f->type) {
	case SCHEMA_STR:
		return expect(v, json_type_string, "a string", ret, e);
	case SCHEMA_INT:
		return expect(v, json_type_int, "a whole number", ret, e);
	case SCHEMA_BOOL:
		return expect(v, json_type_boolean, "true or false", ret, e);
	case SCHEMA_STR_MAP:
		return reduce_map(f, v, ret, e);
	case SCHEMA_STR_LIST:
		return reduce_strings(v, ret, e);
	case SCHEMA_OBJECT:
		return reduce_object(f, v, ret, e);
	case SCHEMA_LIST:
		return reduce_list(f, v, ret, e);
	}
	return -EINVAL;
}

static int reduce_field(const struct schema *f, struct json_object *obj, struct json_object *into,
			struct err *e)
{
	struct json_object *v = json_field(obj, f->name), *kept = NULL;
	int err = 0;

	if (v)
		err = reduce_value(f, v, &kept, e);
	else if (f->required)
		err = err_set(e, -ENOENT, ": missing");
	if (!err && v && json_add(into, f->name, kept) < 0)
		err = no_memory(e);
	return err < 0 ? at(e, "%s", f->name) : 0;
}

static bool names(const struct schema *fields, const char *name)
{
	for (const struct schema *f = fields; f && f->name; f++) {
		if (strcmp(f->name, name) == 0)
			return true;
	}
	return false;
}

static int keep_rest(const struct schema *fields, struct json_object *obj, struct json_object *into,
		     struct err *e)
{
	json_object_object_foreach(obj, key, value)
	{
		if (value && !names(fields, key) && json_add(into, key, json_object_get(value)) < 0)
			return no_memory(e);
	}
	return 0;
}

static int reduce_object(const struct schema *f, struct json_object *v, struct json_object **ret,
			 struct err *e)
{
	_json_ *kept = NULL;
	int err;

	if (!json_object_is_type(v, json_type_object))
		return wrong("an object", v, e);
	err = schema_reduce(f->sub, v, &kept, e);
	if (!err && f->whole)
		err = keep_rest(f->sub, v, kept, e);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(kept);
	return 0;
}

int schema_reduce(const struct schema *fields, struct json_object *obj, struct json_object **ret,
		  struct err *e)
{
	_json_ *into = json_object_new_object();

	if (!into)
		return no_memory(e);
	if (!json_object_is_type(obj, json_type_object))
		return wrong("an object", obj, e);
	for (const struct schema *f = fields; f && f->name; f++) {
		int err = reduce_field(f, obj, into, e);

		if (err < 0)
			return err;
	}
	*ret = TAKE_PTR(into);
	return 0;
}
