/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The three descriptors of hostlink: host-link, host-route, host-sysctl. Their context is a netlink
 * socket, but for host-sysctl's, which is a struct host_sysctls. */
#include "agent/core/scheduler.h"
#include "lib/netlink/netlink.h"

struct host_link {
	char name[IFNAMSIZ], peer[IFNAMSIZ]; /* peer: "" for VXLAN */
	unsigned int ifindex, mtu;
	uint16_t port; /* VXLAN, host order */
	bool ready;    /* as it should be in all that has no field here */
};

struct host_sysctl {
	/* Literals. */
	const char *value;
	const char *accept; /* another value that is left as it is; NULL = none */
	const char *why;
};

/*
 * What was put since the last clear. Nothing in the kernel says which sysctls are ours, so a dump
 * looks at these, and lists those that are as they should be.
 */
struct host_sysctls {
	struct host_sysctl_wish *v;
	size_t n;
};
void host_sysctls_clear(struct host_sysctls *s);
/* Path of the first that is applied, and is not as it should be any more; borrowed, or NULL. */
const char *host_sysctls_lost(const struct host_sysctls *all, struct scheduler *s);

extern const struct descriptor host_link_descriptor, host_route_descriptor, host_sysctl_descriptor;

int host_link_create(struct nl_sock *nl, const struct host_link *l, struct err *e);
int host_link_find(struct nl_sock *nl, const char *name, struct host_link *ret);
bool host_link_equal(const void *a, const void *b);
/* The link's rp_filter is 0: 1 if that had to be written; or a negative errno. */
int host_link_unfilter(const char *link);
/* Value of a file below /proc/sys, without its newline. */
int host_sysctl_read(const char *path, char *buf, size_t len);

/* Each takes what it is given and returns what txn_put() does. Paths: "net/ipv4/ip_forward". */
int host_put_link(struct txn *txn, const struct host_link *l);
int host_put_route(struct txn *txn, const struct nl_route *r);
int host_put_sysctl(struct host_sysctls *all, struct txn *txn, const char *path,
		    const struct host_sysctl *s);
