// SPDX-License-Identifier: Apache-2.0
/* healthCheckNodePort of each service: how many of its endpoints are here. */
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/services/health.h"
#include "agent/modules/services/private.h"

static void set(struct services *s, struct service *svc, uint16_t port)
{
	_cleanup_(freep) struct slice_object **slices = NULL;
	const char *slash = strchr(svc->title, '/');
	size_t n = 0, local = 0;
	struct err e = {};
	char ns[300];

	slices = service_slices(svc, &n);
	if (!slash)
		return;
	if (!slices || compile_local_ready(slices, n, agent_cfg(s->agent)->node_name, &local) < 0)
		return services_fail(s, -ENOMEM);
	snprintf(ns, sizeof(ns), "%.*s", (int)(slash - svc->title), svc->title);
	if (health_set(s->health, port, ns, slash + 1, local, &e) < 0)
		problems_add(&svc->problems, "spec.healthCheckNodePort: %s", e.msg);
}

void service_check(struct services *s, struct service *svc)
{
	uint16_t port = svc->obj && !svc->gone ? svc->obj->health_port : 0;

	if (svc->health_port && svc->health_port != port)
		health_drop(s->health, svc->health_port);
	svc->health_port = port;
	if (port)
		set(s, svc, port);
}
