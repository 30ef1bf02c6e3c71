/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Fields of an object's JSON, for object_service.c and object_slice.c. What is absent has a
 * default; what is of a wrong type, too, and is told.
 */
#include <json-c/json.h>

#include "agent/modules/services/problems.h"
#include "lib/base/addr.h"

/* Where one is: what is told begins with `at` ("spec.ports[3]."). */
struct place {
	struct json_object *obj;
	struct problems *problems;
	char at[80];
};

const char *read_text(const struct place *p, const char *path); /* borrowed; "" is the default */
bool read_flag(const struct place *p, const char *path, bool otherwise);
int64_t read_number(const struct place *p, const char *path, int64_t min, int64_t max,
		    int64_t otherwise);
/* Some other proxy is to serve the object: kube-proxy lists what does not have the label
 * service.kubernetes.io/service-proxy-name, whatever its value (KEP 2447). */
bool read_is_for_others(const struct place *p);
/* Its length; *ret is NULL when there is none. */
size_t read_array(const struct place *p, const char *path, struct json_object **ret);
/* Element i of the array at `path`, as a place; false (and told) when it is no object. */
bool read_element(const struct place *p, const char *path, struct json_object *array, size_t i,
		  struct place *ret);
/* An address that Kubernetes would accept: unicast, not link-local, not loopback. `at` names it. */
bool read_address(struct problems *problems, const char *at, struct json_object *value,
		  union loom_addr *ret);
