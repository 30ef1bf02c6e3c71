// SPDX-License-Identifier: Apache-2.0
/* Policies that do not fit: what is said of them, what holds instead, and that others go on. */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

/* What does not fit is not tried for ever. */
static void assert_comes_to_rest(void)
{
	for (int i = 0; i < 4; i++)
		cluster_settle(&c);
	c.now += REAP_AFTER_MS;
	assert_false(world_reap(c.world, c.now));
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
	const union loom_addr outside = ipv4("10.9.3.1");

	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	c.world->maps.max_classes = 10;
	{
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);

		fputs("{\"podSelector\":{},\"egress\":[{\"to\":[", f);
		for (int i = 0; i < 20; i++)
			fprintf(f, "%s{\"ipBlock\":{\"cidr\":\"10.9.%d.0/24\"}}", i ? "," : "", i);
		fputs("]}]}", f);
		fclose(f);
		apply("large", text);
		free(text);
	}
	cluster_settle(&c);
	assert_non_null(strstr(c.problem, "networkpolicy x/large"));
	assert_non_null(strstr(c.problem, "no room for its CIDRs"));
	assert_comes_to_rest();
	/* It lets nothing through; others hold, for new pods too. */
	assert_false(cluster_egress(&c, "x/a", &outside, TCP, 80));
	add_pod("new", "c");
	cluster_settle(&c);
	assert_false(cluster_egress(&c, "x/new", &outside, TCP, 80));
	assert_true(cluster_ingress(&c, "x/new", addr_of("x/a"), TCP, 80));
	assert_false(cluster_ingress(&c, "x/new", addr_of("x/b"), TCP, 80));
	/* There is room, and something goes: it is tried again. */
	c.world->maps.max_classes = 100;
	apply("only-a", "{\"podSelector\":{},\"ingress\":[]}");
	cluster_settle(&c);
	assert_true(cluster_egress(&c, "x/a", &outside, TCP, 80));
	assert_null(entry_of("networkpolicy x/large")->unfit);
}

/* Ingress from all pods to `n` ports, of which no two are neighbours. */
static void apply_ports_of(const char *name, const char *subject, int first, int n)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f,
		"{\"podSelector\":%s,\"ingress\":[{\"from\":[{"
		"\"namespaceSelector\":{}}],\"ports\":[",
		subject);
	for (int i = 0; i < n; i++)
		fprintf(f, "%s{\"port\":%d}", i ? "," : "", first + 2 * i);
	fputs("]}]}", f);
	fclose(f);
	apply(name, text);
	free(text);
}

static void apply_ports(const char *name, const char *app, int first, int n)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "{\"matchLabels\":{\"app\":\"%s\"}}", app);
	apply_ports_of(name, subject, first, n);
}

static void too_many_ports_of_one_peer_are_refused(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply_ports("ports", "a", 1000, 300);
	cluster_settle(&c);
	assert_non_null(strstr(c.problem, "networkpolicy x/ports"));
	assert_non_null(strstr(entry_of("networkpolicy x/ports")->unfit, "more than 256 ports"));
	assert_false(reaches("x/b", "x/a", 1000));
	assert_true(reaches("x/a", "x/b", 1000));
	assert_string_equal(c.world->endpoints->rules[DIR_IN]->policies[0]->name,
			    "networkpolicy x/ports (closed)");
	assert_comes_to_rest();
	/* A text that fits, one that does not, and again. */
	apply_ports("ports", "a", 1000, 2);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 1002));
	assert_null(entry_of("networkpolicy x/ports")->unfit);
	for (int i = 0; i < 2; i++) {
		apply_ports("ports", "a", 2000, 300 + i);
		cluster_settle(&c);
		assert_true(reaches("x/b", "x/a", 1002));
		assert_false(reaches("x/b", "x/a", 2000));
	}
	world_set_policy(c.world, "x/ports", NULL, NULL);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 2000));
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
}

static void what_does_not_fit_keeps_no_other_policy_away(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	add_pod("c", "c");
	apply_ports("ports", "b", 80, 1);
	cluster_settle(&c);
	apply_ports("ports", "b", 80, 300);
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 80));
	assert_true(reaches("x/c", "x/b", 80));
	/* An administrator's, that comes, changes and goes. */
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "a"));
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 80));
	assert_true(reaches("x/c", "x/b", 80));
	apply_cluster("admin", "Admin", CNP_RULE("Accept", "a"));
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 9));
	world_set_cluster_policy(c.world, "admin", NULL, NULL);
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 9));
	/* One of the same namespace. */
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 9));
	assert_false(reaches("x/c", "x/b", 9));
	world_set_policy(c.world, "x/only-a", NULL, NULL);
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 9));
	assert_true(reaches("x/a", "x/b", 80));
}

static void of_two_that_do_not_fit_together_the_one_that_held_stays(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply_ports("first", "a", 1000, 200);
	cluster_settle(&c);
	apply_ports("second", "a", 2000, 100);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 1000));
	assert_false(reaches("x/b", "x/a", 2000));
	assert_null(entry_of("networkpolicy x/first")->unfit);
	assert_non_null(entry_of("networkpolicy x/second")->unfit);
	world_set_policy(c.world, "x/first", NULL, NULL);
	cluster_settle(&c);
	assert_false(reaches("x/b", "x/a", 1000));
	assert_true(reaches("x/b", "x/a", 2000));
	assert_null(entry_of("networkpolicy x/second")->unfit);
}

static void an_administrators_goes_before_one_that_held(void **state)
{
	char rule[8000];
	int at;

	add_pod("a", "a");
	add_pod("b", "b");
	apply_ports("ports", "a", 1000, 200);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 1000));
	at = snprintf(rule, sizeof(rule),
		      "{\"action\":\"Deny\",\"from\":[{\"namespaces\":{}}],\"protocols\":[");
	for (int i = 0; i < 100; i++)
		at += snprintf(rule + at, sizeof(rule) - at,
			       "%s{\"tcp\":{\"destinationPort\":{\"number\":%d}}}", i ? "," : "",
			       3000 + 2 * i);
	snprintf(rule + at, sizeof(rule) - at, "]},%s", CNP_RULE("Accept", "b"));
	apply_cluster("admin", "Admin", rule);
	cluster_settle(&c);
	assert_non_null(entry_of("networkpolicy x/ports")->unfit);
	assert_false(reaches("x/b", "x/a", 3000));
	assert_true(reaches("x/b", "x/a", 3001));
	world_set_cluster_policy(c.world, "admin", NULL, NULL);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 1000));
	assert_false(reaches("x/b", "x/a", 3001));
}

/* The agent ends and starts, knows the same, and has written it; the old rules have not gone. */
static void restart_and_commit(uint32_t max_sets)
{
	cluster_restart(&c);
	c.world->maps.max_sets = max_sets;
	cluster_namespace(&c, "x", NULL);
	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	for (uint32_t ep = 1; ep <= 2; ep++)
		assert_int_equal(
			world_set_endpoint(c.world, ep, c.pods[ep].key, "", c.pods[ep].addrs, 1),
			0);
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_true(reaches("x/a", "x/b", 80));
	assert_false(reaches("x/b", "x/a", 80));
}

/* Nobody is cut off for want of room: neither in a full map, nor when one restart follows another,
 * where what was there holds until it goes. */
static void restarts_find_room_in_a_full_map(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_POL), 2);
	restart_and_commit(2);
	assert_int_equal(native_maps_count(POLMAP_POL), 4);
	restart_and_commit(2);
	assert_int_equal(native_maps_count(POLMAP_POL), 4);
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 80));
	assert_false(reaches("x/b", "x/a", 80));
	assert_null(entry_of("networkpolicy x/only-a")->unfit);
	assert_int_equal(native_maps_count(POLMAP_POL), 2);
}

/* Rule sets that were replaced a moment ago are still in the maps, as many as those in force. */
static void what_was_replaced_just_now_refuses_nobody(void **state)
{
	char text[200];

	add_pod("a", "a");
	add_pod("b", "b");
	add_pod("c", "c");
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	c.world->maps.max_sets = native_maps_count(POLMAP_POL) + 4;
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text),
			 "{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{"
			 "\"matchLabels\":{\"app\":\"c\"}}}],\"ports\":[{\"port\":%d}]}]}",
			 1000 + i);
		apply("changing", text);
		assert_int_equal(world_commit(c.world, c.now), 0);
		assert_true(reaches("x/a", "x/b", 80));
		assert_null(entry_of("networkpolicy x/only-a")->unfit);
		assert_null(entry_of("networkpolicy x/changing")->unfit);
	}
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 80));
	assert_true(reaches("x/c", "x/b", 1004));
	assert_false(reaches("x/c", "x/b", 1003));
	assert_string_equal(c.problem, "");
}

static void many_policies_of_which_some_do_not_fit(void **state)
{
	char name[32];

	add_pod("a", "a");
	add_pod("b", "b");
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		apply_ports(name, "a", 1000 + i, i % 20 == 7 ? 300 : 1);
	}
	cluster_settle(&c);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "networkpolicy x/p%d", i);
		assert_int_equal(entry_of(name)->unfit != NULL, i % 20 == 7);
		assert_int_equal(reaches("x/b", "x/a", 1000 + i), i % 20 != 7);
	}
}

/* A refusal is of the whole policy: of directions and pods that would fit, too. */
static void what_is_refused_is_refused_whole(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const union loom_addr outside = ipv4("10.9.3.1");

	add_pod("a", "a");
	add_pod("b", "b");
	apply("both", "{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}},\"policyTypes\":["
		      "\"Egress\"]}");
	cluster_settle(&c);
	fputs("{\"podSelector\":{},\"egress\":[{}],\"ingress\":[{\"ports\":[", f);
	for (int i = 0; i < 300; i++)
		fprintf(f, "%s{\"port\":%d}", i ? "," : "", 1000 + 2 * i);
	fputs("]}]}", f);
	fclose(f);
	apply("both", text);
	free(text);
	cluster_settle(&c);
	assert_false(cluster_egress(&c, "x/a", &outside, TCP, 80));
	assert_true(cluster_egress(&c, "x/b", &outside, TCP, 80));
	assert_true(cluster_ingress(&c, "x/b", &outside, TCP, 80));
}

static void tenants_cannot_take_all_the_room(void **state)
{
	char name[32], spec[300];

	add_pod("a", "a");
	add_pod("b", "b");
	c.world->maps.max_classes = 40;
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(spec, sizeof(spec),
			 "{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}},\"egress\":[{\"to\":[{"
			 "\"ipBlock\":{\"cidr\":\"10.%d.0.0/16\"}}]}]}",
			 i);
		apply(name, spec);
	}
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_CLASS), 35);
	{
		_json_ *cnp =
			json_of("{\"kind\":\"ClusterNetworkPolicy\",\"metadata\":{\"name\":\"n\"},"
				"\"spec\":{\"tier\":\"Admin\",\"priority\":1,\"subject\":{"
				"\"namespaces\":{}},\"egress\":[{\"action\":\"Deny\",\"to\":[{"
				"\"networks\":[\"1.0.0.0/8\",\"2.0.0.0/8\"]}]}]}}");
		const union loom_addr one = ipv4("1.1.1.1"), two = ipv4("3.1.1.1");

		cluster_apply(&c, cnp);
		cluster_settle(&c);
		assert_false(cluster_egress(&c, "x/b", &one, TCP, 80));
		assert_false(cluster_egress(&c, "x/a", &one, TCP, 80));
		assert_true(cluster_egress(&c, "x/b", &two, TCP, 80));
	}
}

/* It has more rules of a rule set than a set can hold; others are none the worse for it. */
static void a_new_peer_of_too_many_rules_is_let_in_by_none(void **state)
{
	_json_ *labels = json_of("{\"l0\":\"\",\"l1\":\"\",\"l2\":\"\"}");
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	add_pod("b", "b");
	add_pod("d", "d");
	fputs("{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"ingress\":[", f);
	for (int rule = 0; rule < 3; rule++) {
		fprintf(f,
			"%s{\"from\":[{\"podSelector\":{\"matchExpressions\":[{\"key\":\"l%d\","
			"\"operator\":\"Exists\"}]}}],\"ports\":[",
			rule ? "," : "", rule);
		for (int i = 0; i < 100; i++)
			fprintf(f, "%s{\"port\":%d}", i ? "," : "", 1000 * rule + 1000 + 2 * i);
		fputs("]}", f);
	}
	fputs("]}", f);
	fclose(f);
	apply("labels", text);
	free(text);
	apply("only-a",
	      "{\"podSelector\":{\"matchLabels\":{\"app\":\"d\"}},\"ingress\":[{\"from\":["
	      "{\"podSelector\":{\"matchExpressions\":[{\"key\":\"l1\",\"operator\":"
	      "\"Exists\"}]}}]}]}");
	cluster_settle(&c);
	cluster_pod(&c, "x", "all", labels, NULL, "", NULL, false);
	cluster_settle(&c);
	assert_non_null(strstr(c.problem, "networkpolicy x/labels"));
	assert_false(reaches("x/all", "x/b", 1000));
	assert_true(reaches("x/all", "x/d", 1000));
	assert_false(reaches("x/b", "x/d", 1000));
}

static void neighbouring_ports_become_ranges_before_they_are_too_many(void **state)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	add_pod("a", "a");
	add_pod("b", "b");
	fputs("{\"podSelector\":{},\"ingress\":[{\"ports\":[", f);
	for (int i = 0; i < 3000; i++)
		fprintf(f, "%s{\"port\":%d}", i ? "," : "", 1000 + i);
	fputs("]}]}", f);
	fclose(f);
	apply("ports", text);
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 1000));
	assert_true(reaches("x/a", "x/b", 3999));
	assert_false(reaches("x/a", "x/b", 999));
	assert_false(reaches("x/a", "x/b", 4000));
	free(text);
}

/* 200 ports each, to pods of `app`, from those that have the label `from`. */
static void apply_from(const char *name, const char *app, const char *from, int first)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f,
		"{\"podSelector\":{\"matchLabels\":{\"app\":\"%s\"}},\"ingress\":[{\"from\":[{"
		"\"podSelector\":{\"matchExpressions\":[{\"key\":\"%s\",\"operator\":"
		"\"Exists\"}]}}],\"ports\":[",
		app, from);
	for (int i = 0; i < 200; i++)
		fprintf(f, "%s{\"port\":%d}", i ? "," : "", first + 2 * i);
	fputs("]}]}", f);
	fclose(f);
	apply(name, text);
	free(text);
}

static void what_a_peer_has_too_many_of_fits_when_it_goes(void **state)
{
	_json_ *both = json_of("{\"l0\":\"\",\"l1\":\"\"}"), *one = json_of("{\"l1\":\"\"}");
	uint32_t tries;

	add_pod("b", "b");
	cluster_pod(&c, "x", "both", both, NULL, "", NULL, false);
	cluster_pod(&c, "x", "one", one, NULL, "", NULL, false);
	world_del_endpoint(c.world, cluster_ep(&c, "x/both")); /* it is on another node */
	apply_from("first", "b", "l0", 1000);
	cluster_settle(&c);
	apply_from("second", "b", "l1", 2000);
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/b", addr_of("x/both"), TCP, 1000));
	assert_false(reaches("x/one", "x/b", 2000));
	assert_non_null(entry_of("networkpolicy x/second")->unfit);
	tries = c.world->sets.last;
	for (int i = 0; i < 3; i++) {
		add_pod("guest", "guest");
		cluster_settle(&c);
		cluster_pod_gone(&c, "x/guest");
		cluster_settle(&c);
	}
	assert_int_equal(c.world->sets.last, tries);
	cluster_pod_gone(&c, "x/both");
	cluster_settle(&c);
	assert_true(reaches("x/one", "x/b", 2000));
	assert_null(entry_of("networkpolicy x/second")->unfit);
}

static void what_is_too_much_for_a_pod_fits_others_when_it_goes(void **state)
{
	_json_ *both = json_of("{\"app\":\"a\",\"t0\":\"\"}"), *one = json_of("{\"app\":\"a\"}");

	add_pod("b", "b");
	cluster_pod(&c, "x", "both", both, NULL, "", NULL, false);
	cluster_pod(&c, "x", "one", one, NULL, "", NULL, false);
	apply_ports_of("first", "{\"matchExpressions\":[{\"key\":\"t0\",\"operator\":\"Exists\"}]}",
		       1000, 200);
	cluster_settle(&c);
	apply_ports("second", "a", 2000, 200);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/both", 1000));
	assert_false(reaches("x/b", "x/one", 2000));
	assert_non_null(entry_of("networkpolicy x/second")->unfit);
	cluster_pod_gone(&c, "x/both");
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/one", 2000));
	assert_null(entry_of("networkpolicy x/second")->unfit);
}

static int count_refused(int odd)
{
	char name[32];
	int n = 0;

	for (int i = odd; i < 60; i += 2) {
		snprintf(name, sizeof(name), "networkpolicy x/s%02d", i);
		n += entry_of(name)->unfit != NULL;
	}
	return n;
}

/* Two peers have too many rules each, of more policies than are tried in one commit. */
static void what_was_not_tried_has_its_turn(void **state)
{
	char name[16], label[8];

	add_pod("b", "b");
	for (int i = 0; i < 2; i++) {
		_json_ *both = json_of("{\"l%d\":\"\",\"m%d\":\"\"}", i, i);

		snprintf(name, sizeof(name), "both%d", i);
		cluster_pod(&c, "x", name, both, NULL, "", NULL, false);
		snprintf(name, sizeof(name), "first%d", i);
		snprintf(label, sizeof(label), "l%d", i);
		apply_from(name, "b", label, 1000);
	}
	cluster_settle(&c);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "s%02d", i);
		apply_from(name, "b", i % 2 ? "m1" : "m0", 2000);
	}
	assert_comes_to_rest();
	assert_int_equal(count_refused(0), 30);
	assert_int_equal(count_refused(1), 30);
	cluster_pod_gone(&c, "x/both1");
	assert_comes_to_rest();
	assert_int_equal(count_refused(0), 30);
	assert_int_equal(count_refused(1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_does_not_fit_is_refused_by_name),
		TEST(too_many_ports_of_one_peer_are_refused),
		TEST(what_does_not_fit_keeps_no_other_policy_away),
		TEST(of_two_that_do_not_fit_together_the_one_that_held_stays),
		TEST(an_administrators_goes_before_one_that_held),
		TEST(restarts_find_room_in_a_full_map),
		TEST(what_was_replaced_just_now_refuses_nobody),
		TEST(many_policies_of_which_some_do_not_fit),
		TEST(what_is_refused_is_refused_whole),
		TEST(tenants_cannot_take_all_the_room),
		TEST(a_new_peer_of_too_many_rules_is_let_in_by_none),
		TEST(neighbouring_ports_become_ranges_before_they_are_too_many),
		TEST(what_a_peer_has_too_many_of_fits_when_it_goes),
		TEST(what_is_too_much_for_a_pod_fits_others_when_it_goes),
		TEST(what_was_not_tried_has_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
