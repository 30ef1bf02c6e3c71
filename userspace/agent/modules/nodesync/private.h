/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of nodesync share. */
#include "agent/core/module.h"
#include "agent/modules/nodesync/claim.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/nodesync/peers.h"

struct nodesync {
	struct agent *agent;
	char name[256];
	char started[32];
	struct node_identity self;
	struct prefix cidrs[NODE_MAX_CIDRS];
	bool confirmed; /* etcd has the id under this node's name */
	struct err why; /* not ready: what it waits for */
	struct claim *claim;
	struct peers *peers;
	uint64_t refused; /* objects */
	uint64_t routes;  /* uplink_routes() when flows were last told to look again */
};

struct nodesync *nodesync_get(struct agent *a);
/* items.c: everything that follows from identity, uplink and peers. */
int nodesync_put_self(struct nodesync *m, struct txn *txn);
int nodesync_put_cluster(struct nodesync *m, struct txn *txn);
int nodesync_put_peer(struct nodesync *m, const struct peer *peer, struct txn *txn);
/* What `before` held and no node holds any more. */
void nodesync_delete_lost(struct nodesync *m, const struct peer *before, struct txn *txn);
/* What this node publishes. */
void nodesync_own_info(struct nodesync *m, struct node_info *ret);
/* show.c */
int nodesync_routes(struct nodesync *m);
void nodesync_metrics(struct agent *a, struct metrics *out);
struct json_object *nodesync_status(struct agent *a);
