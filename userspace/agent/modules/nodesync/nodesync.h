/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who is this node, and who are the others. Claims a node id (compare-and-swap on
 * /netloom/alloc/node/<id>, first free from 1; kept for ever in the local store and claimed again
 * if etcd lost it), publishes /netloom/node/<name>, derives the node's pod CIDRs, and keeps every
 * other node in the maps: bpf-node, bpf-cidr (its pod CIDRs), bpf-ip (its addresses), kernel routes
 * with native transport.
 */
#include "agent/core/event.h"
#include "lib/base/addr.h"

struct node_identity {
	uint32_t id; /* 0: not known yet */
	const char *name;
	const struct prefix *pod_cidrs; /* at most one per family */
	size_t n_pod_cidrs;
};
/* The node's id or pod CIDRs became known or changed (upstream resync). */
extern const struct event_type node_identity_type;
const struct node_identity *nodesync_self(struct agent *a);

/* Names of nodes, this one included; NULL: nobody holds it. Borrowed until the loop turns. */
const char *nodesync_name_of_id(struct agent *a, uint32_t id);
const char *nodesync_name_of_addr(struct agent *a, const union loom_addr *addr);
bool nodesync_knows(struct agent *a, const char *name);
