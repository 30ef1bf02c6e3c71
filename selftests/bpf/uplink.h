/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The golden world's uplink for XDP, which wants a real one: LINK_UPLINK is one end of a veth pair
 * in the process's network namespace, which must be its own, and LINK_WIRE the other. It has NODE's
 * addresses, a default route and forwarding; everybody on the wire (NODE2, NODE3, a router) is a
 * permanent neighbour with the same MAC, the link's own is hmac_a.
 */
#include "selftests/bpf/world.h"

#define LINK_WIRE	 93
#define TUNNEL_OUTER_LEN 50

extern const __u8 uplink_hop_mac[6];

/* 0 or negative errno, which is told on stderr. Programs are the caller's to attach. */
int uplink_build(void);
/* The packet as it comes in by the uplink: from p->outer_src in VXLAN if it has a vni,
 * with the tag of its VLAN. */
void uplink_wrap(const struct target_packet *p, struct target_packet *ret);
