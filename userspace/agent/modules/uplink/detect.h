/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One look at the links, addresses and routes of the node's namespace, and what follows from it.
 * Kept apart from the module so that it can be tested in a namespace of its own. A snapshot is a
 * plain value: compare two to know what has changed.
 */
#include "agent/modules/uplink/uplink.h"
#include "lib/netlink/netlink.h"

struct uplink_wish {
	const char *interface;		    /* "" = find it */
	union loom_addr address4, address6; /* :: = find it */
	union loom_addr node4, node6;	    /* the Node object's InternalIPs; :: = unknown */
	union loom_addr last4, last6;	    /* of the look before; :: = there was none */
	unsigned int mtu;		    /* 0 = the link's */
	bool tunnel;
};

struct uplink_host_addr {
	unsigned int ifindex;
	uint32_t flags; /* IFA_F_* */
	union loom_addr addr;
};

struct uplink_view {
	struct uplink uplink; /* ifindex 0: none */
	bool up;
	struct uplink_host_addr *addrs; /* global ones, sorted */
	size_t n_addrs;
	uint64_t routes;    /* sum over the routes of others; differs when one changed */
	struct prefix *own; /* destinations of our own routes */
	size_t n_own;
};

/* -ENODEV with a sentence when no link fits; *ret then holds addresses and routes all the same. */
int uplink_look(struct nl_sock *nl, const struct uplink_wish *wish, struct uplink_view *ret,
		struct err *e);
void uplink_view_release(struct uplink_view *view);
/* What differs, as words for the history ("link, addresses"); "" when nothing does. */
const char *uplink_view_diff(const struct uplink_view *a, const struct uplink_view *b, char *buf,
			     size_t len);
/* Whether a route matters to the view: not ours, not of the local table, not link-local. */
bool uplink_route_matters(const struct nl_route *route);
