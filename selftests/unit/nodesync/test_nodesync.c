// SPDX-License-Identifier: Apache-2.0
/* What other nodes say of themselves, and who holds what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/nodesync/peers.h"
#include "lib/json/json.h"

static struct prefix cluster_cidrs[2];
static const struct config_prefixes cluster = { cluster_cidrs, 2 };

static int setup(void **state)
{
	return prefix_parse("10.1.0.0/16", &cluster_cidrs[0], NULL) ||
	       prefix_parse("fd00:10::/48", &cluster_cidrs[1], NULL);
}

static struct json_object *json(const char *text)
{
	struct json_object *o;
	struct err e = {};

	if (json_parse(text, strlen(text), &o, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	return o;
}

#define GOOD_REST "\"underlay\":\"192.168.0.2\",\"transport\":\"vxlan\""

static void a_malformed_node_is_refused_by_field(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "[]", "want an object" },
		{ "{}", "id: missing" },
		{ "{\"id\":0}", "id" },
		{ "{\"id\":16384}", "id" },
		{ "{\"id\":\"2\"}", "id" },
		{ "{\"id\":2,\"name\":\"other\"}", "name: 'other' differs" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":\"x\"}", "addresses" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[7]}", "addresses[0]: want a string" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"1.2.3.4\",\"x\"]}", "addresses[1]" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"127.0.0.1\"]}", "not a unicast" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"224.0.0.1\"]}", "not a unicast" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"::\"]}", "not a unicast" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"ff02::1\"]}", "not a unicast" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[\"10.1.3.4\"]}", "cluster.podCIDRs" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[]}", "podCIDRs: missing" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[\"0.0.0.0/0\"]}",
		  "podCIDRs[0]: '0.0.0.0/0' is not inside" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[\"10.0.0.0/8\"]}",
		  "podCIDRs[0]" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[\"10.1.1.0/24\","
		  "\"10.1.2.0/24\"]}",
		  "second of its family" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[]}", "transport" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[],\"transport\":\"x\","
		  "\"underlay\":\"1.1.1.1\"}",
		  "neither vxlan nor native" },
		{ "{\"id\":2,\"name\":\"n\",\"addresses\":[],\"podCIDRs\":[],\"transport\":"
		  "\"vxlan\",\"underlay\":\"10.1.1.1\"}",
		  "underlay" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ *o = json(cases[i].text);
		struct node_info info;
		struct err e = {};

		if (node_info_parse(o, "n", &cluster, &info, &e) == 0)
			fail_msg("%s was accepted", cases[i].text);
		if (!strstr(e.msg, cases[i].message))
			fail_msg("%s: '%s' lacks '%s'", cases[i].text, e.msg, cases[i].message);
	}
}

static void what_a_node_publishes_is_read_back(void **state)
{
	_json_ *o = json("{\"id\":2,\"name\":\"n\",\"addresses\":[\"192.168.0.2\",\"fd99::2\"],"
			 "\"podCIDRs\":[\"10.1.2.0/24\",\"fd00:10:0:2::/64\"]," GOOD_REST
			 ",\"version\":\"1\",\"started\":\"now\",\"from the future\":{}}");
	_json_ *again = NULL, *third = NULL;
	struct node_info a, b;
	struct err e = {};

	assert_int_equal(node_info_parse(o, "n", &cluster, &a, &e), 0);
	assert_int_equal(a.n_addrs, 2);
	assert_int_equal(a.n_cidrs, 2);
	assert_true(a.tunnel);
	again = node_info_json(&a, "n");
	assert_int_equal(node_info_parse(again, "n", &cluster, &b, &e), 0);
	third = node_info_json(&b, "n");
	assert_string_equal(json_text(again), json_text(third));
	assert_non_null(strstr(json_text(again), "fd99::2"));
}

static void pod_cidrs_follow_from_the_id(void **state)
{
	static const struct {
		uint32_t id;
		const char *first, *second;
	} cases[] = {
		{ 1, "10.1.1.0/24", "fd00:10:0:1::/64" },
		{ 255, "10.1.255.0/24", "fd00:10:0:ff::/64" },
		{ 256, "10.1.0.0/24", "fd00:10:0:100::/64" },
	};
	struct prefix got[NODE_MAX_CIDRS];
	char text[PREFIX_STRLEN];
	struct err e = {};
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(node_cidrs_by_id(&cluster, 24, 64, cases[i].id, got, &n, &e), 0);
		assert_int_equal(n, 2);
		assert_string_equal(prefix_format(&got[0], text), cases[i].first);
		assert_string_equal(prefix_format(&got[1], text), cases[i].second);
	}
	assert_int_equal(node_max_id(&cluster, 24, 64), 256);
	assert_int_equal(node_cidrs_by_id(&cluster, 24, 64, 257, got, &n, &e), -ERANGE);
	assert_string_equal(e.msg, "node id 257: '10.1.0.0/16' has only 256 blocks of /24");
}

static void pod_cidrs_of_the_node_object_are_waited_for_and_checked(void **state)
{
	static const struct {
		const char *text;
		int err;
		size_t n;
	} cases[] = {
		{ "{}", -ENOENT, 0 },
		{ "{\"spec\":{\"podCIDRs\":[]}}", -ENOENT, 0 },
		{ "{\"spec\":{\"podCIDR\":\"10.1.3.0/24\"}}", 0, 1 },
		{ "{\"spec\":{\"podCIDRs\":[\"10.1.3.0/24\",\"fd00:10:0:3::/64\"]}}", 0, 2 },
		{ "{\"spec\":{\"podCIDRs\":[\"172.16.0.0/24\"]}}", -EINVAL, 0 },
		{ "{\"spec\":{\"podCIDRs\":\"10.1.3.0/24\"}}", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ *o = json(cases[i].text);
		struct prefix got[NODE_MAX_CIDRS];
		size_t n = 0;

		assert_int_equal(node_cidrs_from_k8s(o, &cluster, got, &n, NULL), cases[i].err);
		assert_int_equal(n, cases[i].n);
	}
}

static void set(struct peers *p, const char *name, int id, const char *addr, const char *cidr)
{
	char text[512];
	_json_ *o = NULL;
	struct err e = {};

	snprintf(text, sizeof(text),
		 "{\"id\":%d,\"name\":\"%s\",\"addresses\":[\"%s\"],\"podCIDRs\":[\"%s\"],"
		 "\"underlay\":\"%s\",\"transport\":\"vxlan\"}",
		 id, name, addr, cidr, addr);
	o = json(text);
	if (peers_set(p, name, o, &cluster, &e) < 0)
		fail_msg("%s", e.msg);
	peers_settle(p);
}

static void what_two_nodes_claim_stays_with_the_first(void **state)
{
	const struct peer *a, *b;
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	set(p, "b", 2, "192.168.0.2", "10.1.2.0/24");
	set(p, "a", 3, "192.168.0.3", "10.1.2.0/25");
	a = peers_find(p, "a");
	b = peers_find(p, "b");
	assert_true(b->has_cidr[0]);
	assert_false(a->has_cidr[0]);
	assert_true(a->has_id && a->has_addr[0]);
	assert_non_null(strstr(a->problem.msg, "'a'"));
	assert_non_null(strstr(a->problem.msg, "'b'"));
	assert_true(peers_conflict(p));

	/* The first lets go. */
	set(p, "b", 2, "192.168.0.2", "10.1.4.0/24");
	assert_true(peers_find(p, "a")->has_cidr[0]);
	assert_false(peers_conflict(p));
	peers_free(p);
}

static void an_id_held_twice_is_refused(void **state)
{
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	set(p, "z", 2, "192.168.0.2", "10.1.2.0/24");
	set(p, "a", 2, "192.168.0.3", "10.1.3.0/24");
	assert_true(peers_find(p, "z")->has_id);
	assert_false(peers_find(p, "a")->has_id);
	assert_int_equal(peers_set(p, "z", NULL, &cluster, NULL), 0);
	peers_settle(p);
	assert_true(peers_find(p, "a")->has_id);
	peers_free(p);
}

static void nobody_takes_what_is_this_nodes_own(void **state)
{
	union loom_addr addr;
	struct prefix cidr;
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	assert_int_equal(addr_parse("192.168.0.1", &addr, NULL), 0);
	assert_int_equal(prefix_parse("10.1.1.0/24", &cidr, NULL), 0);
	peers_set_own(p, 1, &cidr, 1, &addr, 1);
	set(p, "thief", 1, "192.168.0.1", "10.1.1.128/25");
	assert_false(peers_find(p, "thief")->has_id);
	assert_false(peers_find(p, "thief")->has_addr[0]);
	assert_false(peers_find(p, "thief")->has_cidr[0]);
	assert_non_null(strstr(peers_find(p, "thief")->problem.msg, "this node"));
	peers_free(p);
}

static void a_node_whose_object_turns_bad_keeps_what_it_had(void **state)
{
	_json_ *bad = json("{\"id\":-1}");
	struct err e = {};
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	set(p, "n", 2, "192.168.0.2", "10.1.2.0/24");
	set(p, "m", 3, "192.168.0.3", "10.1.3.0/24");
	assert_int_equal(peers_set(p, "n", bad, &cluster, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "node 'n': id"));
	peers_settle(p);
	assert_true(peers_find(p, "n")->has_cidr[0]);
	assert_true(peers_find(p, "n")->problem.code);
	assert_true(peers_find(p, "m")->has_cidr[0]);
	peers_free(p);
}

static void nodes_that_are_not_set_again_are_swept(void **state)
{
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	set(p, "a", 2, "192.168.0.2", "10.1.2.0/24");
	set(p, "b", 3, "192.168.0.3", "10.1.3.0/24");
	peers_mark(p);
	set(p, "b", 3, "192.168.0.3", "10.1.3.0/24");
	peers_sweep(p);
	assert_null(peers_find(p, "a"));
	assert_int_equal(peers_count(p), 1);
	peers_free(p);
}

/* ---- what it costs ---- */

/* Calls from outside of the library's own file, counted by the linker's --wrap. */
bool __real_prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool __wrap_prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool __real_addr_equal(const union loom_addr *a, const union loom_addr *b);
bool __wrap_addr_equal(const union loom_addr *a, const union loom_addr *b);

static size_t comparisons;

bool __wrap_prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	comparisons++;
	return __real_prefix_overlaps(a, b);
}

bool __wrap_addr_equal(const union loom_addr *a, const union loom_addr *b)
{
	comparisons++;
	return __real_addr_equal(a, b);
}

static void set_nth(struct peers *p, int i, int address)
{
	char text[512], name[32];
	_json_ *o = NULL;
	struct err e = {};

	snprintf(name, sizeof(name), "node-%d", i);
	snprintf(text, sizeof(text),
		 "{\"id\":%d,\"name\":\"%s\",\"addresses\":[\"192.168.%d.%d\",\"fd99::%x\"],"
		 "\"podCIDRs\":[\"10.1.%d.%d/29\",\"fd00:10:0:%x::/64\"],"
		 "\"underlay\":\"192.168.%d.%d\",\"transport\":\"vxlan\"}",
		 i, name, address >> 8, address & 255, address, i >> 5, (i & 31) << 3, i,
		 address >> 8, address & 255);
	o = json(text);
	if (peers_set(p, name, o, &cluster, &e) < 0)
		fail_msg("%s", e.msg);
}

static int append_name(const struct peer *peer, void *arg)
{
	char *names = arg;
	size_t n = strlen(names);

	snprintf(names + n, 64 - n, "%s ", peer->name);
	return strlen(names) > 32;
}

static void a_change_among_thousands_of_nodes_costs_as_much_as_that_node(void **state)
{
	enum { NODES = 5000, CLAIMS = 5, LOG2 = 13 };
	char names[64] = "";
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	comparisons = 0;
	for (int i = 1; i < NODES; i++)
		set_nth(p, i, i);
	peers_settle(p);
	print_message("%d nodes at once: %zu comparisons\n", NODES, comparisons);
	assert_in_range(comparisons, NODES, NODES * CLAIMS * 4 * LOG2);

	comparisons = 0;
	set_nth(p, NODES / 2, NODES + 1);
	peers_settle(p);
	print_message("one more change: %zu comparisons\n", comparisons);
	assert_in_range(comparisons, 1, CLAIMS * 8 * LOG2);
	assert_false(peers_conflict(p));
	assert_true(peers_find(p, "node-2500")->has_addr[1]);

	comparisons = 0;
	peers_settle(p);
	assert_int_equal(comparisons, 0);

	/* Who waits is settled along with it, and nobody else is. */
	set_nth(p, 7, 8);
	peers_settle(p);
	assert_true(peers_conflict(p));
	set_nth(p, NODES / 2, NODES / 2);
	peers_settle(p);
	assert_int_equal(peers_foreach_settled(p, append_name, names), 0);
	assert_string_equal(names, "node-2500 node-7 ");
	peers_free(p);
}

static void who_waits_gets_it_in_the_order_of_names(void **state)
{
	char names[64] = "";
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	set(p, "holder", 2, "192.168.0.2", "10.1.0.0/20");
	set(p, "y", 4, "192.168.0.4", "10.1.2.0/24");
	set(p, "x", 3, "192.168.0.3", "10.1.2.0/25");
	set(p, "z", 5, "192.168.0.5", "10.1.3.0/24");
	assert_false(peers_find(p, "x")->has_cidr[0] || peers_find(p, "y")->has_cidr[0]);
	assert_int_equal(peers_set(p, "holder", NULL, &cluster, NULL), 0);
	peers_settle(p);
	assert_true(peers_find(p, "x")->has_cidr[0]);
	assert_false(peers_find(p, "y")->has_cidr[0]);
	assert_non_null(strstr(peers_find(p, "y")->problem.msg, "10.1.2.0/24 is held by 'x'"));
	assert_true(peers_find(p, "z")->has_cidr[0]);
	assert_int_equal(peers_foreach_settled(p, append_name, names), 0);
	assert_string_equal(names, "x y z ");
	peers_free(p);
}

static void what_becomes_this_nodes_own_is_taken_from_others(void **state)
{
	union loom_addr addr;
	struct prefix cidr;
	struct peers *p;

	assert_int_equal(peers_new(&p), 0);
	assert_int_equal(addr_parse("192.168.0.2", &addr, NULL), 0);
	assert_int_equal(prefix_parse("10.1.2.0/25", &cidr, NULL), 0);
	set(p, "thief", 2, "192.168.0.2", "10.1.2.0/24");
	set(p, "next", 3, "192.168.0.3", "10.1.2.128/25");
	assert_true(peers_hold_cidr(p, &peers_find(p, "thief")->info.cidrs[0]));
	peers_set_own(p, 2, &cidr, 1, &addr, 1);
	peers_settle(p);
	assert_false(peers_find(p, "thief")->has_id);
	assert_false(peers_find(p, "thief")->has_addr[0]);
	assert_false(peers_find(p, "thief")->has_cidr[0]);
	assert_false(peers_hold_id(p, 2) || peers_hold_addr(p, &addr));
	assert_true(peers_find(p, "next")->has_cidr[0]);

	/* And it is free again when this node turns out to be another. */
	peers_set_own(p, 7, NULL, 0, NULL, 0);
	peers_settle(p);
	assert_true(peers_find(p, "thief")->has_id && peers_find(p, "thief")->has_addr[0]);
	assert_true(peers_hold_id(p, 2) && peers_hold_addr(p, &addr));
	assert_false(peers_find(p, "thief")->has_cidr[0]);
	peers_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_malformed_node_is_refused_by_field),
		cmocka_unit_test(what_a_node_publishes_is_read_back),
		cmocka_unit_test(pod_cidrs_follow_from_the_id),
		cmocka_unit_test(pod_cidrs_of_the_node_object_are_waited_for_and_checked),
		cmocka_unit_test(what_two_nodes_claim_stays_with_the_first),
		cmocka_unit_test(an_id_held_twice_is_refused),
		cmocka_unit_test(nobody_takes_what_is_this_nodes_own),
		cmocka_unit_test(a_node_whose_object_turns_bad_keeps_what_it_had),
		cmocka_unit_test(nodes_that_are_not_set_again_are_swept),
		cmocka_unit_test(who_waits_gets_it_in_the_order_of_names),
		cmocka_unit_test(what_becomes_this_nodes_own_is_taken_from_others),
		cmocka_unit_test(a_change_among_thousands_of_nodes_costs_as_much_as_that_node),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
