/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a pod's interface consists of, as items of one transaction:
 *
 *	pod-link/<host ifname>   veth made in the pod's namespace: eth0 with /32 and /128, lo up,
 *routes by the gateway, static neighbours, MTU, MACs, sysctls. The host side gets an ifindex below
 *LOOM_MAX_IFINDEX, chosen by us. bpf-ifcfg, bpf-ep (one per address), bpf-attach
 *
 * Also checks a wired interface against an attachment for CNI CHECK.
 */
#include "agent/modules/pods/pods.h"

/* Differences between what CNI ADD answered and what is: 0, or -EBADF (namespace gone), -ENODEV,
 * -EINVAL with a sentence that names the first difference. */
int podwire_check(struct agent *a, const struct attachment *att, int netns_fd, struct err *e);
