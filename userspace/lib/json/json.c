// SPDX-License-Identifier: Apache-2.0
#include "lib/json/json.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* json_tokener_free() does not take NULL. */
static void tokener_freep(struct json_tokener **tok)
{
	if (*tok)
		json_tokener_free(*tok);
}

static bool only_blanks(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!strchr(" \t\r\n", buf[i]) || !buf[i])
			return false;
	}
	return true;
}

int json_parse(const char *buf, size_t len, struct json_object **ret, struct err *e)
{
	_cleanup_(tokener_freep) struct json_tokener *tok = NULL;
	_json_ *obj = NULL;
	enum json_tokener_error jerr;
	size_t used;

	if (len > INT_MAX)
		return err_set(e, -EINVAL, "JSON text of %zu bytes is too long", len);
	if (only_blanks(buf, len))
		return err_set(e, -EINVAL, "empty where JSON was expected");
	tok = json_tokener_new_ex(JSON_MAX_DEPTH);
	if (!tok)
		return err_set(e, -ENOMEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_VALIDATE_UTF8);

	obj = json_tokener_parse_ex(tok, buf, len);
	jerr = json_tokener_get_error(tok);
	/* A bare number or literal is complete only when something ends it. */
	if (jerr == json_tokener_continue && !obj) {
		obj = json_tokener_parse_ex(tok, "\n", 1);
		jerr = json_tokener_get_error(tok);
		if (jerr == json_tokener_success) {
			*ret = TAKE_PTR(obj);
			return 0;
		}
	}
	used = json_tokener_get_parse_end(tok);
	if (jerr == json_tokener_continue)
		return err_set(e, -EINVAL, "JSON ends too early, after %zu bytes", len);
	if (jerr != json_tokener_success)
		return err_set(e, -EINVAL, "not JSON at byte %zu: %s", used,
			       json_tokener_error_desc(jerr));
	if (!only_blanks(buf + used, len - used))
		return err_set(e, -EINVAL, "bytes after the end of the JSON value, at byte %zu",
			       used);
	*ret = TAKE_PTR(obj);
	return 0;
}

struct json_object *json_field(struct json_object *obj, const char *name)
{
	struct json_object *value = NULL;

	if (!obj || !json_object_is_type(obj, json_type_object))
		return NULL;
	json_object_object_get_ex(obj, name, &value);
	return value;
}

struct json_object *json_path(struct json_object *obj, const char *path)
{
	char name[128];

	while (obj && *path) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = 0;
		obj = json_field(obj, name);
		path += n + (path[n] == '.');
	}
	return obj;
}

const char *json_type_word(struct json_object *obj)
{
	switch (json_object_get_type(obj)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "a boolean";
	case json_type_double:
	case json_type_int:
		return "a number";
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_string:
		return "a string";
	}
	return "something unknown";
}

/*
 * A parent of the wrong type is an error of its own: "metadata: want an object, found a string"
 * says more than "metadata.name: missing".
 */
static int walk(struct json_object *obj, const char *path, struct json_object **ret, struct err *e)
{
	const char *at = path;
	char name[128];

	while (*at) {
		size_t n = strcspn(at, ".");

		if (n >= sizeof(name))
			return err_set(e, -EINVAL, "%s: field name too long", path);
		if (obj && !json_object_is_type(obj, json_type_object))
			return err_set(e, -EINVAL, "%.*s: want an object, found %s",
				       at > path ? (int)(at - path - 1) : 5,
				       at > path ? path : "value", json_type_word(obj));
		memcpy(name, at, n);
		name[n] = 0;
		obj = json_field(obj, name);
		if (!obj)
			return err_set(e, -ENOENT, "%s: missing", path);
		at += n + (at[n] == '.');
	}
	*ret = obj;
	return 0;
}

static int get_typed(struct json_object *obj, const char *path, enum json_type type,
		     const char *want, struct json_object **ret, struct err *e)
{
	struct json_object *value = NULL;
	int err;

	err = walk(obj, path, &value, e);
	if (err < 0)
		return err;
	if (!json_object_is_type(value, type))
		return err_set(e, -EINVAL, "%s: want %s, found %s", path, want,
			       json_type_word(value));
	*ret = value;
	return 0;
}

int json_get_str(struct json_object *obj, const char *path, const char **ret, struct err *e)
{
	struct json_object *value;
	int err;

	err = get_typed(obj, path, json_type_string, "a string", &value, e);
	if (err < 0)
		return err;
	if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return err_set(e, -EINVAL, "%s: holds a NUL character", path);
	*ret = json_object_get_string(value);
	return 0;
}

int json_get_int(struct json_object *obj, const char *path, int64_t min, int64_t max, int64_t *ret,
		 struct err *e)
{
	struct json_object *value;
	int64_t n;
	int err;

	err = get_typed(obj, path, json_type_int, "an integer", &value, e);
	if (err < 0)
		return err;
	n = json_object_get_int64(value);
	if (n < min || n > max)
		return err_set(e, -EINVAL, "%s: %lld is not between %lld and %lld", path,
			       (long long)n, (long long)min, (long long)max);
	*ret = n;
	return 0;
}

int json_get_bool(struct json_object *obj, const char *path, bool *ret, struct err *e)
{
	struct json_object *value;
	int err;

	err = get_typed(obj, path, json_type_boolean, "true or false", &value, e);
	if (err < 0)
		return err;
	*ret = json_object_get_boolean(value);
	return 0;
}

int json_get_array(struct json_object *obj, const char *path, struct json_object **ret,
		   struct err *e)
{
	return get_typed(obj, path, json_type_array, "an array", ret, e);
}

int json_get_object(struct json_object *obj, const char *path, struct json_object **ret,
		    struct err *e)
{
	return get_typed(obj, path, json_type_object, "an object", ret, e);
}

/* An absent field is no error; what the getter said of it is taken back. */
static int optional(int err, struct err *e)
{
	if (err != -ENOENT)
		return err;
	if (e)
		*e = (struct err){};
	return 0;
}

int json_opt_str(struct json_object *obj, const char *path, const char **ret, struct err *e)
{
	return optional(json_get_str(obj, path, ret, e), e);
}

int json_opt_int(struct json_object *obj, const char *path, int64_t min, int64_t max, int64_t *ret,
		 struct err *e)
{
	return optional(json_get_int(obj, path, min, max, ret, e), e);
}

int json_opt_bool(struct json_object *obj, const char *path, bool *ret, struct err *e)
{
	return optional(json_get_bool(obj, path, ret, e), e);
}

int json_opt_array(struct json_object *obj, const char *path, struct json_object **ret,
		   struct err *e)
{
	return optional(json_get_array(obj, path, ret, e), e);
}

int json_opt_object(struct json_object *obj, const char *path, struct json_object **ret,
		    struct err *e)
{
	return optional(json_get_object(obj, path, ret, e), e);
}

int json_add(struct json_object *obj, const char *name, struct json_object *value)
{
	if (!value)
		return -ENOMEM;
	if (obj && json_object_object_add(obj, name, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int json_add_str(struct json_object *obj, const char *name, const char *value)
{
	return json_add(obj, name, json_object_new_string(value));
}

int json_add_int(struct json_object *obj, const char *name, int64_t value)
{
	return json_add(obj, name, json_object_new_int64(value));
}

int json_add_bool(struct json_object *obj, const char *name, bool value)
{
	return json_add(obj, name, json_object_new_boolean(value));
}

int json_append(struct json_object *array, struct json_object *value)
{
	if (!value)
		return -ENOMEM;
	if (array && json_object_array_add(array, value) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

int json_append_str(struct json_object *array, const char *value)
{
	return json_append(array, json_object_new_string(value));
}

const char *json_text(struct json_object *obj)
{
	return json_object_to_json_string_ext(obj, JSON_C_TO_STRING_PLAIN |
							   JSON_C_TO_STRING_NOSLASHESCAPE);
}
