/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The small cluster in which golden cases play, in both families:
 *
 *	A, B, E   pods of this node (links 1, 70 and 71, endpoints 1 to 3; E has the MACs of A)
 *	C         pod of node 2, which is reached through the overlay
 *	D         pod of node 3, which is reached natively by link 80
 *	NODE      this node, NODE2, NODE3; HOLE an address in the pods' range that nobody has
 *	OUT       a machine outside; PEERED one that is reached without masquerade
 *	GATEWAY   of the pods; HAIRPIN whom they see when they reach themselves by a service
 *	VIP, VIP2, EXT  addresses of services: two inside, one for clients outside (world_svc.c)
 */
#include "selftests/bpf/target.h"

enum who {
	NOBODY,
	A,
	B,
	C,
	D,
	NODE,
	NODE2,
	NODE3,
	HOLE,
	OUT,
	PEERED,
	GATEWAY,
	HAIRPIN,
	GROUP,
	VIP,
	VIP2,
	EXT,
	E,
	WHO_MAX
};

#define LINK_A	     TARGET_IFINDEX
#define LINK_B	     70
#define LINK_E	     71
#define LINK_NATIVE  80
#define LINK_UPLINK  90
#define LINK_OVERLAY 91
#define POD_MTU	     1400
#define UPLINK_MTU   1450

extern const __u8 mac_a[6], mac_b[6], hmac_a[6], hmac_b[6];

/* Address of somebody in family 4 or 6. */
union loom_addr world_addr(enum who who, int family);
/* Fills the target's maps; link 1 is what packets of the hook come in by. */
void world_build(const struct target *t, enum loom_hook hook);
/* Changes what link 1 is, leaving all else: at from_pod, the link of pods B or E, or else of A. */
void world_set_link(const struct target *t, enum loom_hook hook, enum who pod);
/* Services and what belongs to them; for TCP, UDP and SCTP. world_build() does it too. */
void world_add_services(const struct target *t);
/* All backends at that address get these flags (enum loom_backend_flags), besides where they are.
 */
void world_set_backend(const struct target *t, enum who who, __u8 flags);
void world_lose_vip(const struct target *t, enum who who, int family);
/* These read, change and write loom_state. The node's new address is that of NODE2. */
void world_tunnel_directly(const struct target *t); /* to NODE2, from NODE by LINK_UPLINK */
void world_natively(const struct target *t);	    /* NODE3, by LINK_UPLINK */
void world_unmasquerade(const struct target *t);
void world_renumber(const struct target *t);
void world_bump_route_gen(const struct target *t);
