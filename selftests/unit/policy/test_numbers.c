// SPDX-License-Identifier: Apache-2.0
/* Numbers in the maps: whose they are after a restart, and when they have all been given once. */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"

/* A new agent knows all that there is, but for what the test changes before its first commit. */
static void restart(void)
{
	cluster_restart(&c);
	cluster_namespace(&c, "x", NULL);
}

static void know_endpoints(void)
{
	for (uint32_t ep = 1; ep < 16; ep++)
		if (*c.pods[ep].key)
			assert_int_equal(world_set_endpoint(c.world, ep, c.pods[ep].key, "",
							    c.pods[ep].addrs, 1),
					 0);
}

/* The first commit fails, and by the next one the pod has other labels. */
static void an_earlier_number_is_one_identitys_alone(void **state)
{
	bool done = false;

	for (uint32_t at = 1; !done; at++) {
		x_teardown(state);
		x_setup(state);
		add_pod("a", "a");
		add_pod("b", "b");
		add_pod("d", "d");
		apply("only-a", ONLY_A);
		cluster_settle(&c);
		restart();
		add_pod("a", "a");
		add_pod("b", "b");
		add_pod("d", "d");
		apply("only-a", ONLY_A);
		know_endpoints();
		c.native.writes = 0;
		c.native.fail_at = at;
		done = world_commit(c.world, c.now) == 0;
		c.native.fail_at = 0;
		add_pod("a", "b2");
		add_pod("d", "a");
		cluster_settle(&c);
		assert_true(reaches("x/d", "x/b", 80));
		assert_false(reaches("x/a", "x/b", 80));
		assert_false(reaches("x/b", "x/d", 80));
	}
}

#define FROM_BLOCK(app, cidr)                                                                \
	"{\"podSelector\":{\"matchLabels\":{\"app\":\"" app "\"}},\"ingress\":[{\"from\":[{" \
	"\"ipBlock\":{\"cidr\":\"" cidr "\"}}]}]}"

static void never_from_there(void *arg)
{
	const union loom_addr there = ipv4("198.51.100.1");

	assert_false(cluster_ingress(&c, "x/b", &there, TCP, 80));
}

/* 192.0.2.0/24 has been d's alone, within the prefix of b's, and nobody's from now on. */
static void a_prefix_is_to_go(void)
{
	add_pod("b", "b");
	add_pod("d", "d");
	apply("wide", FROM_BLOCK("b", "192.0.0.0/16"));
	apply("narrow", FROM_BLOCK("d", "192.0.2.0/24"));
	cluster_settle(&c);
	world_set_policy(c.world, "x/narrow", NULL, NULL);
	assert_int_equal(world_commit(c.world, c.now), 0);
}

/* The prefix has gone, and the agent ends before the sets that it led to go too. */
static void sets_of_a_prefix_that_is_gone_are_no_others(void **state)
{
	const union loom_addr in = ipv4("192.0.2.1");

	a_prefix_is_to_go();
	for (int i = 0; native_maps_count(POLMAP_CLASS) > 1; i++) {
		assert_true(i < 10);
		c.now += REAP_AFTER_MS;
		world_reap(c.world, c.now);
	}
	restart();
	add_pod("b", "b");
	add_pod("d", "d");
	apply("wide", FROM_BLOCK("b", "192.0.0.0/16"));
	apply("narrow", FROM_BLOCK("d", "198.51.100.0/24"));
	know_endpoints();
	c.native.written = never_from_there;
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 80));
}

/* Rules of an earlier run hold for a pod that waits for room, and know only who was there then. */
static void who_is_new_is_not_judged_by_an_earlier_runs_rules(void **state)
{
	const struct loom_cidrkey pods = { .prefixlen = 32 + 112, .addr = ipv4("10.1.0.0") };
	const struct loom_remote behind = { .node = 1 };
	char text[1000];
	size_t len = 0;

	nmap_update(native_map("loom_cidr"), &pods, &behind, 0);
	add_pod("a", "a");
	add_pod("b", "b");
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "evil"));
	apply("to",
	      "{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"policyTypes\":[\"Egress\"],"
	      "\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.77.0.0/16\"}}]}]}");
	cluster_settle(&c);
	restart();
	c.world->maps.max_classes = 10;
	add_pod("a", "a");
	add_pod("b", "b");
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "evil"));
	len = snprintf(
		text, sizeof(text),
		"{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"policyTypes\":[\"Egress\"],"
		"\"egress\":[{\"to\":[");
	for (int i = 0; i < 9; i++)
		len += snprintf(text + len, sizeof(text) - len,
				"%s{\"ipBlock\":{\"cidr\":\"10.78.%d.0/24\"}}", i ? "," : "", i);
	snprintf(text + len, sizeof(text) - len, "]}]}");
	apply("to", text);
	add_pod("e", "evil");
	add_pod("f", "fine");
	know_endpoints();
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_true(c.world->some_wait);
	for (int i = 0; i < 5; i++) {
		assert_true(cluster_ingress(&c, "x/b", addr_of("x/a"), TCP, 80) || i);
		assert_false(cluster_ingress(&c, "x/b", addr_of("x/e"), TCP, 80));
		c.now += REAP_AFTER_MS + 50;
		world_reap(c.world, c.now);
		if (c.world->wants_commit)
			assert_int_equal(world_commit(c.world, c.now), 0);
	}
	assert_null(entry_of("networkpolicy x/to")->unfit);
	assert_true(cluster_ingress(&c, "x/b", addr_of("x/f"), TCP, 80));
	assert_true(cluster_ingress(&c, "x/b", addr_of("x/a"), TCP, 80));
}

/* All numbers have been given once, and those in use are not given again. */
static void numbers_begin_anew_and_are_still_ones_own(void **state)
{
	const union loom_addr in[] = { ipv4("192.0.2.1"), ipv4("192.1.2.1"), ipv4("192.2.2.1") };
	const char *const pods[] = { "x/b", "x/d", "x/e" };

	add_pod("b", "b");
	apply("b", FROM_BLOCK("b", "192.0.0.0/16"));
	cluster_settle(&c);
	c.world->sets.classes.last = c.world->sets.last = UINT32_MAX - 1;
	c.world->ids.last = ~LOCAL_IDENTITY - 1;
	add_pod("d", "d");
	apply("d", FROM_BLOCK("d", "192.1.0.0/16"));
	cluster_settle(&c);
	add_pod("e", "e");
	apply("e", FROM_BLOCK("e", "192.2.0.0/16"));
	apply("b2", "{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"ingress\":[{\"from\":[{"
		    "\"podSelector\":{\"matchLabels\":{\"app\":\"d\"}}}]}]}");
	cluster_settle(&c);
	for (int pod = 0; pod < 3; pod++)
		for (int i = 0; i < 3; i++)
			assert_int_equal(cluster_ingress(&c, pods[pod], &in[i], TCP, 80), i == pod);
	assert_true(reaches("x/d", "x/b", 80));
	assert_false(reaches("x/e", "x/b", 80));
	world_set_policy(c.world, "x/d", NULL, NULL);
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/b", &in[0], TCP, 80));
	assert_true(cluster_ingress(&c, "x/e", &in[2], TCP, 80));
	assert_false(cluster_ingress(&c, "x/e", &in[0], TCP, 80));
}

/* A pod whose object still has an address that is another one's by now. */
static void set_stale(void)
{
	_json_ *pod = json_of("{\"metadata\":{\"labels\":{\"app\":\"a\"}},\"status\":{\"podIP\":"
			      "\"10.1.0.2\"}}");

	assert_int_equal(world_set_pod(c.world, "x/stale", pod, NULL), 0);
}

static void an_address_is_whose_it_was_before_the_restart(void **state)
{
	const union loom_addr there = ipv4("10.1.0.2");

	set_stale();
	add_pod("b", "b");
	assert_true(addr_equal(addr_of("x/b"), &there));
	add_pod("d", "d");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_false(reaches("x/b", "x/d", 80));
	restart();
	add_pod("b", "b");
	add_pod("d", "d");
	set_stale();
	apply("only-a", ONLY_A);
	know_endpoints();
	cluster_settle(&c);
	assert_false(reaches("x/b", "x/d", 80));
	/* Whatever comes later, and in which order. */
	set_stale();
	apply("more",
	      "{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{"
	      "\"other\":\"a\"}}}]}]}");
	cluster_settle(&c);
	assert_false(reaches("x/b", "x/d", 80));
	/* It is the other one's again when nobody is wired with it. */
	world_del_endpoint(c.world, cluster_ep(&c, "x/b"));
	world_set_pod(c.world, "x/b", NULL, NULL);
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/d", addr_of("x/b"), TCP, 80));
}

/* The kernel refuses a write while a prefix is about to go: all is written again, but for that. */
static void a_prefix_goes_though_all_was_written_again(void **state)
{
	const union loom_addr in = ipv4("192.0.2.1");

	a_prefix_is_to_go();
	for (int i = 0; c.world->sets.classes.n_idle == 0; i++) {
		assert_true(i < 10);
		c.now += REAP_AFTER_MS;
		world_reap(c.world, c.now);
	}
	add_pod("e", "e");
	c.native.fail_at = c.native.writes + 1;
	assert_true(world_commit(c.world, c.now) < 0);
	c.native.fail_at = 0;
	cluster_settle(&c);
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_CLASS), 1);
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 80));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_earlier_number_is_one_identitys_alone),
		TEST(sets_of_a_prefix_that_is_gone_are_no_others),
		TEST(numbers_begin_anew_and_are_still_ones_own),
		TEST(an_address_is_whose_it_was_before_the_restart),
		TEST(a_prefix_goes_though_all_was_written_again),
		TEST(who_is_new_is_not_judged_by_an_earlier_runs_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
