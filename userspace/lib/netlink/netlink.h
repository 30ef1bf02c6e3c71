/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * rtnetlink for the agent, on libmnl: links, addresses, routes and neighbours of a network
 * namespace, and a socket that tells of changes.
 *
 *	_cleanup_(nl_closep) struct nl_sock *nl = NULL;
 *	err = nl_open(-1, &nl, &e);
 *	nl_batch_begin(nl);
 *	nl_link_set(nl, &(struct nl_link_set){ .ifindex = i, .up = NL_ON }, NULL);
 *	nl_addr_add(nl, &addr, NULL);
 *	err = nl_batch_end(nl, &e);         one system call for both, first error with its sentence
 *
 * A socket stays bound to the namespace that it was opened in, so no caller has to change
 * namespaces to use it. A socket belongs to one thread. Errors are negative errno as the kernel
 * gave them; messages name the object and carry the kernel's extended acknowledgement.
 */
#include <net/if.h>
#include <sys/types.h>

#include "lib/base/addr.h"
#include "lib/base/err.h"

struct nl_sock;

/* In the namespace that `netns_fd` refers to, or the thread's own one when it is negative. */
int nl_open(int netns_fd, struct nl_sock **ret, struct err *e);
void nl_close(struct nl_sock *nl); /* accepts NULL */
DEFINE_FREEP(struct nl_sock, nl_close)

/*
 * Between begin and end every request is queued and returns 0 (-ENOBUFS: more than about 16). end
 * sends them in one message; the kernel goes on after one that fails, and the first failure is
 * returned. Dumps and gets are not allowed in between.
 */
void nl_batch_begin(struct nl_sock *nl);
int nl_batch_end(struct nl_sock *nl, struct err *e);

/* ---- namespaces ---- */

/*
 * Moves the calling thread into a network namespace; *ret_old is what netns_leave() takes back and
 * closes. A thread that can't come home must not go on: netns_leave() aborts then.
 */
int netns_enter(int netns_fd, int *ret_old, struct err *e);
void netns_leave(int *old_fd);
/* Opens the path of a namespace and checks that it is a network namespace. -EBADF when it is gone
 * or something else. */
int netns_open(const char *path, int *ret_fd, struct err *e);

/* ---- links ---- */

enum nl_switch { NL_KEEP, NL_ON, NL_OFF };

struct nl_link {
	unsigned int ifindex, peer_ifindex, mtu, flags; /* flags: IFF_* */
	unsigned short type;				/* ARPHRD_* */
	char name[IFNAMSIZ], kind[16], alias[256];
	uint8_t mac[6];
	bool has_mac;
	struct {
		bool external, learning;
		uint16_t port; /* host order */
	} vxlan;	       /* kind "vxlan" */
};

struct nl_veth {
	unsigned int ifindex; /* 0: the kernel's choice */
	char name[IFNAMSIZ];
	const uint8_t *mac; /* NULL: random */
	unsigned int mtu;   /* of both ends; 0: 1500 */
	struct {
		unsigned int ifindex;
		char name[IFNAMSIZ];
		const uint8_t *mac;
		int netns_fd; /* negative: same namespace */
	} peer;
};
int nl_link_add_veth(struct nl_sock *nl, const struct nl_veth *v, struct err *e);

/* VXLAN device whose metadata comes with each packet (RFC 7348; "external"): no learning, no local
 * bind, zero UDP checksums accepted and sent over IPv6 (RFC 6935). */
int nl_link_add_vxlan(struct nl_sock *nl, const char *name, unsigned int ifindex, uint16_t port,
		      unsigned int mtu, struct err *e);

struct nl_link_set {
	unsigned int ifindex;
	enum nl_switch up, arp;
	unsigned int mtu;      /* 0: keep */
	const uint8_t *mac;    /* NULL: keep */
	const char *alias;     /* NULL: keep */
	const uint32_t *group; /* NULL: keep */
	bool no_addrgen;       /* no automatic IPv6 link-local address; before the link goes up */
	bool rp_filter_off;    /* net.ipv4.conf.<link>.rp_filter = 0 */
};
int nl_link_set(struct nl_sock *nl, const struct nl_link_set *set, struct err *e);
/* -ENODEV when there is none is returned as such. */
int nl_link_del(struct nl_sock *nl, unsigned int ifindex, struct err *e);
/* All links of a group (not 0, the default group) at once. -ENODEV when it is empty. */
int nl_link_del_group(struct nl_sock *nl, uint32_t group, struct err *e);
/*
 * A link that came up before its peer starts to send only when the kernel's link watch gets to it,
 * and loses in silence what is sent before. Asking for the carrier makes it happen now (kernels
 * from 6.8 on; older ones take up to a few milliseconds). In the thread's own namespace.
 */
void nl_link_settle(const char *name);
/* By index, or by name when `ifindex` is 0. -ENODEV. */
int nl_link_get(struct nl_sock *nl, unsigned int ifindex, const char *name, struct nl_link *ret,
		struct err *e);
/* All links; fn non-zero stops and is returned. The socket may be used inside of fn. */
int nl_link_foreach(struct nl_sock *nl, int (*fn)(const struct nl_link *link, void *arg), void *arg,
		    struct err *e);

/* ---- addresses ---- */

struct nl_addr {
	unsigned int ifindex;
	union loom_addr addr;
	uint8_t len;	/* family terms: 32, 128 */
	uint8_t scope;	/* RT_SCOPE_* */
	uint32_t flags; /* IFA_F_* */
};
/* -EEXIST when it is there. */
int nl_addr_add(struct nl_sock *nl, const struct nl_addr *addr, struct err *e);
int nl_addr_del(struct nl_sock *nl, const struct nl_addr *addr, struct err *e);
int nl_addr_foreach(struct nl_sock *nl, int (*fn)(const struct nl_addr *addr, void *arg), void *arg,
		    struct err *e);

/* ---- routes ---- */

#define NL_PROTO_NETLOOM 0x6e /* rtm_protocol of every route that netloom adds */

struct nl_route {
	struct prefix dst;	 /* family, too */
	union loom_addr gateway; /* :: = on link */
	union loom_addr src;	 /* preferred source; :: = none */
	unsigned int ifindex, mtu, metric;
	uint32_t table;	  /* 0: main */
	uint8_t protocol; /* 0: NL_PROTO_NETLOOM when adding */
	uint8_t scope;	  /* RT_SCOPE_*; IPv4 only */
	uint8_t type;	  /* RTN_*; 0: unicast */
	bool onlink;
};
/* Takes the place of one with the same destination, metric and table. */
int nl_route_replace(struct nl_sock *nl, const struct nl_route *route, struct err *e);
/* -ESRCH when there is none. */
int nl_route_del(struct nl_sock *nl, const struct nl_route *route, struct err *e);
/* Of every table and both families, cloned ones left out. */
int nl_route_foreach(struct nl_sock *nl, int (*fn)(const struct nl_route *route, void *arg),
		     void *arg, struct err *e);
/* What the kernel would do with a packet to `dst`. -ENETUNREACH, -EHOSTUNREACH… */
int nl_route_get(struct nl_sock *nl, const union loom_addr *dst, struct nl_route *ret,
		 struct err *e);

/* ---- neighbours ---- */

struct nl_neigh {
	unsigned int ifindex;
	union loom_addr addr;
	uint8_t mac[6];
	uint16_t state; /* NUD_* */
};
int nl_neigh_replace(struct nl_sock *nl, const struct nl_neigh *neigh, struct err *e);
int nl_neigh_foreach(struct nl_sock *nl, int (*fn)(const struct nl_neigh *neigh, void *arg),
		     void *arg, struct err *e);

/* ---- changes ---- */

struct nl_monitor;
enum nl_change_kind {
	NL_CHANGE_LINK,
	NL_CHANGE_ADDR,
	NL_CHANGE_ROUTE,
	NL_CHANGE_CONF, /* forwarding or rp_filter of conf_ifindex */
	NL_CHANGE_TC,	/* gone: the clsact qdisc of tc.ifindex, or a filter of it */
	NL_CHANGE_LOST, /* events were lost, everything may have changed */
};
struct nl_change {
	enum nl_change_kind kind;
	bool gone;
	union {
		struct nl_link link;
		struct nl_addr addr;
		struct nl_route route;
		struct {
			unsigned int ifindex, priority; /* priority 0: of all filters */
		} tc;
		struct {
			int conf_ifindex;  /* NETCONFA_IFINDEX_ALL, _DEFAULT, or a link's index */
			bool conf_filters; /* its rp_filter was set, and not to 0 */
		};
	};
};
/* Follows links, addresses, routes and lost programs of the thread's own namespace. Non-blocking.
 */
int nl_monitor_open(struct nl_monitor **ret, struct err *e);
/* Follows sysctls below net/ipv4/conf and net/ipv6/conf, those that the kernel tells of. */
int nl_monitor_open_conf(struct nl_monitor **ret, struct err *e);
void nl_monitor_close(struct nl_monitor *m);
DEFINE_FREEP(struct nl_monitor, nl_monitor_close)
int nl_monitor_fd(const struct nl_monitor *m);
/* Reads all that waits. 0, or the error of the socket. */
int nl_monitor_read(struct nl_monitor *m, void (*fn)(const struct nl_change *c, void *arg),
		    void *arg);
