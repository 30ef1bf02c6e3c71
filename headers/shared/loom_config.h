/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * What is fixed for the life of a loaded program: one `const volatile struct loom_config loom_cfg`
 * in .rodata, so that the verifier drops the branches that a node does not use. A change means
 * loading the programs anew and replacing them in place. What may change at run time is in struct
 * loom_state.
 */
#include <linux/types.h>

#include "shared/loom_limits.h"

struct loom_config {
	__u32 size;	    /* sizeof(struct loom_config), checked by the loader */
	__u32 ct_tcp_new_s; /* timeouts in seconds */
	__u32 ct_tcp_s;
	__u32 ct_tcp_closing_s;
	__u32 ct_udp_new_s;
	__u32 ct_udp_s;
	__u32 ct_icmp_s;
	__u32 ct_other_s;
	__u16 masq_port_min; /* host order, both ends included */
	__u16 masq_port_max;
	__u32 event_rate; /* events a second and CPU; 0 turns them off */
	__u32 event_burst;
	__u32 overlay_vni;  /* VNI of scope 0 */
	__u32 overlay_port; /* UDP port of VXLAN, host order */
	__u32 svc_sockets;  /* enum loom_svc_sockets */
	__u64 host_netns;   /* cookie of the host's network namespace (SO_NETNS_COOKIE) */
};

/* Whose sockets are translated when they connect or send. */
enum loom_svc_sockets { LOOM_SOCKETS_NONE, LOOM_SOCKETS_HOST, LOOM_SOCKETS_ALL };

/* What the programs are built with; the loader overwrites it from the agent's configuration. */
#define LOOM_CONFIG_DEFAULT                                                                   \
	{                                                                                     \
		.size = sizeof(struct loom_config), .ct_tcp_new_s = 30, .ct_tcp_s = 7200,     \
		.ct_tcp_closing_s = 10, .ct_udp_new_s = 30, .ct_udp_s = 120, .ct_icmp_s = 30, \
		.ct_other_s = 600, .masq_port_min = 10240, .masq_port_max = 29999,            \
		.event_rate = 100, .event_burst = 200, .overlay_vni = LOOM_DEFAULT_VNI,       \
		.overlay_port = 4789,                                                         \
	}
