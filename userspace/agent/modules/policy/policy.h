/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * NetworkPolicy and ClusterNetworkPolicy: keeps the data plane's policy maps (shared/loom_pol.h) in
 * step with the cluster. A pod that is added has its policies before the request is answered,
 * provided that its object is known; until then it is closed. REST: /v1/policies[/<ns>/<pod>],
 * /v1/denied[/<ns>[/<pod>]].
 */
#include <json-c/json.h>

#include "lib/base/addr.h"

struct agent;

/* "namespace/name" of the pod, of any node, that has the address; NULL: none that is known, or
 * policies are off. Borrowed until the loop turns. */
const char *policy_pod_at(struct agent *a, const union loom_addr *addr);
/*
 * The policy in one direction of an endpoint of this node, as lib/explain's explain_names.policy
 * wants it, in bounded time and space: some names, and the start of the one rule's text. `tier` -1:
 * no rule. New, or NULL.
 */
struct json_object *policy_of_endpoint(struct agent *a, uint32_t ep, bool ingress, int tier,
				       unsigned int order);
