/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* clang-format off */
/*
 * Policy in the data plane's maps, written by the agent's policy module alone.
 *
 *	loom_epol     ARRAY     endpoint number -> loom_epol    which policies a local endpoint has
 *	loom_ident    HASH      loom_ipkey -> u32 identity      every pod and node address of the cluster
 *	loom_class    LPM_TRIE  loom_cidrkey -> u32 class       prefixes that policies name (cidr, except)
 *	loom_pol      HASH      loom_polkey -> loom_polset      what holds between a policy and a peer
 *	loom_polrule  ARRAY     u32 -> loom_polrule             rules of all sets, one region each
 *
 * A policy is one distinct set of rules for one direction, whatever number of endpoints it holds
 * for. The peer is the other end: of egress the destination behind all services, of ingress the
 * client. A new flow asks for at most three sets: of the peer's identity, of the peer's class (the
 * longest of the policies' prefixes that covers its address: prefixes nest, so that tells all that
 * cover it), and the one for any peer, which every policy has: a policy without it denies (it is not
 * there yet, or no more).
 *
 * Rules are of three tiers. Within a tier the lowest order wins; of the np tier all rules accept.
 *
 *	best(tier) = the matching rule of lowest order in the three sets, or none
 *	admin:     ACCEPT, DENY: done; PASS or none: on
 *	np:        ACCEPT: done; none: with LOOM_POLSET_ISOLATES denied, else on
 *	baseline:  ACCEPT, DENY: done; PASS or none: accepted
 *
 * An address of the cluster (loom_ep, loom_ip, loom_cidr) without identity matches no rule about
 * identities, and is denied where LOOM_POLSET_STRICT says that one of these might have denied it.
 *
 * How a policy changes: the new one is written under a new number, endpoints are flipped to it
 * (loom_epol), loom_state.policy_gen moves on, and then the old one's entries are removed. Likewise
 * the sets of a new identity or class are there before an address gets it. Nothing of this is asked
 * for as long as entry 0 of loom_epol, which is no endpoint's, has not LOOM_EPOL_ENFORCED.
 */
/* clang-format on */
#include <linux/types.h>

enum loom_epol_flags {
	LOOM_EPOL_KNOWN =
		1 << 0, /* without it the endpoint is closed: its policy is not known yet */
	LOOM_EPOL_ENFORCED = 1 << 1, /* entry 0: this node has policies */
	LOOM_EPOL_NOT_HOST =
		1 << 2, /* entry 0: the node's own host is judged like any other peer; without
			   it, it may always reach its pods (kubelet's probes) */
};

struct loom_epol {
	__u32 policy_in; /* 0: none, all passes */
	__u32 policy_out;
	__u32 identity;
	__u32 flags; /* enum loom_epol_flags */
};

enum loom_pol_peer {
	LOOM_PEER_ANY, /* peer = 0 */
	LOOM_PEER_IDENTITY,
	LOOM_PEER_CLASS,
};

struct loom_polkey {
	__u32 policy;
	__u32 peer;
	__u32 kind; /* enum loom_pol_peer */
};

/* Of the set for any peer; 0 in the others. */
enum loom_polset_flags {
	LOOM_POLSET_ISOLATES = 1 << 0, /* a NetworkPolicy selects the endpoint for this direction */
	LOOM_POLSET_SELECTS = 1 << 1,  /* there are sets of identities */
	LOOM_POLSET_CLASSES = 1 << 2,  /* there are sets of classes */
	LOOM_POLSET_LOG_ONLY = 1 << 3, /* what is denied passes, counted and recorded */
	LOOM_POLSET_STRICT = 1 << 4,   /* rules about identities deny or pass on, not just accept */
};

struct loom_polset {
	__u32 first; /* in loom_polrule */
	__u16 count; /* at most LOOM_POLSET_MAX, sorted by tier, then order */
	__u16 flags; /* enum loom_polset_flags */
};

#define LOOM_POLSET_MAX	 256 /* rules of one set */
#define LOOM_POL_CLASSES 131072
/* In force: the map has room for what was replaced beside. */
#define LOOM_POL_SETS	262144
#define LOOM_POL_RULES	524288
#define LOOM_POL_IDENTS 131072

enum loom_pol_tier { LOOM_TIER_ADMIN, LOOM_TIER_NP, LOOM_TIER_BASELINE, LOOM_TIERS };
enum loom_pol_action { LOOM_POL_ACCEPT, LOOM_POL_DENY, LOOM_POL_PASS };

struct loom_polrule {
	__u16 lo; /* destination ports, host order, both ends included */
	__u16 hi;
	__u16 order;  /* within the tier */
	__u8 proto;   /* 0: any protocol, ICMP too; lo and hi don't count then */
	__u8 verdict; /* tier << 4 | action */
};

_Static_assert(sizeof(struct loom_epol) == 16, "loom_epol");
_Static_assert(sizeof(struct loom_polkey) == 12, "loom_polkey");
_Static_assert(sizeof(struct loom_polset) == 8, "loom_polset");
_Static_assert(sizeof(struct loom_polrule) == 8, "loom_polrule");
