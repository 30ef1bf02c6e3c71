/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node's uplink: which link it is, its addresses, its MTU, and what a pod's MTU follows from
 * them. Watches rtnetlink and pushes an uplink-change event when something that others depend on
 * has changed (addresses, MTU, routes, link up or down, neighbours' next hops).
 */
#include "agent/core/event.h"
#include "lib/base/addr.h"

struct uplink {
	char name[16];
	unsigned int ifindex;
	uint8_t mac[6];
	unsigned int mtu;
	union loom_addr addr4, addr6; /* :: when the family is absent */
	unsigned int
		pod_mtu; /* mtu less the overlay's header: 50 over IPv4, 70 over IPv6 underlay */
};
extern const struct event_type uplink_change_type;

/* NULL while there is no usable uplink. */
const struct uplink *uplink_get(struct agent *a);
/* Address that tunnels use: IPv4 when there is one. */
const union loom_addr *uplink_underlay(struct agent *a);
/* All global unicast addresses of this node's own links (pods' and ours left out). fn non-zero
 * stops. */
int uplink_host_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg);
/* The same, of the uplink alone: what other nodes know this node by. */
int uplink_node_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg);
/* Next hop for `dst` by the kernel's tables: link, and gateway (or dst itself when on link).
 * -ENETUNREACH. */
int uplink_next_hop(struct agent *a, const union loom_addr *dst, unsigned int *ret_ifindex,
		    union loom_addr *ret_hop);
/* Fingerprint of the kernel's routes, ours left out: as long as it is the same, they are, also from
 * one run of the agent to the next. */
uint64_t uplink_routes(struct agent *a);
/* Links that netloom makes: loom_…, and nl + 12 hexadecimal digits. */
bool uplink_link_is_ours(const char *name);
