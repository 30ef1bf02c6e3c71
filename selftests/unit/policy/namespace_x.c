// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/policy/namespace_x.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"

struct cluster c;

int x_setup(void **state)
{
	cluster_init(&c);
	cluster_namespace(&c, "x", NULL);
	return 0;
}

int x_teardown(void **state)
{
	cluster_fini(&c);
	return 0;
}

void add_pod(const char *name, const char *app)
{
	_json_ *labels = json_of("{\"app\":\"%s\"}", app);

	cluster_pod(&c, "x", name, labels, NULL, "", NULL, false);
}

const union loom_addr *addr_of(const char *key)
{
	return &c.pods[cluster_ep(&c, key)].addrs[0];
}

void apply(const char *name, const char *spec)
{
	_json_ *np = json_of("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\"},\"spec\":%s}",
			     name, spec);

	cluster_apply(&c, np);
}

bool reaches(const char *from, const char *to, uint16_t port)
{
	return cluster_egress(&c, from, addr_of(to), TCP, port) &&
	       cluster_ingress(&c, to, addr_of(from), TCP, port);
}

struct loom_epol epol(uint32_t ep)
{
	return *(struct loom_epol *)nmap_lookup(native_map("loom_epol"), &ep);
}

const struct policy_entry *entry_of(const char *key)
{
	struct policy_entry *entry;

	HASH_FIND_STR(c.world->policies, key, entry);
	assert_non_null(entry);
	return entry;
}

union loom_addr ipv4(const char *text)
{
	union loom_addr addr;

	assert_int_equal(addr_parse(text, &addr, NULL), 0);
	return addr;
}

void apply_cluster(const char *name, const char *tier, const char *rules)
{
	_json_ *cnp =
		json_of("{\"kind\":\"ClusterNetworkPolicy\",\"metadata\":{\"name\":\"%s\"},"
			"\"spec\":{\"tier\":\"%s\",\"priority\":1,\"subject\":{\"namespaces\":{}},"
			"\"ingress\":[%s]}}",
			name, tier, rules);

	cluster_apply(&c, cnp);
}
