/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The view of one packet: what the parser found, the flow that it belongs to, where it goes. It
 * lives in scratch memory of the CPU (plat_pkt()), so functions take the context alone and the BPF
 * stack stays small. It is not cleared between packets: pkt_init() and the parser set every field
 * that is read later.
 */
#include <linux/types.h>

#include "shared/loom_addr.h"
#include "shared/loom_config.h"
#include "shared/loom_drop.h"
#include "shared/loom_limits.h"
#include "shared/loom_maps.h"

#define PKT_ETH_LEN 14

enum pkt_flags {
	PKT_FROM_B = 1 << 0,	 /* its sender is side b of the flow's key */
	PKT_ERROR = 1 << 1,	 /* ICMP error: the flow is that of the quoted packet */
	PKT_FIRST_FRAG = 1 << 2, /* first of several fragments */
	PKT_LATER_FRAG = 1 << 3, /* has no transport header */
	PKT_PASS = 1 << 4,	 /* none of ours: to the stack, uncounted */
	PKT_QUIET = 1 << 5,	 /* a drop that happens all the time: counted, no event */
	PKT_STARTS = 1 << 6,	 /* may start a flow */
	PKT_RAW_IP = 1 << 7,	 /* came without Ethernet header */
	PKT_ENCAP = 1 << 8,	 /* has its outer headers: out of `v_ifindex` as IPv4 */
	PKT_TRANSIT = 1 << 9,	 /* may leave this node again, whatever it came in by */
	PKT_HAIRPIN = 1 << 10,	 /* may go back to where it came from */
	PKT_XLATED = 1 << 11,	 /* ip[] holds other addresses than the packet, as yet */
	PKT_END = 1 << 12,	 /* its sender is a pod that forwards for nobody */
};

enum verdict_kind {
	VERDICT_STACK,	  /* on to the kernel's stack */
	VERDICT_PEER,	  /* into the pod behind host link `v_ifindex` */
	VERDICT_REDIRECT, /* out of `v_ifindex`, Ethernet header as it is */
	VERDICT_INGRESS,  /* back into `v_ifindex`, as if it had come in there */
	VERDICT_NEIGH,	/* out of `v_ifindex`, to next hop of node `v_node` or as the kernel routes
			 */
	VERDICT_TUNNEL, /* through the overlay to node `v_node` */
	VERDICT_DROP,
};

struct pkt {
	__u8 room[2]; /* aligns ip[] */
	__u8 eth[PKT_ETH_LEN];
	__u8 ip[40]; /* first 20 (IPv4) or 40 (IPv6) bytes of the header */
	union loom_addr saddr;
	union loom_addr daddr;
	struct loom_ctkey key;
	__be16 sport; /* of the packet; of the flow in the packet's direction with PKT_ERROR */
	__be16 dport;
	__be32 frag_id;
	__u32 len;    /* all of it, with link header */
	__u32 ip_len; /* as the IP header says, GSO included */
	__u16 l3;     /* offsets in the packet */
	__u16 l4;     /* behind IP options and extension headers */
	__u16 in_l3;  /* PKT_ERROR: of the quoted packet */
	__u16 in_l4;
	__u32 ifindex;
	__u32 scope;
	__u32 ep;   /* local endpoint that sent it, or that it is for; 0 = none */
	__u32 tick; /* now */
	__u32 aux;
	__u16 flags;	 /* enum pkt_flags */
	__u16 ethertype; /* host order */
	__u8 hook;
	__u8 family; /* 4, 6, or 0 as long as nothing is known */
	__u8 proto;  /* of the packet; IPPROTO_ICMPV6 for ICMPv6 */
	__u8 ttl;
	__u8 tcp_flags;
	__u8 icmp_type;
	__u8 in_proto;	  /* PKT_ERROR: of the quoted packet */
	__u8 l4_hlen;	  /* transport header's length */
	__u16 frag_flags; /* IPv4 flags and offset, host order */
	__u8 echo;	  /* enum loom_echo; with PKT_ERROR: what would answer the quoted packet */
	__u8 pad;
	__u32 peer_node; /* from_overlay: node that the tunnel comes from, and its address */
	union loom_addr outer;
	/* Question to and answer of route_resolve(). */
	union loom_addr target;
	__u32 target_scope;
	__u32 target_flags; /* enum loom_remote_flags */
	__u32 target_outside;
	__u32 target_gen; /* loom_state.route_gen before the question */
	/* Question to policy_judge(): who is at the other end, and to which port. */
	union loom_addr pol_peer;
	__u32 pol_scope;
	__be16 pol_port;
	__u8 pol_proto;
	__u8 pol_pad;
	/* Scratch of policy.h: the ends of a flow; best rules, order << 8 | action; keys. */
	union loom_addr pol_src;
	union loom_addr pol_dst;
	__u32 pol_src_scope;
	__u32 pol_best[LOOM_TIERS];
	struct loom_ipkey pol_ip;
	struct loom_cidrkey pol_cidr;
	struct loom_polkey pol_key;
	__u32 pol_ep;	   /* whose policy is asked */
	__u32 pol_ingress; /* … as the destination */
	__u32 pol_pad2;
	/* The verdict. */
	__u32 v_kind; /* enum verdict_kind */
	__u32 v_ifindex;
	__u32 v_node;
	__u32 v_mtu;
	__u32 rx_ep;	  /* endpoint that it is delivered to */
	__u8 v_mac[12];	  /* destination, source */
	__u8 hop_mac[12]; /* XDP: of the next hop, destination and source */
	__u32 pad2;
	/* Room to build conntrack entries in: of the flow, and of its other half. */
	struct loom_ct entry;
	struct loom_ct pair_entry;
	/* The service that a new flow is for (svc.h). */
	struct loom_svc svc;
	__u32 svc_vip;	   /* number of the frontend's address; 0: it has none on this node */
	__u32 svc_outside; /* the client is not of the cluster */
	struct loom_event event;
	/* Room for the denial that is counted. */
	struct loom_deniedkey denied_key;
	struct loom_denied denied;
};
