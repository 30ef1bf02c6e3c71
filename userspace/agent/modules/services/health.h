/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * healthCheckNodePort: load balancers outside of the cluster ask each node over HTTP whether it has
 * endpoints of a Service with externalTrafficPolicy Local, and send nothing where it has none. The
 * answers are those of kube-proxy (pkg/proxy/healthcheck): 200, or 503 without endpoints or while
 * the node's maps are not what the objects say, to GET or HEAD of any path, on every address of the
 * node.
 *
 *	health_new(base, &h);
 *	health_set_proxy(h, true);
 *	health_set(h, 30123, "default", "web", 2, &e);     again whenever the number changes
 *	health_drop(h, 30123);
 *
 * One thread, the loop's. Anybody who reaches the node can ask: headers, time and the process's
 * descriptors are bounded (lib/httpd/door.h), and nothing of a request is looked at.
 */
#include <event2/event.h>

#include "lib/base/err.h"

struct health;
int health_new(struct event_base *base, struct health **ret);
void health_free(struct health *h); /* accepts NULL; closes all ports */
DEFINE_FREEP(struct health, health_free)
/*
 * Answers on `port` (host order, not 0) that the service has `local` endpoints here; with another
 * name the port is that service's from now on. -EADDRINUSE: somebody else listens there, and `e`
 * names service and port; nothing is kept, so that the next call tries again.
 */
int health_set(struct health *h, uint16_t port, const char *ns, const char *name,
	       unsigned int local, struct err *e);
/* Whether the maps are what the objects say; false until it is said. */
void health_set_proxy(struct health *h, bool healthy);
/* Closes the port; nothing when it is not open. Not from within an answer. */
void health_drop(struct health *h, uint16_t port);
