// SPDX-License-Identifier: Apache-2.0
/* What a node says of itself to the data plane. Agent, uplink and datapath are stand-ins. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/hostlink/hostlink.h"
#include "agent/modules/nodesync/private.h"
#include "agent/modules/uplink/uplink.h"
#include "lib/base/util.h"

static struct agent_config config;
static struct uplink uplink;
static struct loom_state state;

const struct agent_config *agent_cfg(const struct agent *a)
{
	return &config;
}

const struct uplink *uplink_get(struct agent *a)
{
	return uplink.ifindex ? &uplink : NULL;
}

const union loom_addr *uplink_underlay(struct agent *a)
{
	return NULL;
}

int uplink_host_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	return 0;
}

int uplink_node_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	return 0;
}

int uplink_next_hop(struct agent *a, const union loom_addr *dst, unsigned int *ret_ifindex,
		    union loom_addr *ret_hop)
{
	return -ENETUNREACH;
}

unsigned int hostlink_host_ifindex(struct agent *a)
{
	return 92;
}

unsigned int hostlink_overlay_ifindex(struct agent *a)
{
	return 91;
}

int datapath_map_fd(struct agent *a, const char *name)
{
	return -ENOENT;
}

int datapath_put_state(struct txn *t, const struct loom_state *s)
{
	state = *s;
	return 0;
}

int datapath_put_ep(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_ep *ep)
{
	return 0;
}

int datapath_put_vip(struct txn *t, uint32_t number, const union loom_addr *addr)
{
	return 0;
}

int datapath_put_ip(struct txn *t, uint32_t scope, const union loom_addr *addr,
		    const struct loom_remote *remote)
{
	return 0;
}

int datapath_del_ip(struct txn *t, uint32_t scope, const union loom_addr *addr)
{
	return 0;
}

int datapath_put_cidr(struct txn *t, uint32_t scope, const struct prefix *p,
		      const struct loom_remote *remote)
{
	return 0;
}

int datapath_del_cidr(struct txn *t, uint32_t scope, const struct prefix *p)
{
	return 0;
}

int datapath_put_node(struct txn *t, uint32_t node_id, const struct loom_node *node)
{
	return 0;
}

int datapath_del_node(struct txn *t, uint32_t node_id)
{
	return 0;
}

static void services_have_the_nodes_address_whether_pods_are_masqueraded_or_not(void **arg)
{
	struct nodesync m = { .self.id = 7 };

	uplink.ifindex = 90;
	assert_int_equal(addr_parse("192.0.2.1", &uplink.addr4, NULL), 0);
	assert_int_equal(addr_parse("2001:db8::1", &uplink.addr6, NULL), 0);
	for (int masquerade = 0; masquerade < 2; masquerade++) {
		config.masquerade.enabled = masquerade;
		assert_int_equal(nodesync_put_self(&m, NULL), 0);
		assert_true(addr_equal(&state.masq4, &uplink.addr4));
		assert_true(addr_equal(&state.masq6, &uplink.addr6));
		assert_int_equal(!!(state.flags & LOOM_STATE_MASQUERADE), masquerade);
	}
	uplink.ifindex = 0;
	assert_int_equal(nodesync_put_self(&m, NULL), 0);
	assert_true(addr_is_zero(&state.masq4) && addr_is_zero(&state.masq6));
	assert_int_equal(state.node_id, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			services_have_the_nodes_address_whether_pods_are_masqueraded_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
