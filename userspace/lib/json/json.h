/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading JSON that comes from outside, on top of json-c: parsing with bounds, and typed access by
 * path with errors that name the field.
 *
 *	const char *name;
 *	err = json_get_str(obj, "metadata.name", &name, &e);
 *	-> -ENOENT absent or null: "metadata.name: missing"
 *	-> -EINVAL other type:     "metadata.name: want a string, found a number"
 *
 * A path is field names joined by dots; a field name that itself holds a dot (annotations, labels)
 * is read with json_field(). Returned strings and objects are borrowed from `obj`.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

#define JSON_MAX_DEPTH 256

DEFINE_FREEP(struct json_object, json_object_put)
#define _json_ _cleanup_(json_object_putp) struct json_object

/*
 * Parses exactly one value that fills buf[0..len), blanks around it allowed. -EINVAL: not JSON, NUL
 * bytes, trailing bytes, nested deeper than JSON_MAX_DEPTH, or invalid UTF-8; the message has the
 * byte offset.
 */
int json_parse(const char *buf, size_t len, struct json_object **ret, struct err *e);

/* Borrowed; NULL when absent, null, or `obj` is no object. */
struct json_object *json_field(struct json_object *obj, const char *name);
struct json_object *json_path(struct json_object *obj, const char *path);

int json_get_str(struct json_object *obj, const char *path, const char **ret, struct err *e);
int json_get_int(struct json_object *obj, const char *path, int64_t min, int64_t max, int64_t *ret,
		 struct err *e);
int json_get_bool(struct json_object *obj, const char *path, bool *ret, struct err *e);
int json_get_array(struct json_object *obj, const char *path, struct json_object **ret,
		   struct err *e);
int json_get_object(struct json_object *obj, const char *path, struct json_object **ret,
		    struct err *e);

/* The same, but an absent field leaves *ret at what the caller put there and returns 0. */
int json_opt_str(struct json_object *obj, const char *path, const char **ret, struct err *e);
int json_opt_int(struct json_object *obj, const char *path, int64_t min, int64_t max, int64_t *ret,
		 struct err *e);
int json_opt_bool(struct json_object *obj, const char *path, bool *ret, struct err *e);
int json_opt_array(struct json_object *obj, const char *path, struct json_object **ret,
		   struct err *e);
int json_opt_object(struct json_object *obj, const char *path, struct json_object **ret,
		    struct err *e);

/* "a string", "a number", … for messages. */
const char *json_type_word(struct json_object *obj);

/* Adders for building objects; 0 or -ENOMEM. */
int json_add_str(struct json_object *obj, const char *name, const char *value);
int json_add_int(struct json_object *obj, const char *name, int64_t value);
int json_add_bool(struct json_object *obj, const char *name, bool value);
/* Takes ownership of `value`, also on failure. */
int json_add(struct json_object *obj, const char *name, struct json_object *value);
/* Same for arrays. */
int json_append(struct json_object *array, struct json_object *value);
int json_append_str(struct json_object *array, const char *value);
/* Compact text, borrowed from `obj` until it changes. */
const char *json_text(struct json_object *obj);
