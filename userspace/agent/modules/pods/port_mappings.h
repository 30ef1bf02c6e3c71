/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * CNI's portMappings, as runtimes send them and as the local store keeps them: an array of
 * {"hostPort", "containerPort", "protocol", "hostIP"} (conventions of the CNI project, "Dynamic
 * plugin specific fields"). Hostile; knows nothing of the agent.
 */
#include <json-c/json.h>

#include "agent/modules/pods/pods.h"
#include "lib/base/err.h"

#define PORT_MAPPINGS_MAX 1024

/*
 * Entries without a host port ask for nothing and are left out, as the portmap plugin does. No
 * protocol is TCP; no address, 0.0.0.0 and :: are all addresses of the node. 0 with heap (NULL when
 * there are none); -EINVAL with "[entry]: field: …", to be put behind the array's name, also when
 * two entries want the same port.
 */
int port_mappings_parse(struct json_object *list, struct port_mapping **ret, size_t *ret_n,
			struct err *e);
/* The same array; a new object, or NULL. */
struct json_object *port_mappings_json(const struct port_mapping *m, size_t n);
/* The first of `a` that wants what one of `b` has, or NULL. */
const struct port_mapping *port_mappings_clash(const struct port_mapping *a, size_t n_a,
					       const struct port_mapping *b, size_t n_b);
const char *port_mapping_proto(const struct port_mapping *m); /* "tcp", "udp", "sctp" */
