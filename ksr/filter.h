/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From a Kubernetes object as it comes, to the key and the text that etcd holds. Objects are
 * hostile: wrong types, odd names, huge or deep ones are refused with an error that names the
 * field; the caller puts kind and name in front (filter_describe()).
 */
#include "ksr/resource.h"

#define FILTER_MAX_VALUE (1u << 20) /* bytes; a request to etcd may have 1.5 MiB */

struct filtered {
	char *key;   /* heap */
	char *value; /* heap, compact JSON */
};

/* Reduces `obj`; -EINVAL, -ENOENT, -E2BIG, -ENOMEM. On failure *ret is untouched. */
int filter_object(enum resource_id id, struct json_object *obj, struct filtered *ret,
		  struct err *e);
void filtered_clear(struct filtered *f);

/*
 * Do two values say the same apart from metadata.resourceVersion? What changes only there (a
 * heartbeat in a status that nobody needs) is not worth a write.
 */
bool filter_same(const char *a, const char *b);

/* "Pod default/web-1", as far as `obj` tells, printable. */
const char *filter_describe(enum resource_id id, struct json_object *obj, char *buf, size_t len);
