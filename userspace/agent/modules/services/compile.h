/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What one port of a Service means on this node, for one family: which backends it has, and in
 * which tables they stand. Pure: looks at the objects alone. The semantics are kube-proxy's
 * (CategorizeEndpoints): ready endpoints, or terminating ones that still serve when none is ready,
 * both in the cluster and on the node.
 */
#include "agent/modules/services/object.h"

enum table_kind {
	TABLE_CLUSTER, /* all that may be used from here; by topology */
	TABLE_LOCAL,   /* of this node */
	TABLE_OUT,     /* for clients outside; the same on all nodes unless the policy is Local */
	N_TABLES,
};

/* Where this is. */
struct here {
	const char *node, *zone;				/* "" when not known */
	bool (*is_own)(const union loom_addr *addr, void *arg); /* an address of this node's host */
	uint32_t (*node_id)(const char *node, void *arg);	/* 0: not known */
	void *arg;
};

struct want {
	union loom_addr addr;
	uint16_t port;	/* host order */
	uint8_t flags;	/* enum loom_backend_flags */
	uint8_t tables; /* 1 << enum table_kind */
	uint32_t node;
};

struct wants {
	struct want *v; /* sorted by address and port, no two the same */
	size_t n;
	bool silent_in, silent_out; /* a Local table is empty, but the cluster has backends */
	size_t local_ready;	    /* for healthCheckNodePort */
};

/* Of port `port` and `family` (0: IPv4, 1: IPv6). 0 or -ENOMEM. */
int compile_port(const struct service_object *svc, const struct service_port *port, int family,
		 struct slice_object *const *slices, size_t n_slices, const struct here *here,
		 struct wants *ret);
void wants_clear(struct wants *w);

/*
 * Indexes into w->v for the slots of a table, in `ret_slots` (heap; NULL and 0 for an empty one).
 * local_weight: slots a local backend has in TABLE_CLUSTER; maglev_slots: a backend in TABLE_OUT.
 * Backends for which usable[i] is false are left out. 0 or -ENOMEM.
 */
int compile_table(const struct wants *w, enum table_kind kind, const bool *usable,
		  uint32_t local_weight, uint32_t maglev_slots, uint32_t **ret_slots,
		  uint32_t *ret_n);
