/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the socket programs are tried: a control group and a network namespace of the test's own.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdint.h>

#include "shared/loom_config.h"
#include "shared/loom_maps.h"
/* After the types of its .rodata. */
#include "bpf/loom_sock.skel.h"

extern struct loom_sock *bpf; /* of the host's sockets, between setup and teardown */

/* run() in a child; the control group, which it enters with sock_setup(), is removed from outside.
 * What run() returned. */
int in_a_cgroup(int (*run)(void));
int sock_setup(void **state);
int sock_teardown(void **state);

uint64_t own_netns(void); /* cookie */
/* A new network namespace, with loopback. 0 or negative errno. */
int enter_netns(void);

/* The programs on the control group, for the sockets of `whose`, with `maps` of another set. NULL
 * when that fails. */
struct loom_sock *attach(enum loom_svc_sockets whose, uint64_t host_netns,
			 const struct loom_sock *maps);
unsigned int attached(void); /* programs, so far */
/* All that were attached after so many. */
void detach(struct loom_sock *of, unsigned int before);
