/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the two APIs say of a connection, straight from the objects: no identity, no class, nothing
 * prepared, nothing shared with the compiler but addresses. Slow and plain.
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/addr.h"

#define MODEL_SPACES   3
#define MODEL_PODS     10
#define MODEL_NODES    2
#define MODEL_POLICIES 10

struct model { /* NULL: there is none */
	struct json_object *spaces[MODEL_SPACES];
	struct json_object *pods[MODEL_PODS];
	struct json_object *nodes[MODEL_NODES];
	struct json_object *policies[MODEL_POLICIES]; /* NetworkPolicies */
	struct json_object *cluster[MODEL_POLICIES];  /* ClusterNetworkPolicies */
};

/* May `pod` have (ingress: from, egress: to) the address as peer? */
bool oracle_allows(const struct model *m, struct json_object *pod, bool ingress,
		   const union loom_addr *peer, uint8_t proto, uint16_t port);
/* It has an address of its own that policies hold for. */
bool oracle_counts(struct json_object *pod);
bool oracle_has_addr(struct json_object *pod, const union loom_addr *addr);
