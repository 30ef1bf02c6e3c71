/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An agent of a few modules without a loop of its own: the real scheduler, uplink, hostlink,
 * nodesync, ipam and podwire; a data plane that only counts; a local store in memory; an etcd that
 * is never there.
 */
#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/pods/pods.h"

struct fake_agent {
	struct event_base *base;
	struct agent_config cfg;
	struct scheduler *scheduler;
	struct {
		const struct module *m;
		void *state;
	} states[16];
	struct {
		char table[16], key[64], value[160];
	} local[32];
	struct attachment *pods[8]; /* UP */
	size_t n_pods;
	struct json_object *nodes; /* key -> object, below /netloom/node/ */
	int bpf_items;		   /* applied now */
	int bpf_changes;	   /* creates, updates and deletes */
	int forgotten, ep_held;
	char published[1024];
};

struct agent *fake_agent(struct fake_agent *f);
/* Starts the modules, or stops them; the node and the local store stay. */
int fake_start(struct fake_agent *f, struct err *e);
void fake_stop(struct fake_agent *f);
int fake_resync(struct fake_agent *f, struct txn_stats *ret, struct err *e);
/* One event as the core would run it. */
int fake_add(struct fake_agent *f, struct attachment *att, int netns_fd, struct err *e);
int fake_del(struct fake_agent *f, struct attachment *att, struct err *e);
/* What GET of the path answers; a new object. */
struct json_object *fake_get(const char *path);
/* A node's object in etcd changed; NULL: it is gone. */
int fake_node(struct fake_agent *f, const char *name, const char *json, struct err *e);
