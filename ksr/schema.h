/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What of a Kubernetes object is kept, as a tree of tables: each row names a field, its type, and
 * the rows below it. schema_reduce() copies what is named, and refuses what has another type than
 * the API says; fields that are unknown, null, or not named are left out, so objects of servers
 * that are newer or older than this program pass.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

enum schema_type {
	SCHEMA_STR,
	SCHEMA_INT,
	SCHEMA_BOOL,
	SCHEMA_STR_MAP,	 /* {"name": "text"}; in `prefixes` those names only, unless NULL */
	SCHEMA_STR_LIST, /* ["text"] */
	SCHEMA_OBJECT,	 /* by `sub` */
	SCHEMA_LIST,	 /* of objects, by `sub` */
};

struct schema {
	const char *name; /* NULL ends a table */
	enum schema_type type;
	const struct schema *sub;
	bool whole;			/* OBJECT and LIST: keep fields that `sub` does not name */
	bool required;			/* absent or null is an error */
	const char *const *prefixes;	/* STR_MAP */
	const char *only_key, *only_is; /* LIST: only elements that have this text there */
};

/*
 * A new object with what `fields` keep of `obj`. -EINVAL or -ENOENT: the message begins with the
 * field's path ("spec.containers[1].name: want a string, found a number"). Nesting is bounded by
 * what parsed `obj`.
 */
int schema_reduce(const struct schema *fields, struct json_object *obj, struct json_object **ret,
		  struct err *e);
