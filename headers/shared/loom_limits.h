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
