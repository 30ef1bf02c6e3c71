/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The XDP program on the uplink: a bpf_link in native mode (Linux 5.9), pinned at
 * links/loom_xdp_uplink-uplink, so that it outlives the agent and its program is replaced in place.
 * A link has one XDP program: somebody else's is never displaced.
 *
 * bpf-xdp/uplink: the program that is loaded is on that interface. Where it can't be, that is the
 * item's failure when the configuration says `on`, and an explanation when it says `auto`; packets
 * go by tc either way.
 */
#include "agent/core/scheduler.h"
#include "agent/modules/datapath/loaded.h"

#define XDP_DESCRIPTOR "bpf-xdp"
#define XDP_PROG       "loom_xdp_uplink"

/* ctx of the descriptor; the caller keeps it for as long as the scheduler lives. */
struct xdp_items {
	const struct loaded *loaded;
	const char *dir;    /* paths.bpf */
	bool must;	    /* uplink.xdp: on */
	struct err problem; /* why there is none, though it was wanted; code 0: there is */
};
extern const struct descriptor xdp_descriptor;

/* Puts the item. */
int xdp_put(struct txn *t, const char *ifname, unsigned int ifindex);
/* Puts the program into the pinned link, if there is one. 1: it was another one before. A dead link
 * is left for the item. */
int xdp_swap(const char *dir, int prog_fd, struct err *e);
/* "native", "generic", "offload", or "off"; of the pinned link. */
const char *xdp_mode_name(const char *dir);
