/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * From an object of the API, or of a manifest, to what stands in etcd. Pure; the object is hostile.
 * Errors name kind, object and field: "pod default/web: spec.hostNetwork: want true or false, found
 * a string".
 */
#include <json-c/json.h>

#include "ksr/kinds.h"
#include "lib/base/err.h"

/* What fits into one etcd transaction (1.5 MiB) with room for the rest. */
#define REDUCED_MAX_BYTES (1u << 20)

/* The etcd key (heap). Names are checked as Kubernetes does (RFC 1123 subdomain; a namespace is a
 * label), so no name can reach into another key. */
int reduce_key(enum kind kind, struct json_object *obj, char **ret, struct err *e);
/* The value (heap). -E2BIG when it is larger than REDUCED_MAX_BYTES. */
int reduce_value(enum kind kind, struct json_object *obj, char **ret, struct err *e);
/* Equal as values of reduce_value(), metadata.resourceVersion aside: it changes with every
 * heartbeat. */
bool reduced_equal(const char *a, const char *b);
