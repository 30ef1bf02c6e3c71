/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Network namespaces named by a runtime, as paths in the runtime's mount namespace, which need not
 * be the agent's. A path is looked up below `root` (cni.hostRoot; "" = "/") and then below the root
 * of the process that asks, symbolic links included, so that "/var/run" means the host's.
 */
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

struct netns_path {
	int fd;
	uint64_t dev, ino;
};

/* Who asks: its number, and a pidfd that tells whether the number is still its own. */
struct netns_peer {
	pid_t pid;
	int pidfd;
};

/*
 * Opens a namespace that is a network namespace and not the agent's own. `peer` without a number
 * (0) or a pidfd (-1), or that has ended: only below root.
 * -EINVAL with a sentence when the path is none, else the error of open(2).
 */
int netns_path_open(const char *root, const char *path, struct netns_peer peer,
		    struct netns_path *ret, struct err *e);

/*
 * True only if the lookup proves that the path no longer names the namespace {dev, ino}: something
 * else is there, or nothing is although its folder is. A path that can't be seen from here proves
 * nothing.
 */
bool netns_path_gone(const char *root, const char *path, uint64_t dev, uint64_t ino);
