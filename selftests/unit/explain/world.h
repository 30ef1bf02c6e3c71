/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node for `netloom explain`: the loaded BPF programs in the golden cases' small cluster, their
 * maps pinned on a bpffs of the test's own. So what explain says can be held against what the
 * programs do.
 */
#include <json-c/json.h>

#include "ctl/ctl.h"
#include "selftests/bpf/packet.h"
#include "selftests/bpf/world.h"

/* 0, or negative errno: can't run here. */
int node_start(void);
void node_stop(void);

/* A connection to be: between two of the world, or with `to_addr` instead of a name. */
struct flow {
	enum loom_hook hook; /* where it comes in; must fit the sender */
	enum who from, to;
	uint16_t port; /* 0: echo request */
	uint8_t proto;
	int family;
};

/* What the loaded program does with its first packet: reason, or 0; *ret as the target says. */
int node_send(const struct flow *f, struct target_verdict *ret);

struct said {
	int code;
	char *out, *complaint;
	struct json_object *result; /* NULL unless `json` */
};
/* Runs `netloom explain --local` with these words. */
struct said node_explain(const char *socket, bool json, unsigned int flow, const char *from,
			 const char *to);
/* Without --local: other nodes are asked through the agent. */
struct said node_explain_way(const char *socket, bool json, const char *from, const char *to);
/* node_explain() for a flow, in JSON, without an agent. */
struct said node_explain_flow(const struct flow *f);
/* This node's half, in JSON; `arrives`: as the node before asks that has sent the packet here. */
struct json_object *node_explain_half(const struct flow *f, bool arrives);
void said_release(struct said *s);
/* Text of the first step of that name, or "". Borrowed. */
const char *said_step(const struct said *s, const char *step);
struct json_object *said_step_json(const struct said *s, const char *step, bool last);
