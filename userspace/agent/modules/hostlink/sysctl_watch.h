/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sysctls that the node cannot do without and that somebody else sets: 'sysctl --system' of a
 * package's installation, a configuration management that knows of no pods. The kernel tells of
 * forwarding and rp_filter (not of accept_ra), and what is not as it should be then is an upstream
 * resync. What is listed is borrowed; on the loop's thread.
 */
#include "agent/core/module.h"
#include "agent/modules/hostlink/items.h"

struct sysctl_watch;

int sysctl_watch_new(struct agent *a, const struct host_sysctls *all, struct sysctl_watch **ret,
		     struct err *e);
void sysctl_watch_free(struct sysctl_watch *w); /* accepts NULL */
DEFINE_FREEP(struct sysctl_watch, sysctl_watch_free)
