/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* Sizes and ranges that both sides of a map agree on. */

#define LOOM_MAX_IFINDEX \
	65536 /* loom_ifcfg is an array; the agent gives its links indexes below this */
#define LOOM_MAX_NODES 16384 /* node ids are 1..LOOM_MAX_NODES-1; 0 means "no node" */
#define LOOM_MAX_EPS   4096  /* local endpoints; numbers are 1..LOOM_MAX_EPS-1; 0 means "none" */
#define LOOM_DEFAULT_VNI                                                        \
	10 /* VNI of scope 0, the default VPC; every other scope is its own VNI \
	    */

/*
 * Entries of loom_denied. The kernel sets up to 128 of an LRU map aside for each CPU that inserts,
 * so that this holds some 4,096 denials on a machine of 32 busy ones.
 */
#define LOOM_MAX_DENIED 8192

/*
 * Conntrack time: CLOCK_MONOTONIC nanoseconds >> LOOM_TICK_SHIFT, 1.07 s a tick, so that an
 * established flow writes its entry about once a second. Compare by subtraction of __u32; it wraps
 * after 146 years.
 */
#define LOOM_TICK_SHIFT 30

/* Sizes that services' maps are built with; the loader sets them from the configuration. */
#define LOOM_DEFAULT_FRONTENDS 65536
#define LOOM_DEFAULT_BACKENDS  131072 /* numbers are 1.. one less */
#define LOOM_DEFAULT_SLOTS     2097152
#define LOOM_DEFAULT_AFFINITY  65536
#define LOOM_DEFAULT_RANGES    32768

/*
 * Source of what a service sends back to the very pod or host that asked (LOOM_CT_HAIRPIN), in
 * host order. IPv4: the pods' gateway, 169.254.1.1. IPv6: fd6c:6f6f:6d::1, of a unique local
 * prefix (RFC 4193), and not the gateway's fe80::1: a host's stack answers a link-local address
 * only by the link that it was heard on, and takes no routes for it. Hosts have a route to each by
 * loom_host; nobody else ever sees them.
 */
#define LOOM_HAIRPIN4	 0xa9fe0101u
#define LOOM_HAIRPIN6_HI 0xfd6c6f6f006d0000ull
#define LOOM_HAIRPIN6_LO 1ull
