// SPDX-License-Identifier: Apache-2.0
/* What follows a change of the maps: flows that end, slots that are free again, health checks. */
#define LOG_NAME "services"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/services/health.h"
#include "agent/modules/services/private.h"
#include "lib/base/log.h"

static void flows_ended(struct agent *a, int err, void *arg)
{
	struct services *s = services_get(a);

	if (err == -ECANCELED)
		return;
	s->running = false;
	if (err < 0) {
		agent_heal(a, "flows of backends that are gone could not be ended");
		return;
	}
	for (size_t i = 0; i < s->n_ending; i++)
		svcmaps_backend_forget(s->maps, s->ending[i]);
	s->n_ending = 0;
	if (s->n_dying || s->flows) {
		s->ending = TAKE_PTR(s->dying);
		s->n_ending = s->n_dying;
		s->n_dying = 0;
		s->flows = false;
		s->running = true;
		datapath_end_service_flows(a, flows_ended, NULL);
	}
}

void services_end_flows(struct services *s)
{
	for (size_t i = 0; i < s->n_dying; i++)
		datapath_end_sockets(s->agent, s->dying[i]);
	if (s->running || (!s->flows && !s->n_dying))
		return;
	free(s->ending);
	s->ending = TAKE_PTR(s->dying);
	s->n_ending = s->n_dying;
	s->n_dying = 0;
	s->flows = false;
	s->running = true;
	datapath_end_service_flows(s->agent, flows_ended, NULL);
}

void services_free_slots(evutil_socket_t fd, short what, void *arg)
{
	struct services *s = arg;

	for (size_t i = 0; i < s->n_freed; i++)
		slots_give(&s->maps->slots, &s->freed[i]);
	s->n_freed = 0;
}

void services_left_behind(uint32_t number, void *arg)
{
	struct services *s = arg;
	uint32_t *v = realloc(s->dying, (s->n_dying + 1) * sizeof(*v));

	if (!v)
		return;
	s->dying = v;
	v[s->n_dying++] = number;
	s->flows = true;
}

void service_health(struct services *s, struct service *svc)
{
	uint16_t port = svc->obj ? svc->obj->health_port : 0;
	const char *slash = strchr(svc->name, '/');
	struct err e = {};
	char ns[256];

	if (svc->health_port && svc->health_port != port)
		health_drop(s->health, svc->health_port);
	svc->health_port = 0;
	if (!port || !slash)
		return;
	snprintf(ns, sizeof(ns), "%.*s", (int)(slash - svc->name), svc->name);
	if (health_set(s->health, port, ns, slash + 1, svc->local_ready, &e) < 0)
		problems_add(&svc->problems, "spec.healthCheckNodePort: %.200s", e.msg);
	else
		svc->health_port = port;
}
