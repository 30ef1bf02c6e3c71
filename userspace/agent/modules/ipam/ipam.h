/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pod addresses out of this node's pod CIDRs: next free after the last given, wrapping; the network
 * and broadcast address and the first address are never given. A released address rests for
 * ipam.quarantine (60 s). State is rebuilt from the attachments after a restart.
 */
#include "lib/base/addr.h"
#include "lib/base/err.h"

struct agent;
struct json_object;

struct pod_ips {
	union loom_addr ip4, ip6; /* :: when the family is not used */
};
/* -ENOSPC: "pool 10.1.1.0/24 is full: 253 of 253 addresses in use, 2 of them resting"; -EAGAIN: the
 * node has no pod CIDR yet. */
int ipam_alloc(struct agent *a, const char *owner, struct pod_ips *ret, struct err *e);
/* Takes a given address for `owner` (adoption after a restart; requested addresses). -EADDRINUSE
 * names the holder. */
int ipam_reserve(struct agent *a, const char *owner, const struct pod_ips *ips, struct err *e);
/* `rest`: quarantine; false when the address was never seen by anybody (a reverted ADD). */
void ipam_release(struct agent *a, const char *owner, bool rest);
/* Whether the next ipam_alloc() would succeed: 0, or what it would fail with (CNI STATUS). */
int ipam_room(struct agent *a, struct err *e);
