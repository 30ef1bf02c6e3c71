// SPDX-License-Identifier: Apache-2.0
/* What the services module asks for (datapath.h): the maps themselves, and the end of flows. */
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/internal.h"
#include "agent/modules/datapath/sockets.h"

#define LOG_NAME "datapath"
#include "lib/base/log.h"

/* A run looks at every flow, so what is asked for within this time is one. */
#define MERGE_MS 50

struct flows_waiter {
	struct flows_waiter *next;
	void (*done)(struct agent *a, int err, void *arg);
	void *arg;
};

int datapath_map_fd(struct agent *a, const char *name)
{
	return loaded_map_fd(datapath_get(a)->loaded, name);
}

uint32_t datapath_map_size(struct agent *a, const char *name)
{
	const struct loaded_map *map = loaded_map(datapath_get(a)->loaded, name);

	return map ? map->max_entries : 0;
}

/* Who asks again from its callback waits for the next run. */
static void tell(struct datapath *dp, int err)
{
	struct flows_waiter *list = dp->flows_waiters;

	dp->flows_waiters = NULL;
	while (list) {
		struct flows_waiter *w = list;

		list = w->next;
		w->done(dp->agent, err, w->arg);
		free(w);
	}
}

static void end_flows(evutil_socket_t fd, short what, void *arg)
{
	struct datapath *dp = arg;
	struct err e = {};
	int err = ctgc_end_services(dp->gc, &e);

	if (err < 0)
		log_warn("flows of backends that are gone stay until they time out: %s", e.msg);
	tell(dp, MIN(err, 0));
}

void datapath_end_service_flows(struct agent *a, void (*done)(struct agent *a, int err, void *arg),
				void *arg)
{
	static const struct timeval soon = { .tv_usec = MERGE_MS * 1000 };
	struct datapath *dp = datapath_get(a);
	struct flows_waiter *w;

	if (!evtimer_pending(dp->flows_timer, NULL))
		evtimer_add(dp->flows_timer, &soon);
	if (!done)
		return;
	w = malloc(sizeof(*w));
	if (!w) {
		done(a, -ENOMEM, arg);
		return;
	}
	*w = (struct flows_waiter){ dp->flows_waiters, done, arg };
	dp->flows_waiters = w;
}

int datapath_end_sockets(struct agent *a, uint32_t backend)
{
	const struct datapath *dp = datapath_get(a);
	struct err e = {};
	int n = sockets_end(loaded_map_fd(dp->loaded, "loom_sockrev"),
			    loaded_map_fd(dp->loaded, "loom_backend"), backend, &e);

	if (n < 0)
		log_warn("sockets of backend %u are not ended: %s", backend, e.msg);
	return n;
}

/* Services work without: packets are translated one by one then. */
static int find_group(const struct datapath *dp, uint64_t *ret_id, struct err *e)
{
	int err;

	if (!cgroup_programs_loaded(dp->loaded))
		return err_set(e, -EOPNOTSUPP, "this kernel refuses the socket programs");
	err = cgroup_id(agent_cfg(dp->agent)->paths.cgroup_dir, ret_id, e);
	return err < 0 ? err_prefix(e, "paths.cgroup") : 0;
}

int datapath_put_sockets(struct datapath *dp, struct txn *t)
{
	const struct agent_config *cfg = agent_cfg(dp->agent);
	struct err e = {};
	uint64_t id;

	if (!datapath_translated_sockets(cfg))
		return 0;
	if (find_group(dp, &id, &e) == 0) {
		dp->sockets_problem = (struct err){};
		return cgroup_put(t, cfg->paths.cgroup_dir, id);
	}
	if (strcmp(dp->sockets_problem.msg, e.msg) != 0)
		log_warn("services.socketLB: %s; sockets' packets are translated one by one",
			 e.msg);
	dp->sockets_problem = e;
	return 0;
}

int service_flows_start(struct datapath *dp)
{
	dp->flows_timer = evtimer_new(agent_base(dp->agent), end_flows, dp);
	return dp->flows_timer ? 0 : -ENOMEM;
}

void service_flows_stop(struct datapath *dp)
{
	tell(dp, -ECANCELED);
	if (dp->flows_timer)
		event_free(dp->flows_timer);
}
