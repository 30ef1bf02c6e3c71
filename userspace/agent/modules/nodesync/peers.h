/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The other nodes, as their objects in etcd say, and which of them holds what. An id, a pod CIDR or
 * an address that two nodes claim stays with the one that had it first; the other one's claim is
 * refused by name, and granted as soon as the first lets go. A node whose object is malformed keeps
 * what its last good object said.
 */
#include "agent/modules/nodesync/node_object.h"

struct peers;

struct peer {
	const char *name;
	struct node_info info;
	bool valid;  /* info was good at least once */
	bool has_id; /* holds info.id */
	bool has_cidr[NODE_MAX_CIDRS], has_addr[NODE_MAX_ADDRS];
	uint64_t since_ms;  /* real time, of the first good object */
	struct err problem; /* code 0: none */
};

int peers_new(struct peers **ret);
void peers_free(struct peers *p);

/* What is this node's own, and thus nobody else's. Cheap when nothing changed. */
void peers_set_own(struct peers *p, uint32_t id, const struct prefix *cidrs, size_t n_cidrs,
		   const union loom_addr *addrs, size_t n_addrs);
/* A node's object as it is now; NULL: it is gone. Returns -EINVAL (with the sentence) when it is
 * refused as a whole. */
int peers_set(struct peers *p, const char *name, struct json_object *obj,
	      const struct config_prefixes *cluster, struct err *e);
/* Between these, every node that is not set is gone at the end. */
void peers_mark(struct peers *p);
void peers_sweep(struct peers *p);
/* Gives free ids, CIDRs and addresses to those who claim them, in the order of names, and notes the
 * problems. Call after changes. Looks only at nodes that changed or wait, O(log n) for each claim;
 * at all of them when what is this node's own changed. */
void peers_settle(struct peers *p);

/* Whether some node has a problem. */
bool peers_conflict(const struct peers *p);
/* Whether a node that holds its id holds exactly this. */
bool peers_hold_id(const struct peers *p, uint32_t id);
bool peers_hold_cidr(const struct peers *p, const struct prefix *cidr);
bool peers_hold_addr(const struct peers *p, const union loom_addr *addr);

const struct peer *peers_find(const struct peers *p, const char *name);
/* Who holds it. */
const struct peer *peers_with_id(const struct peers *p, uint32_t id);
const struct peer *peers_with_addr(const struct peers *p, const union loom_addr *addr);
/* In the order of names. */
int peers_foreach(struct peers *p, int (*fn)(const struct peer *peer, void *arg), void *arg);
/* Only those that the last peers_settle() looked at: no other one's holdings changed by it. In the
 * order of names; none after a node went. */
int peers_foreach_settled(const struct peers *p, int (*fn)(const struct peer *peer, void *arg),
			  void *arg);
size_t peers_count(const struct peers *p);
