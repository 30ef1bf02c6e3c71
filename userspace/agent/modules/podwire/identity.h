/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names and numbers of a pod's link. MAC addresses and the host link's name follow from container
 * id and interface name alone, so that the same attachment always gets the same ones.
 */
#include "agent/modules/pods/pods.h"
#include "lib/netlink/netlink.h"

#define PODWIRE_FIRST_IFINDEX 1000u /* the kernel counts its own from 1 */

/* Fills host_ifname, mac (02:…, locally administered) and hmac. */
void podwire_identify(struct attachment *att);
/* "netloom <namespace>/<pod> <container id>", at most 255 bytes; heap, or NULL. */
char *podwire_alias(const struct attachment *att);
/* Lowest index from `from` on, wrapping, that no link has; 0 when all below LOOM_MAX_IFINDEX are
 * taken. Indexes are used in turn, so that a map entry of a link just gone is never met by the next
 * one. */
unsigned int podwire_next_ifindex(struct nl_sock *nl, unsigned int from);
