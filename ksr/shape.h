/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is kept of an object, as a table: field names with their types. Copying by a shape drops
 * every field that the shape doesn't name, and refuses an object in which a named one has another
 * type, with the field's full path: "spec.ports[2].port: want a number, found a string". Null
 * counts as absent, as in the API; empty objects and lists are kept, since they can mean something.
 * The copy's fields stand in the table's order, so equal objects are equal as text.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

enum shape_type {
	SHAPE_STR,
	SHAPE_INT,
	SHAPE_BOOL,
	SHAPE_INT_OR_STR,
	SHAPE_STRS, /* list of strings */
	SHAPE_MAP,  /* strings by name */
	SHAPE_OBJ,
	SHAPE_LIST, /* of objects */
};

struct shape {
	const char *name; /* NULL ends a table */
	enum shape_type type;
	const struct shape *fields; /* SHAPE_OBJ, SHAPE_LIST */
	int64_t min, max;	    /* SHAPE_INT and the number of SHAPE_INT_OR_STR */
	/* SHAPE_MAP: names, or beginnings of names ending in '*', to keep; NULL = all.
	 * SHAPE_LIST: values of the items' "type" to keep; NULL = all.
	 * If nothing is kept, the field is left out. */
	const char *const *only;
	bool required;
};

/* A reduced copy of `obj`; -EINVAL or -ENOMEM. */
int shape_copy(const struct shape *shape, struct json_object *obj, struct json_object **ret,
	       struct err *e);
