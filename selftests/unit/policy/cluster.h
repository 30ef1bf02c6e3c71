/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A cluster in one world: all its pods are local, so one set of maps answers for both ends of every
 * flow. Objects are what the API has; the maps are those of the native data plane, or what the test
 * gives.
 */
#include "agent/modules/policy/world.h"
#include "selftests/unit/policy/native_maps.h"

struct cluster {
	struct native_maps native;
	struct world *world;
	uint64_t now; /* ms */
	struct {
		char key[160];
		union loom_addr addrs[2];
		bool host_network;
	} pods[256]; /* by endpoint number; free: key "" */
	uint32_t last_addr;
	char problem[1200];
};

/* Over the native data plane's maps, which are emptied; or over others. */
void cluster_init(struct cluster *c);
void cluster_begin(struct cluster *c, const struct polmaps *maps);
void cluster_fini(struct cluster *c);
/* Drops the world and makes a new one over the same maps, as a restart does. */
void cluster_restart(struct cluster *c);

struct json_object *json_of(const char *fmt, ...) _printf_(1, 2);

/* Objects; `labels` and `ports` are borrowed JSON or NULL. */
void cluster_namespace(struct cluster *c, const char *name, struct json_object *labels);
/* `addr` "": the next free one. Gives it an endpoint, unless it is host_network. */
void cluster_pod(struct cluster *c, const char *ns, const char *name, struct json_object *labels,
		 struct json_object *container_ports, const char *addr, const char *addr6,
		 bool host_network);
void cluster_pod_gone(struct cluster *c, const char *key);
uint32_t cluster_ep(const struct cluster *c, const char *key); /* 0: none */
/* A NetworkPolicy (also when it does not say), ClusterNetworkPolicy or Namespace as the API has it.
 */
void cluster_apply(struct cluster *c, struct json_object *obj);
/* Commits, and reaps as if time had gone by. */
void cluster_settle(struct cluster *c);

/* What the maps say of a new connection, by its destination's rules or its source's. */
bool cluster_ingress(const struct cluster *c, const char *to, const union loom_addr *from,
		     uint8_t proto, uint16_t port);
bool cluster_egress(const struct cluster *c, const char *from, const union loom_addr *to,
		    uint8_t proto, uint16_t port);
