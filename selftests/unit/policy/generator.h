/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Random clusters, small and dense, so that things meet: three namespaces, ten pods, few labels. */
#include "selftests/unit/policy/oracle.h"

struct random {
	uint64_t state;
};

uint32_t random_below(struct random *r, uint32_t n);

/* The i-th object anew; NULL now and then where there may be none. */
struct json_object *random_space(struct random *r, size_t i);
struct json_object *random_pod(struct random *r, size_t i);
struct json_object *random_node(struct random *r, size_t i);
struct json_object *random_policy(struct random *r, size_t i);
struct json_object *random_cluster_policy(struct random *r, size_t i);
/* Of a pod, a node, or outside. */
void random_addr(struct random *r, union loom_addr *ret);
void random_port(struct random *r, uint8_t *ret_proto, uint16_t *ret_port);
