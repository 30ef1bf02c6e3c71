// SPDX-License-Identifier: Apache-2.0
#include "ksr/shape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/json.h"

/* Where we are, from the inside out; only said when something is wrong. */
struct at {
	const struct at *up;
	const char *name; /* NULL: an element of a list */
	size_t index;
};

static int copy_value(const struct shape *s, struct json_object *v, const struct at *at,
		      struct json_object **ret, struct err *e);

static void put_path(FILE *f, const struct at *at)
{
	if (at->up)
		put_path(f, at->up);
	if (at->name)
		fprintf(f, "%s%.128s", at->up ? "." : "", at->name);
	else
		fprintf(f, "[%zu]", at->index);
}

static int refuse(const struct at *at, struct err *e, const char *fmt, ...) _printf_(3, 4);
static int refuse(const struct at *at, struct err *e, const char *fmt, ...)
{
	char path[256] = "", what[200];
	FILE *f = fmemopen(path, sizeof(path), "w");
	va_list ap;

	if (f) {
		put_path(f, at);
		fclose(f);
	}
	path[sizeof(path) - 1] = 0;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, -EINVAL, "%s: %s", path, what);
}

static int want(const struct at *at, const char *what, struct json_object *v, struct err *e)
{
	return refuse(at, e, "want %s, found %s", what, json_type_word(v));
}

static int copy_fields(const struct shape *shape, struct json_object *obj, const struct at *up,
		       struct json_object **ret, struct err *e);

static bool is_text(struct json_object *v)
{
	return json_object_is_type(v, json_type_string);
}

static int copy_str(struct json_object *v, const struct at *at, struct json_object **ret,
		    struct err *e)
{
	const char *text;
	int len;

	if (!is_text(v))
		return want(at, "a string", v, e);
	text = json_object_get_string(v);
	len = json_object_get_string_len(v);
	if ((size_t)len != strlen(text))
		return refuse(at, e, "holds a NUL character");
	*ret = json_object_new_string_len(text, len);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int copy_int(const struct shape *s, struct json_object *v, const struct at *at,
		    struct json_object **ret, struct err *e)
{
	int64_t n = json_object_get_int64(v);

	if (!json_object_is_type(v, json_type_int))
		return want(at, "a whole number", v, e);
	if (n < s->min || n > s->max)
		return refuse(at, e, "%lld is not in %lld..%lld", (long long)n, (long long)s->min,
			      (long long)s->max);
	*ret = json_object_new_int64(n);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int copy_bool(struct json_object *v, const struct at *at, struct json_object **ret,
		     struct err *e)
{
	if (!json_object_is_type(v, json_type_boolean))
		return want(at, "true or false", v, e);
	*ret = json_object_new_boolean(json_object_get_boolean(v));
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static bool is_kept(const char *const *only, const char *name)
{
	if (!only)
		return true;
	for (; *only; only++) {
		size_t n = strlen(*only);

		if ((*only)[n - 1] == '*' ? strncmp(name, *only, n - 1) == 0
					  : strcmp(name, *only) == 0)
			return true;
	}
	return false;
}

static int copy_map(const struct shape *s, struct json_object *v, const struct at *at,
		    struct json_object **ret, struct err *e)
{
	_json_ *map = json_object_new_object();
	int err;

	if (!map)
		return err_set(e, -ENOMEM, "out of memory");
	if (!json_object_is_type(v, json_type_object))
		return want(at, "an object", v, e);
	json_object_object_foreach(v, name, value)
	{
		struct json_object *copy = NULL;

		if (!is_kept(s->only, name))
			continue;
		err = copy_str(value, &(struct at){ .up = at, .name = name }, &copy, e);
		if (err < 0)
			return err;
		if (json_add(map, name, copy) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(map);
	return 0;
}

static int copy_item(const struct shape *s, struct json_object *v, const struct at *at,
		     struct json_object **ret, struct err *e)
{
	if (s->type == SHAPE_STRS)
		return copy_str(v, at, ret, e);
	if (!json_object_is_type(v, json_type_object))
		return want(at, "an object", v, e);
	return copy_fields(s->fields, v, at, ret, e);
}

static bool item_is_kept(const struct shape *s, struct json_object *item)
{
	struct json_object *type = json_field(item, "type");

	return s->type == SHAPE_STRS || !s->only ||
	       (is_text(type) && is_kept(s->only, json_object_get_string(type)));
}

static int copy_list(const struct shape *s, struct json_object *v, const struct at *at,
		     struct json_object **ret, struct err *e)
{
	_json_ *list = json_object_new_array();
	int err;

	if (!list)
		return err_set(e, -ENOMEM, "out of memory");
	if (!json_object_is_type(v, json_type_array))
		return want(at, "a list", v, e);
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		struct json_object *item = json_object_array_get_idx(v, i), *copy = NULL;

		if (!item_is_kept(s, item))
			continue;
		err = copy_item(s, item, &(struct at){ .up = at, .index = i }, &copy, e);
		if (err < 0)
			return err;
		if (json_append(list, copy) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(list);
	return 0;
}

static int copy_value(const struct shape *s, struct json_object *v, const struct at *at,
		      struct json_object **ret, struct err *e)
{
	switch (s->type) {
	case SHAPE_STR:
		return copy_str(v, at, ret, e);
	case SHAPE_INT:
		return copy_int(s, v, at, ret, e);
	case SHAPE_BOOL:
		return copy_bool(v, at, ret, e);
	case SHAPE_INT_OR_STR:
		return is_text(v) ? copy_str(v, at, ret, e) : copy_int(s, v, at, ret, e);
	case SHAPE_MAP:
		return copy_map(s, v, at, ret, e);
	case SHAPE_STRS:
	case SHAPE_LIST:
		return copy_list(s, v, at, ret, e);
	case SHAPE_OBJ:
		return copy_item(s, v, at, ret, e);
	}
	return err_set(e, -EINVAL, "unknown shape");
}

static bool is_empty(struct json_object *v)
{
	return json_object_is_type(v, json_type_array) ? !json_object_array_length(v)
						       : !json_object_object_length(v);
}

static int copy_fields(const struct shape *shape, struct json_object *obj, const struct at *up,
		       struct json_object **ret, struct err *e)
{
	_json_ *to = json_object_new_object();
	int err;

	if (!to)
		return err_set(e, -ENOMEM, "out of memory");
	for (const struct shape *s = shape; s->name; s++) {
		struct json_object *v = json_field(obj, s->name), *copy = NULL;
		const struct at at = { .up = up, .name = s->name };

		if (!v && s->required)
			return refuse(&at, e, "missing");
		if (!v)
			continue;
		err = copy_value(s, v, &at, &copy, e);
		if (err < 0)
			return err;
		if (s->only && is_empty(copy)) {
			json_object_put(copy);
			continue;
		}
		if (json_add(to, s->name, copy) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	}
	*ret = TAKE_PTR(to);
	return 0;
}

int shape_copy(const struct shape *shape, struct json_object *obj, struct json_object **ret,
	       struct err *e)
{
	return copy_fields(shape, obj, NULL, ret, e);
}
