/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* clang-format off */
/*
 * Services in the data plane's maps. The agent writes all but loom_aff and loom_sockrev.
 *
 *	loom_svc      HASH          loom_svckey -> loom_svc          frontends: address, port, protocol
 *	loom_lut      ARRAY         slot -> u32 backend number       tables of all services, one region each
 *	loom_backend  ARRAY         backend number -> loom_backend   0 is never used
 *	loom_vip      ARRAY         address number -> loom_addr      enum loom_vip_number
 *	loom_ports    ARRAY         set * 1024 + port / 64 -> u64    one bit a port, bit port % 64
 *	loom_srcrange LPM_TRIE      loom_srckey -> u32 (1)           who may use a frontend
 *	loom_aff      LRU_HASH      loom_affkey -> loom_aff          session affinity
 *	loom_sockrev  LRU_HASH      loom_sockkey -> loom_sockrev     sockets translated at connect or send
 *
 * How a table changes: the new one is written to free slots of loom_lut, then the frontend's value
 * is replaced whole, then the old slots are free (after what may still read them has ended: a
 * packet's time). A backend's number is written before a table names it, and given to nobody else
 * before its flows are gone (LOOM_GC_SERVICES).
 *
 * A translated flow is two conntrack entries that carry each other's tuple:
 *
 *	front   key: client and frontend, as the client sees it.   LOOM_CT_SVC
 *		xaddr:xport  backend; packets of the client go there
 *		xport2       source port of these packets; the client's own unless it had to change
 *		service, backend  numbers
 *		with LOOM_CT_SVC_SNAT their source address is the node's (loom_state.masq4/6), or with
 *		LOOM_CT_HAIRPIN 169.254.1.1 or fd6c:6f6f:6d::1 (LOOM_HAIRPIN4, LOOM_HAIRPIN6_*)
 *	back    key: (client or that source):xport2 and backend.   LOOM_CT_SVC_BACK
 *		without LOOM_CT_SVC_SNAT: xaddr:xport is the frontend, xport2 the client's port
 *		with it: xaddr is the client, xport2 its port, xport the frontend's port, vip the number
 *		of the frontend's address
 *
 * Both have LOOM_CT_SVC_SNAT and LOOM_CT_HAIRPIN alike. In ICMP echo there is no service.
 */
/* clang-format on */
#include <linux/types.h>

#include "shared/loom_addr.h"

/* Frontends on "every address of every node" (NodePort, hostPort) have the address 0.0.0.0
 * (v4-mapped) or ::, and are asked for when a packet's destination is a node's own address and no
 * frontend has that very address. */
struct loom_svckey {
	union loom_addr addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u32 scope;
};

enum loom_svc_flags {
	LOOM_SVC_EXTERNAL = 1 << 0,   /* serves clients outside of the cluster too */
	LOOM_SVC_LOCAL_OUT = 1 << 1,  /* externalTrafficPolicy Local: `out` has this node's only */
	LOOM_SVC_LOCAL_IN = 1 << 2,   /* internalTrafficPolicy Local: `in` has this node's only */
	LOOM_SVC_SILENT_OUT = 1 << 3, /* `out` is empty, but the service has backends elsewhere:
					 drop; without it, refuse */
	LOOM_SVC_SILENT_IN = 1 << 4,
	LOOM_SVC_AFFINITY = 1 << 5,  /* sessionAffinity ClientIP, for affinity_s */
	LOOM_SVC_SRCRANGE = 1 << 6,  /* clients only as loom_srcrange allows, wherever they are */
	LOOM_SVC_NODEPORT = 1 << 7,  /* on every node's addresses */
	LOOM_SVC_HOSTPORT = 1 << 8,  /* of a pod of this node, on this node's addresses only */
	LOOM_SVC_MAGLEV_IN = 1 << 9, /* choose from `in` by the flow's hash, not at random; the
					agent never does: for tests that want one answer */
	LOOM_SVC_DSR = 1 << 10,	     /* remote backends answer clients outside directly */
	LOOM_SVC_LOADBALANCER = 1 << 11, /* for people: kinds of frontends … */
	LOOM_SVC_EXTERNAL_IP = 1 << 12,
	LOOM_SVC_CLUSTER_IP = 1 << 13,
};

struct loom_svc {
	__u32 service; /* number of the service's port: all its frontends have the same */
	__u32 vip;     /* number of the address; 0 for the address of every node */
	__u32 in;      /* table for clients in the cluster (pods, nodes): first slot … */
	__u32 in_size; /* … and slots; 0: no backend */
	__u32 out;     /* table for clients outside: Maglev, the same on all nodes */
	__u32 out_size;
	__u32 flags; /* enum loom_svc_flags */
	__u32 affinity_s;
};

enum loom_backend_flags {
	LOOM_BACKEND_PRESENT = 1 << 0,	   /* the number is in use */
	LOOM_BACKEND_READY = 1 << 1,	   /* takes new flows; keeps affinity and UDP flows */
	LOOM_BACKEND_TERMINATING = 1 << 2, /* keeps its TCP flows */
	LOOM_BACKEND_LOCAL = 1 << 3,	   /* on this node */
	LOOM_BACKEND_HOST = 1 << 4,	   /* in the host's network, its address is a node's */
	LOOM_BACKEND_GONE = 1 << 5, /* ends its flows: UDP forgotten, TCP answered by a reset */
};

struct loom_backend {
	union loom_addr addr;
	__be16 port;
	__u8 proto;
	__u8 flags; /* enum loom_backend_flags */
	__u32 gen;  /* another one for each backend that has had the number; never 0 */
	__u32 node; /* node id, 0: not known or outside of the cluster */
	__u32 scope;
};

/* loom_vip: numbers of addresses. */
enum loom_vip_number {
	LOOM_VIP_NONE,
	LOOM_VIP_NODE_FIRST = 16,     /* this node's own addresses; loom_ep.ep with LOOM_EP_HOST */
	LOOM_VIP_SERVICE_FIRST = 256, /* addresses of services */
	LOOM_VIP_MAX = 1 << 17,
};

/* loom_ports: the sets. */
enum loom_port_set {
	LOOM_PORTS_FRONT, /* frontends that packets to this node's own addresses may be for */
	LOOM_PORTS_HOST_BACKEND, /* backends in this node's host network: their answers leave by the
				    uplink and must be looked at */
	LOOM_PORTS_SETS,
};
#define LOOM_PORTS_WORDS 1024 /* a set */

struct loom_srckey {
	__u32 prefixlen; /* 32 (the service) + length in 128-bit terms */
	__u32 service;
	union loom_addr addr;
};

struct loom_affkey {
	union loom_addr client; /* socket level: ::, with the namespace's cookie in d[1] */
	__u32 service;
	__u32 outside; /* 1: from the table `out` */
};

struct loom_aff {
	__u32 backend;
	__u32 gen;  /* loom_backend.gen */
	__u32 seen; /* tick of the last new flow */
	__u32 pad;
};

struct loom_sockkey {
	__u64 cookie;	      /* bpf_get_socket_cookie() */
	union loom_addr addr; /* backend */
	__be16 port;
	__u16 pad;
	__u32 pad2;
};

struct loom_sockrev {
	union loom_addr addr; /* frontend, as the application knows it */
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u32 service;
	__u32 backend;
	__u32 gen; /* loom_backend.gen */
};

_Static_assert(sizeof(struct loom_svckey) == 24, "loom_svckey");
_Static_assert(sizeof(struct loom_svc) == 32, "loom_svc");
_Static_assert(sizeof(struct loom_backend) == 32, "loom_backend");
_Static_assert(sizeof(struct loom_srckey) == 24, "loom_srckey");
_Static_assert(sizeof(struct loom_affkey) == 24, "loom_affkey");
_Static_assert(sizeof(struct loom_aff) == 16, "loom_aff");
_Static_assert(sizeof(struct loom_sockkey) == 32, "loom_sockkey");
_Static_assert(sizeof(struct loom_sockrev) == 32, "loom_sockrev");
