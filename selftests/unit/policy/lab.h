/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The data plane of one node around a random cluster, in a target of the golden cases: who is
 * where, a few services, and packets that go in where their sender is. What policies need is not
 * its business: the compiler writes that into the same target's maps.
 *
 * The generator's first node is this one, the other is reached by the tunnel; its pods are on this
 * node, but for LAB_REMOTE_PODS. Whoever has no place is outside, and masqueraded for.
 */
#include "selftests/bpf/packet.h"
#include "selftests/unit/policy/generator.h"

#define LAB_REMOTE_PODS 2 /* the last ones */
#define LAB_SERVICES	6
#define LAB_BACKENDS	2

enum lab_kind { LAB_OUTSIDE, LAB_POD, LAB_REMOTE, LAB_HOST };

struct lab_place {
	enum lab_kind kind;
	size_t pod; /* LAB_POD */
};

/* One frontend for everybody, and a table of backends, of which the flow's hash chooses. */
struct lab_service {
	union loom_addr front;
	uint16_t port;
	uint8_t proto;
	size_t n;
	struct {
		union loom_addr addr;
		uint16_t port;
	} backends[LAB_BACKENDS];
};

struct lab {
	const struct target *t;		/* started, with a reset() of its own */
	enum lab_kind pods[MODEL_PODS]; /* LAB_OUTSIDE: it is not there */
	struct lab_service services[LAB_SERVICES];
};

/* An empty node with random services. */
void lab_build(struct lab *lab, const struct target *t, struct random *r);
/* LAB_POD, LAB_REMOTE, or LAB_OUTSIDE: its addresses are nobody's, and their flows end. */
void lab_set_pod(struct lab *lab, size_t pod, enum lab_kind kind);
/* Live flows are judged again: what the compiler asks for when it is done. */
int lab_bump(void *arg);

void lab_pod_addrs(size_t pod, union loom_addr ret[2]);
struct lab_place lab_place(const struct lab *lab, const union loom_addr *addr);
enum loom_hook lab_hook(enum lab_kind kind);
/*
 * A packet as `p` says, MACs aside, that comes in at the hook; at from_pod by the link of the pod
 * that has the source. 0, with what has become of it in *ret; or the reason for which it ended
 * (enum loom_drop_reason).
 */
int lab_send(struct lab *lab, enum loom_hook hook, struct packet *p, struct packet *ret);
