/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * What a golden case runs on: the BPF programs through BPF_PROG_TEST_RUN, or the native build of
 * the same core. Both have maps that are filled and read by name, and packets that go in at a hook
 * and come out with a verdict. A target's reset() gives empty maps; packets come in by ifindex 1.
 */
#include <stdbool.h>

#include "shared/loom_maps.h"

#define TARGET_PKT_MAX 2048
#define TARGET_IFINDEX 1 /* lo: the one link that every network namespace has */

/* Outer headers that only the kernel may take off. */
enum tunnel_shape {
	TUNNEL_PLAIN,
	TUNNEL_BAD_IP_CSUM,
	TUNNEL_UDP_CSUM, /* has one, which is to be checked */
	TUNNEL_FLAGS,	 /* of an extension of VXLAN */
	TUNNEL_OPTIONS,	 /* IP header of 24 bytes */
	TUNNEL_TAIL,	 /* bytes behind the outer packet */
	TUNNEL_SHORT,	 /* the outer UDP header promises less than there is */
	TUNNEL_CE,	 /* congestion was met on the way */
};

struct target_packet {
	__u8 data[TARGET_PKT_MAX];
	__u32 len;
	__u32 gso;  /* what the kernel calls gso_size; 0: one packet */
	__u32 vni;  /* hook from_overlay: came through this tunnel */
	__u16 vlan; /* came with the tag of this VLAN */
	union loom_addr outer_src;
	enum tunnel_shape tunnel;
};

struct target_verdict {
	int reason; /* 0, or enum loom_drop_reason (positive) of what was counted as dropped */
	__u32 kind; /* enum verdict_kind */
	__u32 ifindex;
	__u32 node;
	bool xdp; /* the XDP program has sent it, the tc programs have not seen it */
};

struct target {
	const char *name;
	bool has_xdp;	    /* an XDP program is in front of the hooks from_net and from_overlay */
	int (*start)(void); /* 0, or negative errno: can't run here */
	void (*stop)(void);
	void (*reset)(void);
	/* Key and value as in shared/loom_maps.h. All return 0 or negative errno. */
	int (*put)(const char *map, const void *key, const void *value);
	int (*get)(const char *map, const void *key, void *ret_value);
	int (*del)(const char *map, const void *key);
	/* Runs the packet, which is changed in place. */
	int (*run)(enum loom_hook hook, struct target_packet *p, struct target_verdict *ret);
	int (*gc)(struct loom_gc_args *args);
	/* fn(arg) after the next look into the map, in the midst of a packet's way. NULL: this
	 * target has nobody who could. */
	void (*meanwhile)(const char *map, void (*fn)(void *arg), void *arg);
	/* Until reset(), the host has a socket of its own with these ends; dport 0: that is not
	 * connected. Host byte order. */
	int (*connect)(__u8 proto, const union loom_addr *src, __u16 sport,
		       const union loom_addr *dst, __u16 dport);
	/* The last event since reset() or the last call; -ENOENT when there was none. */
	int (*event)(struct loom_event *ret);
};

/* XDP first, then what target_bpf does: in no case may that make a difference. */
extern const struct target target_xdp;
extern const struct target target_bpf;
extern const struct target target_native;

/* Of target_bpf, once started: the map's file descriptor, or negative errno. */
int target_bpf_map_fd(const char *name);
/* The verdict that the CPU's last packet has left in loom_scratch. 0 or negative errno. */
int target_bpf_verdict(struct target_verdict *ret);
