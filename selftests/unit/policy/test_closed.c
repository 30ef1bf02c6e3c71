// SPDX-License-Identifier: Apache-2.0
/* Policies that can't be read: where no text of before holds, nothing passes that they might deny.
 */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

#define OF_A(rest) "{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}}," rest "}"
#define BAD_PEER   "[{\"ipBlock\":{\"cidr\":\"10.0.0.0/40\"}}]"
#define BAD_SEL	   "{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Like\"}]}"

enum { IN_A = 1, OUT_A = 2, IN_B = 4, OUT_B = 8, ALL = 15 };

static const struct {
	const char *name, *spec;
	unsigned int closed;
} np_cases[] = {
	{ "a rule of ingress", OF_A("\"ingress\":[{\"from\":" BAD_PEER "}]"), IN_A },
	{ "a rule of egress",
	  OF_A("\"policyTypes\":[\"Egress\"],\"egress\":[{\"to\":" BAD_PEER "}]"), OUT_A },
	{ "rules of egress, no types", OF_A("\"egress\":[{\"to\":" BAD_PEER "}]"), IN_A | OUT_A },
	{ "both types",
	  OF_A("\"policyTypes\":[\"Ingress\",\"Egress\"],\"ingress\":[{\"from\":" BAD_PEER "}]"),
	  IN_A | OUT_A },
	{ "no rules of egress", OF_A("\"egress\":[],\"ingress\":7"), IN_A },
	{ "egress is no list", OF_A("\"egress\":7"), IN_A | OUT_A },
	{ "an unknown type", OF_A("\"policyTypes\":[\"Ingress\",\"Sideways\"]"), IN_A | OUT_A },
	{ "types are no list", OF_A("\"policyTypes\":\"Ingress\""), IN_A | OUT_A },
	{ "the subject", "{\"podSelector\":" BAD_SEL "}", IN_A | IN_B },
	{ "the subject is no object", "{\"podSelector\":7,\"policyTypes\":[\"Egress\"]}",
	  OUT_A | OUT_B },
	{ "all of it", "[]", ALL },
	{ "nothing is there", "null", ALL },
};

#define CNP(tier, subject, rest) \
	"{\"tier\":\"" tier "\",\"priority\":1,\"subject\":" subject "," rest "}"
#define SUBJECT_A "{\"pods\":{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}}}}"
#define TO_BAD(action) \
	"\"egress\":[{\"action\":\"" action "\",\"to\":[{\"networks\":[\"10.0.0.0/40\"]}]}]"
#define FROM_BAD(action) "\"ingress\":[{\"action\":\"" action "\",\"from\":[]}]"

static const struct {
	const char *name, *spec;
	unsigned int closed;
} cnp_cases[] = {
	{ "deny", CNP("Admin", SUBJECT_A, TO_BAD("Deny")), OUT_A },
	{ "pass on", CNP("Admin", SUBJECT_A, FROM_BAD("Pass")), IN_A },
	{ "an unknown action", CNP("Baseline", SUBJECT_A, FROM_BAD("Drop")), IN_A },
	{ "accept", CNP("Admin", SUBJECT_A, TO_BAD("Accept")), 0 },
	{ "both directions", CNP("Admin", SUBJECT_A, TO_BAD("Accept") "," FROM_BAD("Deny")), IN_A },
	{ "the subject", CNP("Admin", "{\"pods\":{\"podSelector\":" BAD_SEL "}}", TO_BAD("Deny")),
	  OUT_A | OUT_B },
	{ "a subject of another kind", CNP("Admin", "{\"accounts\":{}}", TO_BAD("Deny")),
	  OUT_A | OUT_B },
	{ "the tier", CNP("Top", SUBJECT_A, TO_BAD("Deny")), OUT_A },
	{ "rules are no list", CNP("Admin", SUBJECT_A, "\"ingress\":7"), IN_A },
	{ "no rules", CNP("Top", SUBJECT_A, "\"ingress\":[]"), 0 },
	{ "all of it", "7", ALL },
};

/* Which pods are closed, to and from anybody. */
static unsigned int closed(void)
{
	const union loom_addr outside = ipv4("192.0.2.1");

	return (cluster_ingress(&c, "x/a", &outside, TCP, 80) ? 0 : IN_A) |
	       (cluster_egress(&c, "x/a", &outside, TCP, 80) ? 0 : OUT_A) |
	       (cluster_ingress(&c, "x/b", &outside, TCP, 80) ? 0 : IN_B) |
	       (cluster_egress(&c, "x/b", &outside, TCP, 80) ? 0 : OUT_B);
}

typedef int (*set_fn)(struct world *w, const char *key, struct json_object *obj, struct err *e);

static void check(set_fn set, const char *name, const char *spec, unsigned int want)
{
	_json_ *obj = json_of("{\"spec\":%s}", spec);
	unsigned int found;

	assert_true(set(c.world, "x/bad", obj, NULL) < 0);
	cluster_settle(&c);
	found = closed();
	if (found != want)
		fail_msg("%s: closed is %#x, want %#x", name, found, want);
	for (const struct endpoint *ep = c.world->endpoints; ep; ep = ep->hh.next)
		for (enum direction dir = 0; dir < DIRS; dir++)
			if (ep->rules[dir])
				assert_non_null(
					strstr(ep->rules[dir]->policies[0]->name, CLOSED_MARK));
	/* Said again it is the same; when it goes all is open. */
	assert_true(set(c.world, "x/bad", obj, NULL) < 0);
	cluster_settle(&c);
	assert_int_equal(closed(), want);
	set(c.world, "x/bad", NULL, NULL);
	cluster_settle(&c);
	assert_int_equal(closed(), 0);
}

static void a_policy_that_cannot_be_read_isolates(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	for (size_t i = 0; i < ARRAY_SIZE(np_cases); i++)
		check(world_set_policy, np_cases[i].name, np_cases[i].spec, np_cases[i].closed);
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
}

static void a_cluster_policy_that_cannot_be_read_denies_what_it_may_deny(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	for (size_t i = 0; i < ARRAY_SIZE(cnp_cases); i++)
		check(world_set_cluster_policy, cnp_cases[i].name, cnp_cases[i].spec,
		      cnp_cases[i].closed);
	assert_int_equal(native_maps_count(POLMAP_POL), 0);
}

static void set_bad(const char *key, const char *spec)
{
	_json_ *bad = json_of("{\"spec\":%s}", spec);

	assert_true(world_set_policy(c.world, key, bad, NULL) < 0);
}

static void a_restart_opens_nothing_that_cannot_be_read(void **state)
{
	add_pod("a", "a");
	add_pod("b", "b");
	apply("np", OF_A("\"ingress\":[]"));
	cluster_settle(&c);
	set_bad("x/np", OF_A("\"ingress\":[{\"from\":" BAD_PEER "}]"));
	cluster_settle(&c);
	assert_int_equal(closed(), IN_A);
	/* Nobody knows the text of before any more. */
	cluster_restart(&c);
	cluster_namespace(&c, "x", NULL);
	for (uint32_t ep = 1; ep <= 2; ep++) {
		const char *app = ep == 1 ? "a" : "b";
		char key[8];

		snprintf(key, sizeof(key), "x/%s", app);
		add_pod(app, app);
		assert_int_equal(world_set_endpoint(c.world, ep, key, "", c.pods[ep].addrs, 1), 0);
	}
	set_bad("x/np", OF_A("\"ingress\":[{\"from\":" BAD_PEER "}]"));
	cluster_settle(&c);
	assert_int_equal(closed(), IN_A);
	assert_non_null(entry_of("networkpolicy x/np")->problem);
	/* It says more: the closed reading follows. */
	set_bad("x/np", "{\"podSelector\":" BAD_SEL "}");
	cluster_settle(&c);
	assert_int_equal(closed(), IN_A | IN_B);
	apply("np", OF_A("\"ingress\":[]"));
	cluster_settle(&c);
	assert_int_equal(closed(), IN_A);
	assert_null(entry_of("networkpolicy x/np")->problem);
}

static void cidrs_count_as_the_api_server_reads_them(void **state)
{
	const union loom_addr ten = ipv4("10.3.0.1"), but = ipv4("10.9.0.1"),
			      out = ipv4("11.0.0.1");

	add_pod("a", "a");
	apply("np",
	      OF_A("\"ingress\":[{\"from\":[{\"ipBlock\":{\"cidr\":\"010.0.0.0/08\",\"except\":["
		   "\"::ffff:10.9.0.0/112\"]}}]}]"));
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/a", &ten, TCP, 80));
	assert_false(cluster_ingress(&c, "x/a", &but, TCP, 80));
	assert_false(cluster_ingress(&c, "x/a", &out, TCP, 80));
}

/* Also where all objects are told once more: that it can't be read is not that it is gone. */
static void what_cannot_be_read_any_more_stays_as_it_was(void **state)
{
	_json_ *bad = json_of("{\"metadata\":{\"labels\":{\"app\":1}}}");
	_json_ *node = json_of("{\"metadata\":{\"labels\":{\"zone\":\"z\"}},\"status\":{"
			       "\"addresses\":[{\"address\":\"10.9.0.1\"}]}}");
	const union loom_addr there = ipv4("10.9.0.1");

	add_pod("a", "a");
	add_pod("b", "b");
	assert_int_equal(world_set_node(c.world, "n", node, NULL), 0);
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	world_begin(c.world);
	apply("only-a", ONLY_A);
	assert_true(world_set_namespace(c.world, "x", bad, NULL) < 0);
	assert_true(world_set_pod(c.world, "x/a", bad, NULL) < 0);
	assert_true(world_set_pod(c.world, "x/b", bad, NULL) < 0);
	assert_true(world_set_node(c.world, "n", bad, NULL) < 0);
	world_end(c.world);
	cluster_settle(&c);
	assert_true(reaches("x/a", "x/b", 80));
	assert_false(cluster_ingress(&c, "x/b", &there, TCP, 80));
	assert_int_equal(c.world->nodes->labels->n, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_policy_that_cannot_be_read_isolates),
		TEST(a_cluster_policy_that_cannot_be_read_denies_what_it_may_deny),
		TEST(a_restart_opens_nothing_that_cannot_be_read),
		TEST(cidrs_count_as_the_api_server_reads_them),
		TEST(what_cannot_be_read_any_more_stays_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
