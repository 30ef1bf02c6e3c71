/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs on a control group (v2): those that translate the sockets of the processes in it and
 * below. Each is a link of its own, pinned at links/<program>-cgroup, so that it outlives the agent
 * and its program is replaced in place. Programs of others on the same group run as well (cgroup
 * links always allow that).
 *
 * bpf-cgroup/sockets: all of them are on the group that has this path and this id now. A group that
 * was removed took its links along; they are made anew.
 */
#include <bpf/bpf.h>

#include "agent/core/scheduler.h"
#include "agent/modules/datapath/loaded.h"

#define CGROUP_DESCRIPTOR "bpf-cgroup"

struct cgroup_hook {
	const char *prog;
	enum bpf_attach_type type;
};
/* In the order in which programs are attached and swapped: the ways back before the ways there.
 * Ends with a NULL prog. */
extern const struct cgroup_hook cgroup_hooks[];

/* Puts the program into the hook's pinned link, if there is one. 1: it was another one before. A
 * dead link is left for the item. */
int cgroup_swap(const char *dir, const struct cgroup_hook *hook, int prog_fd, struct err *e);

/* Whether the kernel took the programs. */
bool cgroup_programs_loaded(const struct loaded *l);
/* The group's id, as bpf_link_info and bpf_get_current_cgroup_id() have it. -ENOENT; -EINVAL: not a
 * folder of a cgroup2 file system. */
int cgroup_id(const char *path, uint64_t *ret, struct err *e);

/* How many of the programs are attached. */
unsigned int cgroup_count(const char *dir);

/* Puts the item. `id`: what cgroup_id() said of the path. */
int cgroup_put(struct txn *t, const char *path, uint64_t id);

/* ctx of the descriptor; the caller keeps it for as long as the scheduler lives. */
struct cgroup_items {
	const struct loaded *loaded;
	const char *dir; /* paths.bpf */
};
extern const struct descriptor cgroup_descriptor;
