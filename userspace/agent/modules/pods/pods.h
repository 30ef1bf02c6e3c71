/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pods on this node, as attachments (container id + interface name), the unit of CNI. Serves the
 * CNI gRPC service, pushes add-pod and del-pod events, and keeps every attachment in the node's
 * local store from before the wiring starts until after it is gone, so that a crash at any point is
 * mended at the next start: an attachment in state "adding" is torn down, one in "up" is wired
 * again as it was, one in "deleting" is deleted.
 */
#include "agent/core/event.h"
#include "agent/modules/ipam/ipam.h"

/* CNI's portMappings capability: a port of the node that leads to the pod. */
struct port_mapping {
	union loom_addr host_ip;	    /* one address of the node; :: = all */
	uint16_t host_port, container_port; /* host order, never 0 */
	uint8_t proto;			    /* IPPROTO_TCP, _UDP, _SCTP */
};

enum attachment_state { ATTACHMENT_ADDING, ATTACHMENT_UP, ATTACHMENT_DELETING };

struct attachment {
	char *container_id, *ifname;		  /* key */
	char *netns;				  /* path; may be gone */
	uint64_t netns_dev, netns_ino;		  /* identity of the namespace when it was added */
	char *pod_namespace, *pod_name, *pod_uid; /* "" when the runtime did not say */
	enum attachment_state state;
	struct pod_ips ips;
	uint8_t mac[6], hmac[6];
	char host_ifname[16];
	unsigned int host_ifindex;
	uint32_t ep;
	unsigned int mtu;
	struct port_mapping *ports; /* n_ports of them, kept on disk with the rest */
	size_t n_ports;
};

/* Modules' update() see the attachment being filled in their order: ipam: ips; podwire: the rest
 * and the items. */
struct add_pod {
	struct agent_event ev;
	struct attachment *att;
	int netns_fd;  /* open for the time of the event */
	void *request; /* of pods */
};
struct del_pod {
	struct agent_event ev;
	struct attachment *att;
	void *request;
};
extern const struct event_type add_pod_type, del_pod_type;

/* Attachments that are UP, in no order; fn non-zero stops. */
int pods_foreach(struct agent *a, int (*fn)(const struct attachment *att, void *arg), void *arg);
/* By attachment_key(), in whatever state; borrowed, NULL when there is none. */
const struct attachment *pods_find(struct agent *a, const char *key);
const struct attachment *pods_find_ip(struct agent *a, const union loom_addr *addr);
/* "<container id>/<ifname>", the owner name in IPAM and the item name of podwire. */
const char *attachment_key(const struct attachment *att, char *buf, size_t len);
