/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The link of one pod: a veth pair whose far end is made in the pod's namespace, with all that the
 * pod needs to talk. Works on a namespace through a netlink socket of the agent's own one; knows
 * neither the agent nor the scheduler, so that it can be tested by itself.
 */
#include "agent/modules/ipam/ipam.h"
#include "lib/netlink/netlink.h"

struct pod_link {
	char host_ifname[IFNAMSIZ], ifname[IFNAMSIZ];
	unsigned int host_ifindex, mtu;
	uint8_t mac[6], hmac[6]; /* of the pod's end, of the host's end */
	struct pod_ips ips;
	char *alias;		       /* of the host's end: "netloom <ns>/<pod> <container id>" */
	char *netns;		       /* path, as the runtime gave it */
	uint64_t netns_dev, netns_ino; /* 0: not checked */
	bool up;		       /* dumped: host's end is up */
};

void pod_link_free(struct pod_link *l); /* accepts NULL */
DEFINE_FREEP(struct pod_link, pod_link_free)
/* What can be seen from the host's end. */
bool pod_link_equal(const struct pod_link *a, const struct pod_link *b);

/*
 * Makes it all, or nothing. `netns_fd` is the pod's namespace, borrowed. -EEXIST: the pod has such
 * an interface already, or the host such a link.
 */
int pod_link_create(struct nl_sock *nl, const struct pod_link *l, int netns_fd, struct err *e);
/* MTU, MAC, alias and state of the host's end. -EOPNOTSUPP: another link. */
int pod_link_update(struct nl_sock *nl, const struct pod_link *old, const struct pod_link *new,
		    struct err *e);
/* Succeeds when there is none. */
int pod_link_delete(struct nl_sock *nl, const char *host_ifname, struct err *e);
/*
 * The quick half of deleting: the link carries nothing from here on, and waits in
 * POD_LINK_RETIRED_GROUP for reaper.h. 1, or 0 when there is none.
 */
int pod_link_retire(struct nl_sock *nl, const char *host_ifname, struct err *e);
#define POD_LINK_RETIRED_GROUP 0x6c6f6f6d /* nobody else's: "loom" */
/* Host ends that netloom made: by name and alias. fn gets a new object. */
int pod_link_foreach(struct nl_sock *nl, int (*fn)(struct pod_link *l, void *arg), void *arg,
		     struct err *e);
/* As podwire_check(). */
int pod_link_check(struct nl_sock *nl, const struct pod_link *l, int netns_fd, struct err *e);

#define POD_LINK_ALIAS "netloom "
/* "nl" + 12 hexadecimal digits. */
bool pod_link_name_is_ours(const char *name);
