// SPDX-License-Identifier: Apache-2.0
/* Policies of thousands: what they cost, and that one which is too large hurts nobody else. */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/json/json.h"

/*
 * CPU time that one change may keep the agent's loop: 0.2 s at most, and half a minute where what
 * it takes grows with the square of the policy's size. Time that a virtual machine was not given
 * counts as its own.
 */
#define BOUND_S 10

/* "<head>one,one,…<tail>", where `one` has the two parts of a number. Heap. */
static char *repeat(const char *head, const char *one, const char *tail, int n)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(head, f);
	for (int i = 0; i < n; i++) {
		fputs(i ? "," : "", f);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		fprintf(f, one, i / 256, i % 256);
#pragma GCC diagnostic pop
	}
	fputs(tail, f);
	fclose(f);
	return text;
}

static struct json_object *policy_of(const char *spec)
{
	return json_of("{\"metadata\":{\"name\":\"large\",\"namespace\":\"x\"},\"spec\":%s}", spec);
}

static double apply_and_settle(const char *spec)
{
	_json_ *np = policy_of(spec);
	clock_t start = clock();

	assert_int_equal(world_set_policy(c.world, "x/large", np, NULL), 0);
	cluster_settle(&c);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

#define HEAD "{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"ingress\":[{\"from\":["
#define TAIL "]}]}"

static void ten_thousand_peers(void **state)
{
	_cleanup_(freep) char *spec = repeat(
		HEAD, "{\"podSelector\":{\"matchLabels\":{\"app\":\"p%d.%d\"}}}", TAIL, 10000);
	char name[16], app[16];
	double took;

	add_pod("b", "b");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(app, sizeof(app), "%c%d.%d", i % 2 ? 'p' : 'q', i * 49 / 256,
			 i * 49 % 256);
		add_pod(name, app);
	}
	took = apply_and_settle(spec);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "x/p%d", i);
		assert_int_equal(reaches(name, "x/b", 80), i % 2);
	}
	/* One that comes later. */
	add_pod("late", "p39.1");
	cluster_settle(&c);
	assert_true(reaches("x/late", "x/b", 80));
	assert_true(took < BOUND_S);
	world_set_policy(c.world, "x/large", NULL, NULL);
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
}

static void as_many_cidrs_as_there_can_be(void **state)
{
	_cleanup_(freep) char *spec = repeat(HEAD, "{\"ipBlock\":{\"cidr\":\"10.%d.%d.0/24\"}}",
					     TAIL, POLICY_MAX_PREFIXES);
	const union loom_addr in = ipv4("10.63.255.9"), out = ipv4("10.64.0.9");
	double took;

	add_pod("b", "b");
	took = apply_and_settle(spec);
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 80));
	assert_false(cluster_ingress(&c, "x/b", &out, TCP, 80));
	assert_int_equal(native_maps_count(POLMAP_CLASS), POLICY_MAX_PREFIXES);
	assert_true(took < BOUND_S);
}

static void set_too_large(void)
{
	_cleanup_(freep) char *spec =
		repeat(HEAD, "{\"ipBlock\":{\"cidr\":\"fd00::%d:%d/128\"}}", TAIL, 100000);
	_json_ *np = policy_of(spec);
	struct err e = {};

	assert_int_equal(world_set_policy(c.world, "x/large", np, &e), -E2BIG);
	assert_string_equal(e.msg, "networkpolicy x/large: spec: has 100000 CIDRs and excepts, of "
				   "which there can be 16384");
}

static void a_hundred_thousand_cidrs_are_refused_whole(void **state)
{
	const union loom_addr before = ipv4("192.0.2.1");
	union loom_addr first;

	assert_int_equal(addr_parse("fd00::7", &first, NULL), 0);
	add_pod("a", "a");
	add_pod("b", "b");
	apply("only-a", ONLY_A);
	apply("large", HEAD "{\"ipBlock\":{\"cidr\":\"192.0.2.0/24\"}}" TAIL);
	cluster_settle(&c);
	set_too_large();
	cluster_settle(&c);
	/* The text of before holds, and what others say. */
	assert_true(cluster_ingress(&c, "x/b", &before, TCP, 80));
	assert_false(cluster_ingress(&c, "x/b", &first, TCP, 80));
	assert_true(reaches("x/a", "x/b", 80));
	/* Others go on, of the same pods and of other ones. */
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "a"));
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 80));
	assert_true(cluster_ingress(&c, "x/b", &before, TCP, 80));
	world_set_cluster_policy(c.world, "admin", NULL, NULL);
	apply("only-a", "{\"podSelector\":{},\"ingress\":[]}");
	cluster_settle(&c);
	assert_false(reaches("x/a", "x/b", 80));
	assert_false(reaches("x/b", "x/a", 80));
	assert_true(cluster_ingress(&c, "x/b", &before, TCP, 80));
	world_set_policy(c.world, "x/only-a", NULL, NULL);
	cluster_settle(&c);
	assert_true(reaches("x/b", "x/a", 80));
	/* With no text of before it lets in nobody. */
	world_set_policy(c.world, "x/large", NULL, NULL);
	set_too_large();
	cluster_settle(&c);
	assert_false(cluster_ingress(&c, "x/b", &before, TCP, 80));
	assert_false(cluster_ingress(&c, "x/b", &first, TCP, 80));
	assert_true(reaches("x/b", "x/a", 80));
}

/* Each except is a class that all blocks cover. */
static void many_blocks_around_many_excepts(void **state)
{
	_cleanup_(freep) char *spec = repeat(
		HEAD, "{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"10.%d.%d.0/24\"]}}", TAIL,
		8192);
	const union loom_addr in = ipv4("10.7.7.7");

	add_pod("b", "b");
	assert_true(apply_and_settle(spec) < BOUND_S);
	/* Cut out of one block, it is in all the others. */
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 80));
}

/* No block is left for any of these classes, and all have to be looked at to know. */
static void many_blocks_that_are_all_cut_out(void **state)
{
	_cleanup_(freep) char *blocks =
		repeat(HEAD, "{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\",\"except\":[\"10.0.0.0/8\"]}}",
		       "", 5000);
	_cleanup_(freep) char *others =
		repeat("]},{\"ports\":[{\"port\":80}],\"from\":[",
		       "{\"ipBlock\":{\"cidr\":\"10.0.%d.%d/32\"}}", TAIL, 6000);
	_cleanup_(freep) char *spec = NULL;
	const union loom_addr in = ipv4("10.0.7.7"), out = ipv4("10.1.7.7"), far = ipv4("11.1.1.1");

	assert_true(asprintf(&spec, "%s%s", blocks, others) > 0);
	add_pod("b", "b");
	assert_true(apply_and_settle(spec) < BOUND_S);
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 80));
	assert_false(cluster_ingress(&c, "x/b", &in, TCP, 81));
	assert_false(cluster_ingress(&c, "x/b", &out, TCP, 80));
	assert_true(cluster_ingress(&c, "x/b", &far, TCP, 81));
}

/* Rules that are alike are one. */
static void ten_thousand_rules(void **state)
{
	_cleanup_(freep) char *spec = repeat(
		"{\"podSelector\":{\"matchLabels\":{\"app\":\"b\"}},\"ingress\":[",
		"{\"from\":[{\"podSelector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":"
		"\"NotIn\",\"values\":[\"%d.%d\"]}]}}],\"ports\":[{\"port\":80}]}",
		"]}", 10000);
	char name[16];
	double took;

	add_pod("b", "b");
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		add_pod(name, name);
	}
	took = apply_and_settle(spec);
	assert_true(reaches("x/p7", "x/b", 80));
	assert_false(reaches("x/p7", "x/b", 81));
	assert_true(took < BOUND_S);
}

/* ---- more policies than fit ---- */

#define MANY 2000

static void apply_many(void)
{
	char name[16], spec[100];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(spec, sizeof(spec),
			 "{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":%d}]}]}",
			 1000 + 2 * i);
		apply(name, spec);
	}
}

static int count_unfit(void)
{
	int n = 0;

	for (const struct policy_entry *e = c.world->policies; e; e = e->hh.next)
		n += e->unfit != NULL;
	return n;
}

static int count_untried(void)
{
	int n = 0;

	for (const struct policy_entry *e = c.world->policies; e; e = e->hh.next)
		n += e->unfit && strstr(e->unfit, "is not tried yet");
	return n;
}

static int count_open(const char *from, const char *to)
{
	int n = 0;

	for (int i = 0; i < MANY; i++)
		n += reaches(from, to, 1000 + 2 * i);
	return n;
}

/* Pods that come and go, and with them their identity. */
static void churn(void)
{
	for (int i = 0; i < 3; i++) {
		add_pod("guest", "guest");
		cluster_settle(&c);
		cluster_pod_gone(&c, "x/guest");
		cluster_settle(&c);
	}
}

static void thousands_of_policies_of_which_few_fit(void **state)
{
	uint32_t before;
	char name[16];

	add_pod("a", "a");
	add_pod("b", "b");
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "a"));
	apply("all", "{\"podSelector\":{},\"ingress\":[{\"from\":[{\"namespaceSelector\":{}}],"
		     "\"ports\":[{\"port\":80}]}]}");
	cluster_settle(&c);
	apply_many();
	before = c.world->sets.last;
	c.native.writes = 0;
	cluster_settle(&c);
	/* Rule sets that were made to see what fits: so many in each commit, for ingress alone. */
	assert_in_range(c.world->sets.last - before, 1, 5 * 100);
	assert_in_range(c.native.writes, 1, 5 * 400);
	assert_int_equal(count_unfit(), MANY - count_open("x/b", "x/a"));
	assert_true(reaches("x/b", "x/a", 80));
	assert_int_equal(count_open("x/a", "x/b"), 0);
	assert_false(reaches("x/a", "x/b", 80));
	/* The others have their turns, until all that fits holds. */
	for (int i = 0; i < 40 && count_untried(); i++)
		cluster_settle(&c);
	assert_int_equal(count_untried(), 0);
	assert_int_equal(count_open("x/b", "x/a"), 256);
	/* Room that others leave changes nothing of it. */
	churn();
	before = c.world->sets.last;
	churn();
	assert_int_equal(c.world->sets.last, before);
	assert_int_equal(count_unfit(), MANY - 256);
	assert_int_equal(count_open("x/a", "x/b"), 0);
	for (int i = 200; i < MANY; i++) {
		snprintf(name, sizeof(name), "x/p%d", i);
		world_set_policy(c.world, name, NULL, NULL);
	}
	cluster_settle(&c);
	assert_int_equal(count_unfit(), 0);
	assert_int_equal(count_open("x/b", "x/a"), 200);
	assert_int_equal(count_open("x/a", "x/b"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(ten_thousand_peers),
		TEST(as_many_cidrs_as_there_can_be),
		TEST(a_hundred_thousand_cidrs_are_refused_whole),
		TEST(many_blocks_around_many_excepts),
		TEST(many_blocks_that_are_all_cut_out),
		TEST(ten_thousand_rules),
		TEST(thousands_of_policies_of_which_few_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
