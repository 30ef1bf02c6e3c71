// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "agent/modules/nodesync/private.h"

const char *nodesync_name_of_id(struct agent *a, uint32_t id)
{
	struct nodesync *m = nodesync_get(a);
	const struct peer *peer;

	if (!id)
		return NULL;
	if (id == m->self.id)
		return m->name;
	peer = peers_with_id(m->peers, id);
	return peer ? peer->name : NULL;
}

const char *nodesync_name_of_addr(struct agent *a, const union loom_addr *addr)
{
	struct nodesync *m = nodesync_get(a);
	const struct peer *peer;
	struct node_info own;

	nodesync_own_info(m, &own);
	for (size_t i = 0; i < own.n_addrs; i++)
		if (addr_equal(&own.addrs[i], addr))
			return m->name;
	peer = peers_with_addr(m->peers, addr);
	return peer ? peer->name : NULL;
}

bool nodesync_knows(struct agent *a, const char *name)
{
	struct nodesync *m = nodesync_get(a);

	return strcmp(m->name, name) == 0 || peers_find(m->peers, name);
}
