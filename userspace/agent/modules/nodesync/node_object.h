/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a node publishes under /netloom/node/<name> (headers/api/etcd_keys.h), read with suspicion:
 * a wrong object must not take over addresses of the cluster. Plain values, no agent.
 */
#include <json-c/json.h>

#include "lib/base/addr.h"
#include "lib/config/config.h"

#define NODE_MAX_ADDRS 16
#define NODE_MAX_CIDRS 2

struct node_info {
	uint32_t id;
	union loom_addr addrs[NODE_MAX_ADDRS];
	size_t n_addrs;
	struct prefix cidrs[NODE_MAX_CIDRS];
	size_t n_cidrs;
	union loom_addr underlay;
	bool tunnel; /* transport: vxlan */
	char version[48], started[32];
};

/*
 * -EINVAL with a sentence that names the field: "addresses[1]: 'x': not an IP address". Pod CIDRs
 * must lie in one of `cluster`, addresses outside of all of them.
 */
int node_info_parse(struct json_object *obj, const char *name,
		    const struct config_prefixes *cluster, struct node_info *ret, struct err *e);
/* The object of `info`; NULL when out of memory. */
struct json_object *node_info_json(const struct node_info *info, const char *name);

/*
 * Pod CIDRs of node `id`: from each cluster CIDR the block with that index; the last id takes block
 * 0, so that all are used and node 1 has the block numbered 1. -ERANGE: "node id 257: '10.1.0.0/16'
 * has only 256 blocks of /24".
 */
int node_cidrs_by_id(const struct config_prefixes *cluster, unsigned int block4,
		     unsigned int block6, uint32_t id, struct prefix ret[NODE_MAX_CIDRS],
		     size_t *ret_n, struct err *e);
/* Highest id that node_cidrs_by_id() accepts. */
uint32_t node_max_id(const struct config_prefixes *cluster, unsigned int block4,
		     unsigned int block6);
/* From a Kubernetes Node's spec.podCIDRs (or podCIDR). -ENOENT: not assigned yet. */
int node_cidrs_from_k8s(struct json_object *node, const struct config_prefixes *cluster,
			struct prefix ret[NODE_MAX_CIDRS], size_t *ret_n, struct err *e);
