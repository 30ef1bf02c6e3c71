/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sysctls that the node cannot do without and that somebody else sets: 'sysctl --system' of a
 * package's installation, a configuration management that knows of no pods. The kernel tells of
 * forwarding and rp_filter (not of accept_ra), and what is not as it should be then is an upstream
 * resync. Our own links' rp_filter is just set back: where udev runs systemd-sysctl for each link
 * that comes, and some file has a filter for '*', every pod's link gets one. What is listed is
 * borrowed; on the loop's thread.
 */
#include "agent/core/module.h"
#include "agent/modules/hostlink/items.h"

struct sysctl_watch;

int sysctl_watch_new(struct agent *a, const struct host_sysctls *all, struct sysctl_watch **ret,
		     struct err *e);
void sysctl_watch_free(struct sysctl_watch *w); /* accepts NULL */
DEFINE_FREEP(struct sysctl_watch, sysctl_watch_free)
