/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The host's own side of the pod network, as items:
 *
 *	host-link/loom_host     veth pair loom_host / loom_hpeer. The host reaches every pod by it:
 *	                        program from_host, at its egress, takes each packet to where it
 *	                        belongs, so that nothing ever comes out at loom_hpeer.
 *	host-link/loom_vxlan    one VXLAN device for all nodes (transport: vxlan)
 *	host-route/<prefix>     each cluster pod CIDR by loom_host
 *	host-sysctl/<path>      what the kernel must allow
 *
 * with the bpf-ifcfg and bpf-attach items of these links and of the uplink. Nothing is taken back
 * when the agent stops.
 */
#include <stdbool.h>

struct agent;

/* Indexes that the links have, or will have after the transaction at hand; 0: not chosen yet (no
 * uplink), or no such link with native transport. */
unsigned int hostlink_host_ifindex(struct agent *a);
unsigned int hostlink_overlay_ifindex(struct agent *a);
