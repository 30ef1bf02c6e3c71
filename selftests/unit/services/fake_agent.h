/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The services module alone: its core, db, uplink, pods and datapath are these few functions, its
 * maps those that the test gives (world_maps.c: of the kernel; the fuzzer's: of memory). One world
 * at a time.
 *
 *	fake_start(&f);
 *	fake_set(&f, "service/default/web", json);      etcd has it; nobody is told yet
 *	fake_resync(&f, EVENT_FULL_RESYNC);
 *	fake_change(&f, "endpointslice/default/web-1", json);   told at once
 *	fake_stop(&f);
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "agent/core/agent_config.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/services/private.h"

struct fake_maps {
	int svc, lut, backend, vip, ports, srcrange;
	int sockrev; /* -1: none */
	uint32_t max_fronts, max_backends, max_slots, max_vips, max_ranges;
};

#define FAKE_PODS 8

struct fake {
	struct event_base *base;
	struct agent_config cfg;
	struct fake_maps maps; /* filled in by the test before fake_start() */
	struct json_object *db;
	void *state; /* of the module */
	struct node_identity self;
	union loom_addr own[300];
	size_t n_own;
	struct attachment pods[FAKE_PODS];
	size_t n_pods;
	unsigned int heals, flow_runs, sockets_ended;
	bool flows_fail; /* the next run of the collector */
	void (*flows_done)(struct agent *a, int err, void *arg);
	void *flows_arg;
};

/* What tests of one agent after the other need: the maps and etcd stay. */
void fake_init(struct fake *f);
void fake_start(struct fake *f);
void fake_stop(struct fake *f);
void fake_fini(struct fake *f);

struct agent *fake_agent(struct fake *f);
struct services *fake_services(struct fake *f);
/* `key` behind "/netloom/k8s/", or whole when it begins with "/". Takes `value`; NULL deletes. */
void fake_set(struct fake *f, const char *key, struct json_object *value);
void fake_change(struct fake *f, const char *key, struct json_object *value);
void fake_synced(struct fake *f);
int fake_resync(struct fake *f, enum event_method method);
void fake_pod(struct fake *f, struct attachment *att, bool add);
void fake_uplink(struct fake *f);
/* A timer goes off now, if it is to go off at all. */
void fake_fire(struct event *timer);
/* The collector's run that was asked for ends; timers run until nothing is left to wait for. */
void fake_settle(struct fake *f);
/* GET; heap, NULL when it is none (404). */
char *fake_get(struct fake *f, const char *path);
