// SPDX-License-Identifier: Apache-2.0
/* What the compiler does over time: nothing is open that should not be, nothing is left behind. */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"

static void pods_that_policies_cannot_tell_apart_share_everything(void **state)
{
	char name[16];

	apply("only-a", ONLY_A);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		add_pod(name, i % 2 ? "a" : "b");
	}
	cluster_settle(&c);
	assert_int_equal(epol(1).policy_in, epol(100).policy_in);
	assert_int_equal(epol(1).identity, epol(3).identity);
	assert_int_not_equal(epol(1).identity, epol(2).identity);
	/* One policy: its set for any peer, and one for the one identity that it names. */
	assert_int_equal(native_maps_count(POLMAP_POL), 2);
	assert_true(reaches("x/p1", "x/p0", 80));
	assert_false(reaches("x/p0", "x/p1", 80));
}

static void labels_that_no_policy_names_tell_no_pods_apart(void **state)
{
	char name[16];

	apply("only-a", ONLY_A);
	for (int i = 0; i < 50; i++) {
		_json_ *labels = json_of("{\"app\":\"a\",\"hash\":\"%d\"}", i);

		snprintf(name, sizeof(name), "p%d", i);
		cluster_pod(&c, "x", name, labels, NULL, "", NULL, false);
	}
	cluster_settle(&c);
	assert_int_equal(HASH_COUNT(c.world->ids.all), 1);
	/* Until one does. */
	apply("hash", "{\"podSelector\":{\"matchLabels\":{\"hash\":\"7\"}},\"ingress\":[]}");
	apply("only-a",
	      "{\"podSelector\":{\"matchLabels\":{\"hash\":\"8\"}},\"ingress\":[{\"from\":["
	      "{\"podSelector\":{\"matchLabels\":{\"hash\":\"9\"}}}]}]}");
	cluster_settle(&c);
	assert_int_equal(HASH_COUNT(c.world->ids.all), 50);
	assert_false(reaches("x/p1", "x/p7", 80));
	assert_false(reaches("x/p1", "x/p8", 80));
	assert_true(reaches("x/p9", "x/p8", 80));
	assert_true(reaches("x/p1", "x/p9", 80));
}

static void a_pod_is_closed_until_it_is_known(void **state)
{
	union loom_addr addr;

	add_pod("a", "a");
	apply("only-a", ONLY_A);
	assert_int_equal(addr_parse("10.1.0.99", &addr, NULL), 0);
	assert_int_equal(world_set_endpoint(c.world, 9, "x/new", "u1", &addr, 1), 0);
	cluster_settle(&c);
	assert_int_equal(epol(9).flags, 0);
	/* A pod of that name, but the one before. */
	{
		_json_ *old = json_of("{\"metadata\":{\"uid\":\"u0\",\"labels\":{\"app\":\"a\"}}}");

		assert_int_equal(world_set_pod(c.world, "x/new", old, NULL), 0);
	}
	cluster_settle(&c);
	assert_int_equal(epol(9).flags, 0);
	{
		_json_ *pod = json_of("{\"metadata\":{\"uid\":\"u1\",\"labels\":{\"app\":\"a\"}}}");

		assert_int_equal(world_set_pod(c.world, "x/new", pod, NULL), 0);
	}
	cluster_settle(&c);
	assert_int_equal(epol(9).flags, LOOM_EPOL_KNOWN);
	assert_int_equal(epol(9).identity, epol(1).identity);
	world_del_endpoint(c.world, 9);
	assert_int_equal(epol(9).flags, 0);
}

static void without_policies_nothing_is_enforced(void **state)
{
	union loom_addr addr;

	assert_int_equal(addr_parse("10.1.0.99", &addr, NULL), 0);
	assert_int_equal(world_set_endpoint(c.world, 9, "x/unknown", "", &addr, 1), 0);
	cluster_settle(&c);
	assert_int_equal(epol(0).flags, 0);
	assert_int_equal(epol(9).flags, LOOM_EPOL_KNOWN);
	assert_int_equal(c.native.bumps, 0);
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_int_equal(epol(0).flags, LOOM_EPOL_ENFORCED);
	assert_int_equal(epol(9).flags, 0);
	assert_true(c.native.bumps > 0);
	world_set_policy(c.world, "x/only-a", NULL, NULL);
	cluster_settle(&c);
	assert_int_equal(epol(0).flags, 0);
}

static void nothing_is_left_behind(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	apply("blocks",
	      "{\"podSelector\":{},\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\","
	      "\"except\":[\"10.1.0.0/16\"]}}]}]}");
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_CLASS), 2);
	world_set_policy(c.world, "x/only-a", NULL, NULL);
	world_set_policy(c.world, "x/blocks", NULL, NULL);
	cluster_pod_gone(&c, "x/a");
	cluster_pod_gone(&c, "x/b");
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_CLASS), 0);
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
	assert_int_equal(native_maps_count(POLMAP_IDENT), 0);
	assert_int_equal(c.world->sets.lists.slots.used, 0);
}

static void what_is_replaced_stays_until_nobody_can_use_it(void **state)
{
	uint32_t before;

	add_pod("a", "a");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	before = epol(1).policy_in;
	apply("only-a", "{\"podSelector\":{}}");
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_int_not_equal(epol(1).policy_in, before);
	assert_non_null(
		nmap_lookup(native_map("loom_pol"), &(struct loom_polkey){ .policy = before }));
	world_reap(c.world, c.now + REAP_AFTER_MS - 1);
	assert_non_null(
		nmap_lookup(native_map("loom_pol"), &(struct loom_polkey){ .policy = before }));
	world_reap(c.world, c.now + REAP_AFTER_MS);
	assert_null(nmap_lookup(native_map("loom_pol"), &(struct loom_polkey){ .policy = before }));
}

static void an_unrelated_policy_touches_no_other(void **state)
{
	uint32_t writes;

	cluster_namespace(&c, "y", NULL);
	add_pod("a", "a");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	writes = c.native.writes;
	{
		_json_ *np = json_of("{\"metadata\":{\"name\":\"o\",\"namespace\":\"y\"},"
				     "\"spec\":{\"podSelector\":{}}}");

		cluster_apply(&c, np);
	}
	apply("none", "{\"podSelector\":{\"matchLabels\":{\"app\":\"none\"}}}");
	/* The same again. */
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_int_equal(c.native.writes, writes);
}

static void what_a_node_runs_goes_on_over_a_restart(void **state)
{
	struct loom_epol before;

	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	before = epol(1);
	cluster_restart(&c);
	/* Nothing is known yet: all is as it was. */
	assert_true(reaches("x/a", "x/b", 80));
	assert_false(reaches("x/b", "x/a", 80));
	cluster_namespace(&c, "x", NULL);
	for (uint32_t ep = 1; ep <= 2; ep++) {
		char addr[ADDR_STRLEN];
		_json_ *pod = json_of("{\"metadata\":{\"labels\":{\"app\":\"%s\"}},"
				      "\"status\":{\"podIPs\":[{\"ip\":\"%s\"}]}}",
				      ep == 1 ? "a" : "b", addr_format(&c.pods[ep].addrs[0], addr));

		assert_int_equal(world_set_pod(c.world, c.pods[ep].key, pod, NULL), 0);
		assert_int_equal(
			world_set_endpoint(c.world, ep, c.pods[ep].key, "", c.pods[ep].addrs, 1),
			0);
	}
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_int_equal(epol(1).identity, before.identity);
	assert_true(reaches("x/a", "x/b", 80));
	assert_false(reaches("x/b", "x/a", 80));
	/* And the earlier run's is gone. */
	assert_int_equal(native_maps_count(POLMAP_POL), 2);
}

/* Each write in turn is the one that the kernel refuses, as if the agent had ended there. */
static void a_failed_write_opens_nothing(void **state)
{
	uint32_t done = 0;

	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	for (uint32_t at = 1; !done; at++) {
		assert_true(at < 1000);
		apply("extra", at % 2 ? "{\"podSelector\":{},\"egress\":[{\"to\":[{\"ipBlock\":{"
					"\"cidr\":\"10.0.0.0/8\"}}]}]}"
				      : "{\"podSelector\":{}}");
		c.native.writes = 0;
		c.native.fail_at = at;
		done = world_commit(c.world, c.now) == 0;
		assert_false(reaches("x/b", "x/a", 80));
		assert_true(reaches("x/a", "x/b", 80));
		c.native.fail_at = 0;
		cluster_settle(&c);
		assert_false(reaches("x/b", "x/a", 80));
		assert_true(reaches("x/a", "x/b", 80));
	}
}

static void apply_mode(const char *name, const char *app, bool log)
{
	_json_ *np = json_of("{\"metadata\":{\"name\":\"%s\",\"namespace\":\"x\",\"annotations\":{"
			     "\"netloom.io/policy-mode\":\"%s\"}},\"spec\":{\"podSelector\":{},"
			     "\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":"
			     "\"%s\"}}}]}]}}",
			     name, log ? "log" : "", app);

	cluster_apply(&c, np);
}

static uint16_t flags_in(const char *key)
{
	struct loom_polkey any = { .policy = epol(cluster_ep(&c, key)).policy_in };
	const struct loom_polset *set = nmap_lookup(native_map("loom_pol"), &any);

	return set ? set->flags : 0;
}

static void log_only_neither_denies_nor_opens(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply_mode("would", "a", true);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 80));
	assert_true(flags_in("x/a") & LOOM_POLSET_LOG_ONLY);
	/* With one that is enforced, what the other would allow does not count. */
	apply_mode("does", "c", false);
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 80));
	assert_false(flags_in("x/a") & LOOM_POLSET_LOG_ONLY);
}

static void an_address_follows_its_latest_pod(void **state)
{
	_json_ *labels = json_of("{\"app\":\"a\"}");
	_json_ *other = json_of("{\"app\":\"b\"}");
	const struct loom_ipkey *key;
	struct loom_ipkey k = {};
	uint32_t *number;

	cluster_pod(&c, "x", "one", labels, NULL, "10.1.0.77", NULL, false);
	cluster_settle(&c);
	k.addr = *addr_of("x/one");
	key = &k;
	number = nmap_lookup(native_map("loom_ident"), key);
	assert_non_null(number);
	assert_int_equal(*number, epol(1).identity);
	cluster_pod(&c, "x", "two", other, NULL, "10.1.0.77", NULL, false);
	cluster_settle(&c);
	number = nmap_lookup(native_map("loom_ident"), key);
	assert_int_equal(*number, epol(2).identity);
	cluster_pod_gone(&c, "x/two");
	cluster_settle(&c);
	number = nmap_lookup(native_map("loom_ident"), key);
	assert_int_equal(*number, epol(1).identity);
	cluster_pod_gone(&c, "x/one");
	cluster_settle(&c);
	assert_null(nmap_lookup(native_map("loom_ident"), key));
}

static void set_pod_object(const char *key, const char *uid, const char *app)
{
	_json_ *pod =
		json_of("{\"metadata\":{\"uid\":\"%s\",\"labels\":{\"app\":\"%s\"}}}", uid, app);

	assert_int_equal(world_set_pod(c.world, key, pod, NULL), 0);
}

static void publish(const char *key, const char *uid, const char *addr)
{
	_json_ *o = json_of("{\"uid\":\"%s\",\"ips\":[\"%s\"]}", uid, addr);

	assert_int_equal(world_set_published_pod(c.world, key, o, NULL), 0);
}

static uint32_t identity_at(const char *addr)
{
	struct loom_ipkey key = { .addr = ipv4(addr) };
	uint32_t *number = nmap_lookup(native_map("loom_ident"), &key);

	return number ? *number : 0;
}

/* Of a pod that has gone and come back under its name, the addresses may be known before the
 * object, or the other way round. */
static void an_address_has_no_labels_of_the_pod_before(void **state)
{
	const union loom_addr local = ipv4("10.2.0.3");

	add_pod("b", "b");
	apply("only-a", ONLY_A);
	set_pod_object("x/p", "u1", "a");
	publish("x/p", "u1", "10.2.0.1");
	cluster_settle(&c);
	assert_int_not_equal(identity_at("10.2.0.1"), 0);
	publish("x/p", "u2", "10.2.0.2");
	assert_int_equal(world_set_endpoint(c.world, 9, "x/p", "u2", &local, 1), 0);
	cluster_settle(&c);
	assert_int_equal(identity_at("10.2.0.1"), 0);
	assert_int_equal(identity_at("10.2.0.2"), 0);
	assert_int_equal(identity_at("10.2.0.3"), 0);
	set_pod_object("x/p", "u2", "c");
	cluster_settle(&c);
	assert_int_not_equal(identity_at("10.2.0.2"), 0);
	assert_int_equal(identity_at("10.2.0.3"), identity_at("10.2.0.2"));
	set_pod_object("x/p", "u3", "a");
	cluster_settle(&c);
	assert_int_equal(identity_at("10.2.0.2"), 0);
	assert_int_equal(identity_at("10.2.0.3"), 0);
	/* Who does not say which pod it was is taken at his word. */
	publish("x/p", "", "10.2.0.4");
	cluster_settle(&c);
	assert_int_not_equal(identity_at("10.2.0.4"), 0);
}

/* Of a static pod the runtime knows the hash, and the API server another uid. */
static void a_static_pod_is_known_by_its_hash(void **state)
{
	_json_ *pod =
		json_of("{\"metadata\":{\"uid\":\"u1\",\"annotations\":{"
			"\"kubernetes.io/config.mirror\":\"h1\"},\"labels\":{\"app\":\"a\"}}}");
	const union loom_addr local = ipv4("10.2.0.3");

	apply("only-a", ONLY_A);
	assert_int_equal(world_set_pod(c.world, "x/p", pod, NULL), 0);
	assert_int_equal(world_set_endpoint(c.world, 9, "x/p", "h1", &local, 1), 0);
	cluster_settle(&c);
	assert_int_equal(epol(9).flags, LOOM_EPOL_KNOWN);
	assert_int_equal(identity_at("10.2.0.3"), epol(9).identity);
	assert_int_equal(world_set_endpoint(c.world, 9, "x/p", "h0", &local, 1), 0);
	cluster_settle(&c);
	assert_int_equal(epol(9).flags, 0);
}

static void add_server(uint16_t port)
{
	_json_ *ports = json_of("[{\"name\":\"http\",\"containerPort\":%u}]", port);

	cluster_pod(&c, "x", "server", NULL, ports, "10.1.9.9", NULL, false);
}

/* A rule of a block and of a port's name at once knows the servers by their addresses. */
static void rules_that_come_back_know_servers_as_they_are_now(void **state)
{
	add_server(80);
	add_pod("a", "a");
	apply("np",
	      "{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}},\"policyTypes\":[\"Egress\"],"
	      "\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.1.0.0/16\"}}],\"ports\":[{"
	      "\"port\":\"http\"}]}]}");
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/server", 80));
	assert_false(reaches("x/a", "x/server", 81));
	/* Nobody has the rules for a moment, and then the server is another. */
	add_pod("a", "b");
	assert_int_equal(world_commit(c.world, c.now), 0);
	add_server(81);
	assert_int_equal(world_commit(c.world, c.now), 0);
	add_pod("a", "a");
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_false(reaches("x/a", "x/server", 80));
	assert_true(reaches("x/a", "x/server", 81));
}

static void objects_that_are_not_set_again_are_gone(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	world_begin(c.world);
	add_pod("a", "a");
	cluster_namespace(&c, "x", NULL);
	world_end(c.world);
	cluster_settle(&c);
	assert_int_equal(epol(0).flags, 0);
	assert_int_equal(native_maps_count(POLMAP_IDENT), 1);
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
}

/* A flow that was let through to somebody outside. */
static void a_node_that_becomes_known_has_live_flows_judged_again(void **state)
{
	_json_ *cnp = json_of(
		"{\"kind\":\"ClusterNetworkPolicy\",\"metadata\":{\"name\":\"n\"},\"spec\":{"
		"\"tier\":\"Admin\",\"priority\":1,\"subject\":{\"namespaces\":{}},\"egress\":[{"
		"\"action\":\"Deny\",\"to\":[{\"nodes\":{\"matchLabels\":{\"a\":\"1\"}}}]}]}}");
	_json_ *node = json_of("{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"1\"}},"
			       "\"status\":{\"addresses\":[{\"address\":\"172.18.0.9\"}]}}");
	const union loom_addr there = ipv4("172.18.0.9");
	uint32_t before;

	add_pod("a", "a");
	cluster_apply(&c, cnp);
	cluster_settle(&c);
	assert_true(cluster_egress(&c, "x/a", &there, TCP, 80));
	before = c.native.bumps;
	assert_int_equal(world_set_node(c.world, "n", node, NULL), 0);
	cluster_settle(&c);
	assert_false(cluster_egress(&c, "x/a", &there, TCP, 80));
	assert_int_equal(c.native.bumps, before + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(pods_that_policies_cannot_tell_apart_share_everything),
		TEST(labels_that_no_policy_names_tell_no_pods_apart),
		TEST(a_pod_is_closed_until_it_is_known),
		TEST(a_node_that_becomes_known_has_live_flows_judged_again),
		TEST(without_policies_nothing_is_enforced),
		TEST(nothing_is_left_behind),
		TEST(what_is_replaced_stays_until_nobody_can_use_it),
		TEST(an_unrelated_policy_touches_no_other),
		TEST(what_a_node_runs_goes_on_over_a_restart),
		TEST(a_failed_write_opens_nothing),
		TEST(log_only_neither_denies_nor_opens),
		TEST(an_address_follows_its_latest_pod),
		TEST(an_address_has_no_labels_of_the_pod_before),
		TEST(a_static_pod_is_known_by_its_hash),
		TEST(rules_that_come_back_know_servers_as_they_are_now),
		TEST(objects_that_are_not_set_again_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
