/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The way of attaching before tcx: a clsact qdisc, which others may have made already and which is
 * left when ours goes, with one direct-action filter of ours at a fixed handle and priority. See
 * attach.h for the meaning of the functions.
 */
#include "agent/modules/datapath/attach.h"

int clsact_put(const struct attach_hook *hook, int prog_fd, const char *ifname,
	       unsigned int ifindex, struct err *e);
int clsact_del(const struct attach_hook *hook, const char *ifname, struct err *e);
int clsact_foreach(int (*fn)(const struct attached *at, void *arg), void *arg);
