// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/policy.h"

#include "agent/modules/policy/private.h"

const char *policy_pod_at(struct agent *a, const union loom_addr *addr)
{
	const struct policy_module *m = policy_get(a);
	const struct loom_ipkey key = { .addr = *addr };
	const struct address *at = NULL;
	const struct owner *owner;

	if (!m || !m->world)
		return NULL;
	HASH_FIND(hh, m->world->addresses, &key, sizeof(key), at);
	owner = at && at->claims ? at->claims->owner : NULL;
	if (!owner || !owner->identity || owner->identity->kind != IDENTITY_POD)
		return NULL;
	return container_of(owner, struct pod, owner)->key;
}

struct json_object *policy_of_endpoint(struct agent *a, uint32_t number)
{
	const struct policy_module *m = policy_get(a);
	const struct endpoint *ep = NULL;

	if (m && m->world)
		HASH_FIND(hh, m->world->endpoints, &number, sizeof(number), ep);
	return ep ? show_endpoint(ep) : NULL;
}
