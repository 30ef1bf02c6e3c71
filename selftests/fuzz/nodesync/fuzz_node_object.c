// SPDX-License-Identifier: Apache-2.0
/* Two nodes publish whatever they like; this node's own range is never theirs. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/modules/nodesync/peers.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct prefix cidrs[2];
static const struct config_prefixes cluster = { cidrs, 2 };

static int no_theft(const struct peer *peer, void *arg)
{
	const struct prefix *own = arg;

	for (size_t i = 0; i < peer->info.n_cidrs; i++)
		if (peer->has_cidr[i] && prefix_overlaps(own, &peer->info.cidrs[i]))
			abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	_json_ *o = NULL, *again = NULL;
	struct node_info info;
	struct prefix own, from_k8s[NODE_MAX_CIDRS];
	struct peers *p;
	size_t n;

	prefix_parse("10.1.0.0/16", &cidrs[0], NULL);
	prefix_parse("fd00:10::/48", &cidrs[1], NULL);
	prefix_parse("10.1.1.0/24", &own, NULL);
	if (json_parse((const char *)data, len, &o, NULL) < 0 || peers_new(&p) < 0)
		return 0;
	node_cidrs_from_k8s(o, &cluster, from_k8s, &n, NULL);
	peers_set_own(p, 1, &own, 1, NULL, 0);
	peers_set(p, "n", o, &cluster, NULL);
	peers_set(p, "m", o, &cluster, NULL);
	peers_settle(p);
	peers_foreach(p, no_theft, &own);
	if (node_info_parse(o, "n", &cluster, &info, NULL) == 0) {
		again = node_info_json(&info, "n");
		if (node_info_parse(again, "n", &cluster, &info, NULL) < 0)
			abort();
	}
	peers_free(p);
	return 0;
}
