/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the compiler knows of nodes: their ids, and which addresses are theirs, so that a backend in
 * a host's network is told from a pod. Filled from /netloom/node/<name> and from this node's own
 * links.
 */
#include <json-c/json.h>
#include <uthash.h>

#include "lib/base/addr.h"

struct node;
struct node_addr;

struct nodes {
	const char *self; /* borrowed */
	uint32_t self_id; /* 0: not known yet */
	char zone[256];	  /* of this node; "" not known */
	struct node *by_name;
	struct node_addr *by_addr;
	union loom_addr *own; /* this node's addresses, sorted */
	size_t n_own;
};

void nodes_init(struct nodes *n, const char *self);
void nodes_fini(struct nodes *n);

/* What the node publishes; NULL: it is gone. True when something is different from before; then
 * services with endpoints on it or at its addresses are not what they were. */
bool nodes_put(struct nodes *n, const char *name, struct json_object *obj);
/* From a full list: nodes that were not put since nodes_begin() go in nodes_end(). */
void nodes_begin(struct nodes *n);
bool nodes_end(struct nodes *n);

/* True when they are others than before, whatever their order. Copied. */
bool nodes_set_own(struct nodes *n, const union loom_addr *addrs, size_t count);
bool nodes_set_zone(struct nodes *n, const char *zone);

/* Id by name; 0 when not known. */
uint32_t nodes_id(const struct nodes *n, const char *name);
bool nodes_is_own(const struct nodes *n, const union loom_addr *addr);
/* Is it some node's own address? Then *ret_id is that node's id, 0 when not known. */
bool nodes_owns(const struct nodes *n, const union loom_addr *addr, uint32_t *ret_id);
