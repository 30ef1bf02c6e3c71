/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Service and EndpointSlice objects (core/v1, discovery.k8s.io/v1) as ksr reflects them, read once
 * when they arrive into structs that stand alone: nothing of the JSON is kept. What is wrong in one
 * of them is told in its `problems`; the rest of it goes on working.
 *
 *	struct service_object *svc = service_object_new(json);     NULL: out of memory, no else
 *	…
 *	service_object_free(svc);
 */
#include <json-c/json.h>
#include <netinet/in.h>

#include "agent/modules/services/problems.h"
#include "agent/modules/services/texts.h"
#include "lib/base/addr.h"
#include "shared/loom_svc.h"

struct service_port {
	const char *name;	  /* "" when it has none */
	const char *former;	  /* what slices may still call it; NULL: nothing else */
	uint16_t port, node_port; /* host order; node_port 0: none */
	uint8_t proto;
	union loom_addr host_ip; /* of a hostPort: one of the node's addresses; :: = all */
};

struct service_address {
	union loom_addr addr;
	uint32_t kind; /* LOOM_SVC_CLUSTER_IP, LOOM_SVC_EXTERNAL_IP or LOOM_SVC_LOADBALANCER */
};

struct service_object {
	struct texts texts;
	const char *type;	  /* "ClusterIP" when the object does not say */
	const char *created;	  /* RFC 3339 in UTC, so that text compares as time; "" unknown */
	const char *distribution; /* spec.trafficDistribution; what it means is in the hints */
	struct service_port *ports;
	size_t n_ports;
	struct service_address *addrs;
	size_t n_addrs;
	struct prefix *ranges; /* loadBalancerSourceRanges that can be read */
	size_t n_ranges;
	bool has_ranges;  /* restricted, even if to nobody */
	bool families[2]; /* that it has: 0: IPv4, 1: IPv6 */
	bool local_out, local_in, affinity;
	bool host_ports; /* not a Service, but a pod's hostPorts: node_port is hostPort */
	uint32_t affinity_s;
	uint16_t health_port;	/* 0: none */
	const char *not_served; /* why nothing of it is: a sentence; NULL: it is */
	struct problems problems;
};
/* Headless and ExternalName services, and those of another proxy, have neither addresses nor ports.
 */
struct service_object *service_object_new(struct json_object *obj);
void service_object_free(struct service_object *s); /* accepts NULL */
DEFINE_FREEP(struct service_object, service_object_free)

/* Strings are "" where the slice does not say. */
struct endpoint {
	union loom_addr addr;
	const char *node, *zone, *pod_namespace, *pod;
	const char *const *for_zones, *const *for_nodes; /* hints, NULL-terminated; NULL: none */
	bool ready, serving, terminating;
};

struct endpoint_port {
	const char *name;
	uint16_t port;
	uint8_t proto;
};

struct slice_object {
	struct texts texts;
	const char *service; /* name, in the slice's namespace; "" when it is nobody's */
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct endpoint_port *ports;
	size_t n_ports;
	int family; /* 0: IPv4, 1: IPv6; negative: none of ours (FQDN) */
	struct problems problems;
};
struct slice_object *slice_object_new(struct json_object *obj);
void slice_object_free(struct slice_object *s); /* accepts NULL */
DEFINE_FREEP(struct slice_object, slice_object_free)

/* 0 for what is no protocol of a Service. */
uint8_t service_proto(const char *name);
const char *service_proto_name(uint8_t proto);
