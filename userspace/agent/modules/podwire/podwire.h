/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a pod's interface consists of, as items of one transaction:
 *
 *	pod-link/<host ifname>    the veth, made in the pod's namespace, and all of eth0's setup
 *	bpf-ifcfg/<ifindex>       the link's record; the index is chosen by us
 *	bpf-ep/<scope>:<address>  one an address
 *	bpf-attach/pod-<ifname>
 *
 * Also checks a wired interface against an attachment for CNI CHECK.
 */
#include "agent/modules/pods/pods.h"

/* Differences between what CNI ADD answered and what is: 0, or -EBADF (namespace gone), -ENODEV,
 * -EINVAL with a sentence that names the first difference. */
int podwire_check(struct agent *a, const struct attachment *att, int netns_fd, struct err *e);
