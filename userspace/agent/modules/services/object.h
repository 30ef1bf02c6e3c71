/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Service and EndpointSlice objects (core/v1, discovery.k8s.io/v1) as ksr reflects them, read once
 * when they arrive. What is wrong in one of them is told in its `problems`, naming the field and
 * the value; the rest of it goes on working. Strings are borrowed from the JSON, of which each
 * object holds a reference.
 */
#include <json-c/json.h>
#include <netinet/in.h>

#include "lib/base/addr.h"
#include "shared/loom_svc.h"

#define PROBLEMS_MAX 8

/* Sentences about one object; what does not fit is counted. */
struct problems {
	char *v[PROBLEMS_MAX];
	size_t n, more;
};
void problems_add(struct problems *p, const char *fmt, ...) _printf_(2, 3);
void problems_clear(struct problems *p);

struct service_port {
	const char *name;	  /* "" when it has none */
	uint16_t port, node_port; /* host order; node_port 0: none */
	uint8_t proto;
	union loom_addr host_ip; /* of a hostPort: one of the node's addresses; :: = all */
};

struct service_address {
	union loom_addr addr;
	uint32_t kind; /* LOOM_SVC_CLUSTER_IP, LOOM_SVC_EXTERNAL_IP or LOOM_SVC_LOADBALANCER */
};

enum distribution { DISTRIBUTE_ALL, DISTRIBUTE_ZONE, DISTRIBUTE_NODE };

struct service_object {
	struct json_object *obj;
	const char *type, *created; /* RFC 3339, as text */
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
	enum distribution distribution;
	uint16_t health_port; /* 0: none */
	struct problems problems;
};
/* NULL on out-of-memory. Headless and ExternalName services have neither addresses nor ports. */
struct service_object *service_object_new(struct json_object *obj);
void service_object_free(struct service_object *s); /* accepts NULL */
DEFINE_FREEP(struct service_object, service_object_free)

struct endpoint {
	union loom_addr addr;
	const char *node, *zone, *pod_namespace, *pod; /* "" when the slice does not say */
	struct json_object *for_zones, *for_nodes;     /* borrowed arrays, or NULL */
	bool ready, serving, terminating;
};

struct endpoint_port {
	const char *name;
	uint16_t port;
	uint8_t proto;
};

struct slice_object {
	struct json_object *obj;
	const char *service; /* name, in the slice's namespace */
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct endpoint_port *ports;
	size_t n_ports;
	int family; /* 0: IPv4, 1: IPv6; negative: none of ours */
	struct problems problems;
};
struct slice_object *slice_object_new(struct json_object *obj);
void slice_object_free(struct slice_object *s); /* accepts NULL */
DEFINE_FREEP(struct slice_object, slice_object_free)

/* 0 for what is no protocol of a Service. */
uint8_t service_proto(const char *name);
const char *service_proto_name(uint8_t proto);
