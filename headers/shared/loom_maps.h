/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* clang-format off */
/*
 * Keys and values of the data plane's maps: the contract between the BPF programs, the native build
 * of the same code, the agent and the CLI, and (through BTF) a public interface for `bpftool map
 * dump name loom_...`. Field names are part of it. All structs are free of implicit padding, and
 * sized below. A field that is needed no more becomes `reserved…`, so that pinned maps of before
 * can be used on: it is written as 0, never read, and may hold what an earlier version has left.
 *
 *	loom_state   ARRAY[1]          u32 -> loom_state           generations, node-wide dynamic state
 *	loom_ifcfg   ARRAY             ifindex -> loom_ifcfg
 *	loom_ep      HASH              loom_ipkey -> loom_ep       local endpoints, own addresses
 *	loom_ip      HASH              loom_ipkey -> loom_remote   exact remote addresses
 *	loom_cidr    LPM_TRIE          loom_cidrkey -> loom_remote pod CIDRs, cluster CIDRs, exemptions
 *	loom_node    ARRAY             node id -> loom_node
 *	loom_ct      HASH              loom_ctkey -> loom_ct       flows that have seen a reply
 *	loom_ct_new  LRU_HASH          loom_ctkey -> loom_ct       flows that have not
 *	loom_frag    LRU_HASH          loom_fragkey -> loom_frag
 *	loom_metrics PERCPU_ARRAY      reason * LOOM_HOOK_MAX + hook -> loom_counter
 *	loom_epstats PERCPU_ARRAY      endpoint number -> loom_epstats
 *	loom_denied  LRU_HASH          loom_deniedkey -> loom_denied what policy denied, and would have
 *	loom_evlimit PERCPU_ARRAY[2]   u32 -> loom_evlimit         token buckets: 0 events, 1 ICMP errors
 *	loom_events  RINGBUF           loom_event
 *
 * Services: shared/loom_svc.h. Policy: shared/loom_pol.h.
 */
/* clang-format on */
#include <linux/types.h>

#include "shared/loom_addr.h"
#include "shared/loom_drop.h"
#include "shared/loom_limits.h"
#include "shared/loom_pol.h"
#include "shared/loom_svc.h"

/* ---- node-wide state ------------------------------------------------------------------------- */

/* Everything that may change while the programs run. Written whole by the agent, one field changing
 * at a time. */
struct loom_state {
	__u32 policy_gen;   /* never 0; bumped when verdicts may change */
	__u32 route_gen;    /* never 0; bumped when a next hop, endpoint or link may have changed */
	__u32 node_id;	    /* this node */
	__u32 host_ifindex; /* loom_host */
	__u32 overlay_ifindex; /* loom_vxlan; 0 with native transport */
	__u32 uplink_ifindex;
	__u32 uplink_mtu;
	__u32 flags;	       /* enum loom_state_flags */
	union loom_addr masq4; /* this node's, source of masqueraded IPv4 traffic and of what goes
				  to services' backends elsewhere; :: when there is none */
	union loom_addr masq6;
	__u64 ct_full_total; /* written by the programs: promotions that did not fit into loom_ct */
};

enum loom_state_flags {
	LOOM_STATE_MASQUERADE = 1 << 0, /* pod -> outside leaves with the node's address */
	LOOM_STATE_TUNNEL = 1 << 1,	/* other nodes are reached through the overlay */
	LOOM_STATE_SERVICES = 1 << 2,	/* there are frontends, or were */
};

/* ---- interfaces ------------------------------------------------------------------------------ */

enum loom_if_role {
	LOOM_IF_NONE,
	LOOM_IF_POD,
	LOOM_IF_HOST,
	LOOM_IF_UPLINK,
	LOOM_IF_OVERLAY,
};

struct loom_ifcfg {
	__u32 scope;
	__u32 ep;    /* endpoint number of a pod's interface, else 0 */
	__u32 role;  /* enum loom_if_role */
	__u32 flags; /* enum loom_if_flags */
	__u32 mtu;   /* what the far side takes; 0 = no limit of ours */
	__be32 ip4;  /* the pod's own addresses; 0 and :: when the family is absent */
	union loom_addr ip6;
	__u8 mac[6];  /* far side: the pod's eth0 */
	__u8 hmac[6]; /* near side: the host's end, which is the pod's gateway */
	__u32 pad;
};

enum loom_if_flags {
	LOOM_IF_NO_SPOOF_CHECK = 1 << 0,
	LOOM_IF_RAW_IP = 1 << 1, /* packets have no Ethernet header (tun, WireGuard) */
};

/* ---- addresses ------------------------------------------------------------------------------- */

struct loom_ipkey {
	__u32 scope;
	__u32 pad;
	union loom_addr addr;
};

enum loom_ep_flags {
	LOOM_EP_HOST = 1 << 0, /* one of the node's own addresses: give it to the kernel's stack */
};

struct loom_ep {
	__u32 ifindex; /* host side of the pod's veth; 0 with LOOM_EP_HOST */
	__u32 ep;      /* endpoint number; with LOOM_EP_HOST the address's number in loom_vip */
	__u32 reserved[4];
	__u32 flags; /* enum loom_ep_flags */
	__u8 mac[6];
	__u8 hmac[6];
	__u32 mtu;
};

struct loom_cidrkey {
	__u32 prefixlen; /* 32 (the scope) + length in 128-bit terms */
	__u32 scope;
	union loom_addr addr;
};

enum loom_remote_flags {
	LOOM_REMOTE_NODE = 1 << 0,	  /* the address is a node's own, not a pod's */
	LOOM_REMOTE_UNREACHABLE = 1 << 1, /* inside of the cluster's range, but nobody's: drop */
	LOOM_REMOTE_NO_MASQ = 1 << 2,	  /* outside, but reached with the pod's own address */
};

struct loom_remote {
	__u32 reserved;
	__u32 node; /* node id behind which it is; 0: outside of the cluster */
	__u32 reserved2;
	__u32 flags; /* enum loom_remote_flags */
};

/* ---- nodes ----------------------------------------------------------------------------------- */

enum loom_node_flags {
	LOOM_NODE_PRESENT = 1 << 0,
	LOOM_NODE_TUNNEL = 1 << 1, /* reach it through the overlay */
};

struct loom_node {
	union loom_addr underlay; /* tunnel end point */
	union loom_addr nexthop4; /* next hop on `ifindex` for IPv4 and for IPv6 traffic; :: = ask
				     the kernel */
	union loom_addr nexthop6;
	__u32 ifindex;	   /* link towards it; 0 = ask the kernel */
	__u32 flags;	   /* enum loom_node_flags */
	__u32 mtu;	   /* what a pod's packet towards it may measure; 0 = no limit of ours */
	__be32 tunnel_src; /* overlay: our address, for outer headers that the programs write and
			      send by `ifindex`; 0 = the overlay's device does all that */
};

/* ---- conntrack ------------------------------------------------------------------------------- */

/* Tells tuples apart that would otherwise collide: both sides may ask with one identifier. */
enum loom_ct_kind {
	LOOM_CT_PLAIN,
	LOOM_CT_ECHO_A, /* ICMP echo, a asks */
	LOOM_CT_ECHO_B,
};

/* The lower (address, port) pair is a, so both directions of a flow have one key. ICMP echo: pa =
 * pb = identifier. */
struct loom_ctkey {
	union loom_addr a;
	union loom_addr b;
	__be16 pa;
	__be16 pb;
	__u8 proto;
	__u8 kind; /* enum loom_ct_kind */
	__u16 scope;
};

enum loom_ct_flags {
	LOOM_CT_FROM_B = 1 << 0,  /* b sent the first packet */
	LOOM_CT_REPLIED = 1 << 1, /* the other side answered; entry lives in loom_ct */
	LOOM_CT_SNAT = 1 << 2, /* pod-side tuple: packets of the initiator leave from xaddr:xport */
	LOOM_CT_SNAT_BACK = 1 << 3, /* wire-side tuple: packets to the node go on to xaddr:xport */
	LOOM_CT_CLOSING = 1 << 4,   /* both FINs, or an RST, were seen */
	LOOM_CT_FROM_HOST = 1 << 5, /* came from the host's stack: answers go back to it */
	LOOM_CT_SVC = 1 << 6,	    /* translated for a service: see shared/loom_svc.h */
	LOOM_CT_SVC_BACK = 1 << 7,
	LOOM_CT_SVC_SNAT = 1 << 8,
	LOOM_CT_HAIRPIN = 1 << 9,
	LOOM_CT_DEAD = 1 << 10, /* its backend is gone: each packet is answered with a reset */
	LOOM_CT_DSR = 1 << 11,	/* sent on as it is, for the backend's node to translate */
};

/* out_a / out_b: where packets towards a (b) go: kind in the upper 4 bits, ifindex or node id in
 * the lower 28. */
enum loom_out_kind {
	LOOM_OUT_UNSET,
	LOOM_OUT_PEER,	 /* local pod: redirect_peer to ifindex */
	LOOM_OUT_STACK,	 /* the kernel's stack */
	LOOM_OUT_TUNNEL, /* node id */
	LOOM_OUT_NODE,	 /* native: next hop of node id */
	LOOM_OUT_NEIGH,	 /* outside: ifindex, next hop found by the kernel */
};
#define LOOM_OUT(kind, index) ((__u32)(kind) << 28 | (index))
#define LOOM_OUT_KIND(out)    ((out) >> 28)
#define LOOM_OUT_INDEX(out)   ((out)&0x0fffffffu)

struct loom_ct {
	__u32 seen;  /* tick of the last packet */
	__u16 flags; /* enum loom_ct_flags */
	__u8 tcp_a;  /* OR of the TCP flags that a (b) sent */
	__u8 tcp_b;
	__u32 policy_gen;
	__u32 route_gen;
	__u32 out_a;
	__u32 out_b;
	__u32 reserved[2];
	union loom_addr xaddr;
	__be16 xport;
	__be16 xport2;
	union {
		__u32 service; /* with LOOM_CT_SVC */
		__u32 vip;     /* with LOOM_CT_SVC_BACK and LOOM_CT_SVC_SNAT */
		__u32 xscope;  /* with LOOM_CT_SNAT_BACK: scope of the pod at xaddr */
	};
	union {
		__u32 backend; /* with LOOM_CT_SVC or LOOM_CT_SVC_BACK */
		__u32 via;     /* otherwise: node id through whose tunnel the first packet came */
	};
	__u32 created; /* tick */
};

/*
 * Context of loom_ct_gc (BPF_PROG_TEST_RUN of type syscall; the kernel writes it back). Out fields
 * are set, not added to. Both halves of a masqueraded flow are judged together.
 */
enum loom_gc_mode {
	LOOM_GC_IDLE, /* remove what is idle for longer than its state's timeout */
	LOOM_GC_ADDR, /* remove all that concerns {scope, addr} */
	/* Ends the flows that services no longer have: of backends that are LOOM_BACKEND_GONE, UDP
	 * of those that are not LOOM_BACKEND_READY (not when none of the service is), and UDP that
	 * passes a frontend by because it is older. TCP is marked LOOM_CT_DEAD. */
	LOOM_GC_SERVICES,
};

struct loom_gc_args {
	__u32 mode; /* enum loom_gc_mode */
	__u32 now;  /* tick; 0 = the kernel's clock */
	__u32 scope;
	__u32 pad;
	union loom_addr addr;
	__u32 scanned; /* out: entries looked at in loom_ct … */
	__u32 deleted;
	__u32 new_scanned; /* … and in loom_ct_new */
	__u32 new_deleted;
	__u32 kept_tcp; /* kept in both maps, by kind; a masqueraded flow counts twice */
	__u32 kept_udp;
	__u32 kept_icmp;
	__u32 kept_other;
	__u32 kept_nat;
	__u32 kept_svc;
	__u32 marked; /* LOOM_GC_SERVICES: flows that were marked LOOM_CT_DEAD */
	__s32 error;  /* 0, or the negative errno of a walk that the kernel refused */
};

/* ---- fragments ------------------------------------------------------------------------------- */

struct loom_fragkey {
	union loom_addr saddr;
	union loom_addr daddr;
	__be32 id;
	__u16 scope;
	__u8 proto;
	__u8 pad;
};

enum loom_echo {
	LOOM_ECHO_NONE,
	LOOM_ECHO_REQUEST,
	LOOM_ECHO_REPLY,
};

struct loom_frag {
	__be16 sport;
	__be16 dport;
	__u32 tick;
	__u8 echo; /* enum loom_echo */
	__u8 pad[3];
};

/* ---- counters and events --------------------------------------------------------------------- */

struct loom_counter {
	__u64 packets;
	__u64 bytes;
};

struct loom_epstats {
	__u64 tx_packets; /* sent by the pod */
	__u64 tx_bytes;
	__u64 rx_packets;
	__u64 rx_bytes;
	__u64 drop_packets; /* of what it sent, and of what was for it */
	__u64 drop_bytes;
	__u64 deny_in_packets;	/* by its own policies, or for want of them, as the destination */
	__u64 deny_out_packets; /* … as the source */
};

/*
 * Whom policy denied what: of the flow, as it was judged (see struct loom_event). The source port
 * is not in it, but who begins a flow still chooses its protocol, port and destination, and may
 * forge an address outside: he can fill the map, and so push out others' lines.
 */
struct loom_deniedkey {
	union loom_addr peer;
	__u32 scope; /* the peer's */
	__u32 ep;    /* whose policy it was */
	__be16 port; /* of the flow's destination; 0 where the protocol is not TCP, UDP, SCTP */
	__u8 proto;
	__u8 ingress; /* 1: the endpoint is the destination; 0: it is the source */
	__u8 reason;  /* POLICY, POLICY_PENDING or POLICY_LOGGED of enum loom_drop_reason */
	__u8 pad[3];
};

struct loom_denied {
	__u64 packets; /* POLICY_LOGGED: of those that were judged, which is the first of a flow */
	__u64 last_ns; /* CLOCK_MONOTONIC, of the last one */
};

struct loom_evlimit {
	__u64 last_ns;
	__u64 tokens; /* in 1/1000 of an event */
	__u64 lost;   /* events not sent */
};

/* One record of loom_events. */
struct loom_event {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u16 reason;  /* enum loom_drop_reason */
	__u8 hook;     /* enum loom_hook */
	__u8 proto;
	__u32 ifindex;
	__u32 scope;
	__u32 len;
	union loom_addr saddr;
	union loom_addr daddr;
	__be16 sport;
	__be16 dport;
	__u32 ep; /* local endpoint concerned; 0 = none */
	__u8 tcp_flags;
	__u8 family;	 /* 4 or 6; 0 when the packet was not understood */
	__u16 ethertype; /* host order */
	__u32 aux;	 /* by reason: VNI of TUNNEL_VNI, negative errno of HELPER… */
	/* What was judged: POLICY, POLICY_PENDING, POLICY_LOGGED. Of the flow, which may be about
	 * another address and port than the packet: see shared/loom_pol.h. */
	union loom_addr peer; /* the other end */
	__u32 judged;	      /* endpoint whose policy it was; 0 with other reasons */
	__be16 port;	      /* of the flow's destination */
	__u8 ingress;	      /* 1: the endpoint is the destination; 0: it is the source */
	__u8 flow_proto;      /* ICMP errors are of other protocols' flows */
};

_Static_assert(sizeof(struct loom_state) == 72, "loom_state");
_Static_assert(sizeof(struct loom_ifcfg) == 56, "loom_ifcfg");
_Static_assert(sizeof(struct loom_ipkey) == 24, "loom_ipkey");
_Static_assert(sizeof(struct loom_ep) == 44, "loom_ep");
_Static_assert(sizeof(struct loom_cidrkey) == 24, "loom_cidrkey");
_Static_assert(sizeof(struct loom_remote) == 16, "loom_remote");
_Static_assert(sizeof(struct loom_node) == 64, "loom_node");
_Static_assert(sizeof(struct loom_ctkey) == 40, "loom_ctkey");
_Static_assert(sizeof(struct loom_ct) == 64, "loom_ct is one cache line");
_Static_assert(sizeof(struct loom_gc_args) == 80, "loom_gc_args");
_Static_assert(sizeof(struct loom_fragkey) == 40, "loom_fragkey");
_Static_assert(sizeof(struct loom_frag) == 12, "loom_frag");
_Static_assert(sizeof(struct loom_epstats) == 64, "loom_epstats");
_Static_assert(sizeof(struct loom_deniedkey) == 32, "loom_deniedkey");
_Static_assert(sizeof(struct loom_denied) == 16, "loom_denied");
_Static_assert(sizeof(struct loom_event) == 96, "loom_event");
