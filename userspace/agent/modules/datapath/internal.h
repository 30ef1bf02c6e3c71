/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* State of the module, shared by its files that speak with the rest of the agent. */
#include "agent/core/module.h"
#include "agent/modules/datapath/attach_items.h"
#include "agent/modules/datapath/cgroup.h"
#include "agent/modules/datapath/ctgc.h"
#include "agent/modules/datapath/denied.h"
#include "agent/modules/datapath/drops.h"
#include "agent/modules/datapath/epnum.h"
#include "agent/modules/datapath/items.h"
#include "agent/modules/datapath/xdp.h"

struct datapath {
	struct agent *agent;
	struct loaded *loaded;
	struct map_items items[N_KINDS];
	struct attach_items attach;
	struct cgroup_items cgroup;
	struct xdp_items xdp;
	struct err sockets_problem; /* why services.socketLB does nothing; code 0: it does */
	struct ctgc *gc;
	struct drops *drops;
	struct epnum eps;
	struct event *flows_timer; /* pending while flows of services shall be ended */
	struct flows_waiter *flows_waiters;
	struct event *denied_sweep; /* pending while loom_denied is to be swept */
	bool denied_stale;	    /* it may have entries of numbers that nobody has */
	struct event *route_bump;   /* pending while flows shall look up their next hop again */
};

struct datapath *datapath_get(struct agent *a);
void datapath_metrics(struct agent *a, struct metrics *m);
int service_flows_start(struct datapath *dp);
void service_flows_stop(struct datapath *dp); /* also after a start that failed */
struct json_object *datapath_status(struct agent *a);
int datapath_routes(struct agent *a);
/* services.socketLB, without which there is nothing to attach. */
uint32_t datapath_translated_sockets(const struct agent_config *c);
int datapath_put_sockets(struct datapath *dp, struct txn *t);
