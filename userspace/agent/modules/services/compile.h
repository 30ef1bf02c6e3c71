/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What one port of a Service means on this node, for one family: which backends it has, and in
 * which tables they stand. Pure: looks at the objects alone. The semantics are kube-proxy's
 * (CategorizeEndpoints of Kubernetes 1.33); docs/services.md has them as a table, with the places
 * where this differs.
 *
 *	compile_port(svc, port, 0, slices, n, &nodes, &w);
 *	compile_table(&w, TABLE_OUT, usable, …, &slots, &n_slots);
 *	wants_clear(&w);
 */
#include "agent/modules/services/nodes.h"
#include "agent/modules/services/object.h"

enum table_kind {
	TABLE_CLUSTER, /* what clients in the cluster may have from here; by topology */
	TABLE_LOCAL,   /* of this node: for clients in the cluster under internalTrafficPolicy */
	TABLE_OUT,     /* for clients outside; the same on all nodes unless the policy is Local */
	N_TABLES,
};

enum want_state { WANT_READY, WANT_SERVING, WANT_TERMINATING, WANT_UNREADY };

struct want {
	union loom_addr addr;
	uint16_t port;	/* host order */
	uint8_t flags;	/* enum loom_backend_flags */
	uint8_t tables; /* 1 << enum table_kind */
	uint8_t state;	/* enum want_state */
	bool own;	/* the address is this node's: its answers leave by the uplink */
	uint32_t node;	/* id, 0: not known, or outside of the cluster */
};

struct wants {
	struct want *v; /* sorted by address and port, no two the same */
	size_t n;
	bool silent_in, silent_out; /* a Local table is empty, but the cluster has backends */
};

/* The tables that frontends of the port ask for: 1 << enum table_kind. */
unsigned int compile_needs(const struct service_object *svc, const struct service_port *port,
			   int family);
/*
 * Of port `port` and `family` (0: IPv4, 1: IPv6). Slices of the other family are passed over. What
 * a slice has under the port's former name only takes no new flows and keeps those that it has. 0
 * or -ENOMEM.
 */
int compile_port(const struct service_object *svc, const struct service_port *port, int family,
		 struct slice_object *const *slices, size_t n_slices, const struct nodes *nodes,
		 struct wants *ret);
void wants_clear(struct wants *w);
/* The slice has a port of that name and protocol. */
bool compile_names(const struct slice_object *slice, const char *name, uint8_t proto);
const char *want_state_name(enum want_state state);
/* Different endpoints on this node that are ready, whatever their ports: for healthCheckNodePort. 0
 * or -ENOMEM. */
int compile_local_ready(struct slice_object *const *slices, size_t n_slices, const char *node,
			size_t *ret);

/*
 * Indexes into w->v for the slots of a table, in `ret_slots` (heap; NULL and 0 for an empty one).
 * `per`: slots that a local backend has (TABLE_CLUSTER), or each has at least (TABLE_OUT; it is
 * Maglev). Backends for which usable[i] is false are left out. 0 or -ENOMEM.
 */
int compile_table(const struct wants *w, enum table_kind kind, const bool *usable, uint32_t per,
		  uint32_t **ret_slots, uint32_t *ret_n);
