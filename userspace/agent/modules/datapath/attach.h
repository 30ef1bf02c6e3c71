/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs on links: as tcx links (kernel 6.6 and newer), pinned at links/<program>-<interface> so
 * that they outlive the agent, or as clsact filters with a fixed handle and priority: on older
 * kernels, and on pods' links, where making a tcx link would cost CNI ADD a grace period. Either
 * way a program is replaced in place: there is no moment without one.
 *
 * Interfaces are those of the calling thread's network namespace. Nothing is kept in memory: what
 * is attached is read from the kernel each time.
 */
#include <net/if.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/datapath/loaded.h"

/* One program that a role has on its link. */
struct attach_hook {
	enum datapath_role role;
	const char *prog;
	bool egress;
	bool optional; /* only where the object has such a program */
};
/* In the order in which programs are swapped: receivers before senders, since old and new ones run
 * side by side for a moment. Ends with a NULL prog. */
extern const struct attach_hook attach_hooks[];
const struct attach_hook *attach_hook_find(const char *prog);

/* Asks the kernel, without attaching anything. */
enum attach_mode attach_mode_probe(int prog_fd);
const char *attach_mode_name(enum attach_mode mode);

struct attacher {
	const char *dir;       /* paths.bpf; borrowed */
	enum attach_mode mode; /* of all but pods' links, which are clsact */
};

/* Attaches, or replaces what the same hook has on that interface. A pinned link whose device is
 * gone or has another ifindex is dropped and made anew. */
int attach_put(const struct attacher *a, const struct attach_hook *hook, int prog_fd,
	       const char *ifname, unsigned int ifindex, struct err *e);
/* Succeeds when nothing is attached, or the device is gone. */
int attach_del(const struct attacher *a, const struct attach_hook *hook, const char *ifname,
	       struct err *e);

struct attached {
	char prog[32]; /* as pinned */
	char ifname[IFNAMSIZ];
	unsigned int ifindex; /* 0: the device is gone */
	uint32_t prog_id;
	uint32_t link_id; /* 0 with clsact */
	bool egress;
};
/* All that is attached and ours. */
int attach_foreach(const struct attacher *a, int (*fn)(const struct attached *at, void *arg),
		   void *arg);
uint32_t prog_id_of(int prog_fd);
/* Puts the program wherever its hook is attached now. Dead links are left for attach_put(). Returns
 * how many were changed. */
int attach_swap(const struct attacher *a, const struct attach_hook *hook, int prog_fd,
		struct err *e);
