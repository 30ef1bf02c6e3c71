// SPDX-License-Identifier: Apache-2.0
/* The cluster over the native data plane's maps, and what its core says of them. */
#include "selftests/unit/policy/cluster.h"

#include <arpa/inet.h>

#include "bpf/native/native.h"

void cluster_init(struct cluster *c)
{
	struct native_maps native;
	struct polmaps maps;

	native_maps_init(&native, &maps);
	maps.arg = &c->native;
	cluster_begin(c, &maps);
}

static bool asks(const struct cluster *c, uint32_t ep, bool in, const union loom_addr *peer,
		 uint8_t proto, uint16_t port)
{
	static const uint32_t zero;
	const struct loom_epol *node = nmap_lookup(native_map("loom_epol"), &zero);
	const struct loom_epol *e = nmap_lookup(native_map("loom_epol"), &ep);
	struct native_policy ask = { .peer = *peer, .port = htons(port), .proto = proto };

	if (!ep || !(node->flags & LOOM_EPOL_ENFORCED) || c->pods[ep].host_network)
		return true;
	if (!(e->flags & LOOM_EPOL_KNOWN))
		return false;
	ask.policy = in ? e->policy_in : e->policy_out;
	return native_policy(&ask) != 1;
}

bool cluster_ingress(const struct cluster *c, const char *to, const union loom_addr *from,
		     uint8_t proto, uint16_t port)
{
	return asks(c, cluster_ep(c, to), true, from, proto, port);
}

bool cluster_egress(const struct cluster *c, const char *from, const union loom_addr *to,
		    uint8_t proto, uint16_t port)
{
	return asks(c, cluster_ep(c, from), false, to, proto, port);
}
