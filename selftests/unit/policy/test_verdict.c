// SPDX-License-Identifier: Apache-2.0
/* What people are told about a verdict: pod, peer, direction, port, and whose rule it is. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/policy/verdict.h"
#include "lib/json/json.h"
#include "selftests/unit/policy/namespace_x.h"

#define FROM(app) "\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":\"" app "\"}}}]"
#define FROM_NET  "\"from\":[{\"ipBlock\":{\"cidr\":\"203.0.113.0/24\"}}]"

static struct loom_event denied(const char *pod, const union loom_addr *peer, uint16_t port)
{
	return (struct loom_event){ .reason = LOOM_DROP_POLICY,
				    .judged = cluster_ep(&c, pod),
				    .ingress = 1,
				    .peer = *peer,
				    .port = htons(port),
				    .flow_proto = IPPROTO_TCP };
}

/* The sentence is just that; policies, with a blank between, too. */
static void tells(const struct loom_event *ev, const char *policies, const char *why)
{
	_json_ *o = verdict_json(c.world, ev);
	struct json_object *list = json_field(o, "policies");
	char found[512] = "";

	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%s", i ? " " : "",
			 json_object_get_string(json_object_array_get_idx(list, i)));
	assert_string_equal(json_object_get_string(json_field(o, "why")), why);
	assert_string_equal(found, policies);
}

static void set_up_pods(void)
{
	add_pod("a", "a");
	add_pod("b", "b");
	add_pod("server", "server");
}

static void policies_that_isolate_are_named(void **state)
{
	struct loom_event ev;

	set_up_pods();
	apply("first",
	      "{\"podSelector\":{\"matchLabels\":{\"app\":\"server\"}},\"ingress\":[{" FROM(
		      "a") "}]}");
	apply("second", "{\"podSelector\":{},\"ingress\":[{" FROM_NET "}]}");
	apply("out", "{\"podSelector\":{},\"policyTypes\":[\"Egress\"]}");
	cluster_settle(&c);
	ev = denied("x/server", addr_of("x/b"), 80);
	tells(&ev, "networkpolicy x/first networkpolicy x/second",
	      "ingress of x/server from 10.1.0.3 (x/b), port 80/TCP: isolated by networkpolicy "
	      "x/first, networkpolicy x/second");
	ev = denied("x/b", addr_of("x/server"), 8080);
	ev.ingress = 0;
	ev.flow_proto = IPPROTO_ICMP;
	tells(&ev, "networkpolicy x/out",
	      "egress of x/b to 10.1.0.4 (x/server), icmp: isolated by networkpolicy x/out");
}

static void a_rule_that_denies_is_named(void **state)
{
	struct loom_event ev;

	set_up_pods();
	apply_cluster("tenants", "Admin", CNP_RULE("Deny", "b"));
	apply("open", "{\"podSelector\":{},\"ingress\":[{" FROM("a") "},{" FROM("b") "}]}");
	cluster_settle(&c);
	ev = denied("x/server", addr_of("x/b"), 80);
	tells(&ev, "clusternetworkpolicy tenants",
	      "ingress of x/server from 10.1.0.3 (x/b), port 80/TCP: clusternetworkpolicy "
	      "tenants, rule 0: deny everything from pods with app=b of any namespace");
	/* It is let in by now. */
	ev = denied("x/server", addr_of("x/a"), 80);
	tells(&ev, "",
	      "ingress of x/server from 10.1.0.2 (x/a), port 80/TCP: its policies are others by "
	      "now");
}

static void the_last_tier_is_named_where_it_decides(void **state)
{
	struct loom_event ev;

	set_up_pods();
	apply_cluster("default", "Baseline", CNP_RULE("Deny", "b"));
	cluster_settle(&c);
	ev = denied("x/server", addr_of("x/b"), 80);
	tells(&ev, "clusternetworkpolicy default",
	      "ingress of x/server from 10.1.0.3 (x/b), port 80/TCP: clusternetworkpolicy "
	      "default, rule 0: deny everything from pods with app=b of any namespace");
	apply("closed", "{\"podSelector\":{}}");
	cluster_settle(&c);
	tells(&ev, "networkpolicy x/closed",
	      "ingress of x/server from 10.1.0.3 (x/b), port 80/TCP: isolated by networkpolicy "
	      "x/closed");
}

static void peers_by_address_are_looked_up_as_the_maps_do(void **state)
{
	union loom_addr inside = ipv4("203.0.113.9"), outside = ipv4("203.0.112.9");
	struct loom_event ev;

	set_up_pods();
	apply("net", "{\"podSelector\":{},\"ingress\":[{" FROM_NET "}]}");
	cluster_settle(&c);
	ev = denied("x/server", &inside, 80);
	tells(&ev, "",
	      "ingress of x/server from 203.0.113.9, port 80/TCP: its policies are others by now");
	ev = denied("x/server", &outside, 80);
	tells(&ev, "networkpolicy x/net",
	      "ingress of x/server from 203.0.112.9, port 80/TCP: isolated by networkpolicy x/net");
}

static void what_nobody_knows_is_said(void **state)
{
	union loom_addr nobody = ipv4("10.1.0.99");
	struct loom_event ev;

	set_up_pods();
	apply_cluster("tenants", "Admin", CNP_RULE("Deny", "b"));
	cluster_settle(&c);
	ev = denied("x/server", &nobody, 80);
	tells(&ev, "",
	      "ingress of x/server from 10.1.0.99, port 80/TCP: nobody knows yet who the peer is");
	ev.reason = LOOM_DROP_POLICY_PENDING;
	tells(&ev, "",
	      "ingress of x/server from 10.1.0.99, port 80/TCP: its policies are not known yet");
	ev = denied("x/server", &nobody, 80);
	ev.judged = 200;
	tells(&ev, "",
	      "ingress of an endpoint from 10.1.0.99, port 80/TCP: its policies are others by now");
}

static void of_many_policies_the_first_are_named(void **state)
{
	char name[16];
	_json_ *o = NULL;
	struct loom_event ev;

	set_up_pods();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "p%02d", i);
		apply(name, "{\"podSelector\":{}}");
	}
	cluster_settle(&c);
	ev = denied("x/server", addr_of("x/b"), 80);
	o = verdict_json(c.world, &ev);
	assert_int_equal(json_object_array_length(json_field(o, "policies")), VERDICT_POLICIES);
	assert_non_null(strstr(json_object_get_string(json_field(o, "why")),
			       "networkpolicy x/p07 and 12 more"));
	assert_string_equal(json_object_get_string(json_field(o, "pod")), "x/server");
	assert_string_equal(json_object_get_string(json_field(o, "peerName")), "x/b");
}

/* The rule's text is its author's to choose, and the number of such events any pod's. */
static void of_a_long_rule_the_beginning_is_told(void **state)
{
	_cleanup_(freep) char *rules = NULL;
	_json_ *o = NULL;
	struct loom_event ev;
	const char *why;
	size_t len;
	FILE *f = open_memstream(&rules, &len);

	fputs("{\"action\":\"Deny\",\"from\":[{\"pods\":{\"podSelector\":{\"matchExpressions\":[{"
	      "\"key\":\"app\",\"operator\":\"In\",\"values\":[\"b\"",
	      f);
	for (int i = 0; i < 5000; i++)
		fprintf(f, ",\"a-value-of-some-length-%d\"", i);
	fputs("]}]}}}]}", f);
	fclose(f);
	set_up_pods();
	apply_cluster("long", "Admin", rules);
	cluster_settle(&c);
	ev = denied("x/server", addr_of("x/b"), 80);
	o = verdict_json(c.world, &ev);
	why = json_object_get_string(json_field(o, "why"));
	assert_non_null(
		strstr(why, "clusternetworkpolicy long, rule 0: deny everything from pods"));
	assert_in_range(strlen(why), VERDICT_RULE - 10, 2 * VERDICT_RULE);
}

/* ---- what is counted ---- */

static struct loom_deniedkey key_of(const char *pod, const union loom_addr *peer, uint16_t port)
{
	return (struct loom_deniedkey){ .peer = *peer,
					.ep = cluster_ep(&c, pod),
					.port = htons(port),
					.proto = IPPROTO_TCP,
					.ingress = 1,
					.reason = LOOM_DROP_POLICY };
}

static void counts_as(const struct loom_deniedkey *k, const char *want)
{
	_json_ *o = verdict_denied(c.world, k);

	assert_string_equal(json_object_to_json_string_ext(
				    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    want);
}

static void what_is_counted_has_names(void **state)
{
	union loom_addr outside = ipv4("203.0.112.9");
	struct loom_deniedkey k;

	set_up_pods();
	apply("first",
	      "{\"podSelector\":{\"matchLabels\":{\"app\":\"server\"}},\"ingress\":[{" FROM(
		      "a") "}]}");
	cluster_settle(&c);
	k = key_of("x/server", addr_of("x/b"), 80);
	counts_as(&k, "{\"pod\":\"x/server\",\"direction\":\"ingress\",\"peer\":{\"address\":"
		      "\"10.1.0.3\",\"pod\":\"x/b\"},\"port\":80,\"protocol\":\"TCP\",\"reason\":"
		      "\"policy\",\"logged\":false,\"policies\":[\"networkpolicy x/first\"],"
		      "\"because\":\"isolated by networkpolicy x/first\"}");
	k = key_of("x/server", &outside, 0);
	k.proto = IPPROTO_ICMP;
	k.reason = LOOM_DROP_POLICY_LOGGED;
	counts_as(&k, "{\"pod\":\"x/server\",\"direction\":\"ingress\",\"peer\":{\"address\":"
		      "\"203.0.112.9\"},\"protocol\":\"icmp\",\"reason\":\"policy_logged\","
		      "\"logged\":true,\"policies\":[\"networkpolicy x/first\"],\"because\":"
		      "\"isolated by networkpolicy x/first\"}");
	/* It may by now, and has an endpoint that nobody knows. */
	k = key_of("x/server", addr_of("x/a"), 80);
	k.ep = 200;
	k.ingress = 0;
	k.scope = 7;
	counts_as(&k, "{\"direction\":\"egress\",\"peer\":{\"address\":\"10.1.0.2\",\"scope\":7},"
		      "\"port\":80,\"protocol\":\"TCP\",\"reason\":\"policy\",\"logged\":false,"
		      "\"policies\":[],\"because\":\"its policies are others by now\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(policies_that_isolate_are_named, x_setup,
						x_teardown),
		cmocka_unit_test_setup_teardown(a_rule_that_denies_is_named, x_setup, x_teardown),
		cmocka_unit_test_setup_teardown(the_last_tier_is_named_where_it_decides, x_setup,
						x_teardown),
		cmocka_unit_test_setup_teardown(peers_by_address_are_looked_up_as_the_maps_do,
						x_setup, x_teardown),
		cmocka_unit_test_setup_teardown(what_nobody_knows_is_said, x_setup, x_teardown),
		cmocka_unit_test_setup_teardown(of_many_policies_the_first_are_named, x_setup,
						x_teardown),
		cmocka_unit_test_setup_teardown(what_is_counted_has_names, x_setup, x_teardown),
		cmocka_unit_test_setup_teardown(of_a_long_rule_the_beginning_is_told, x_setup,
						x_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
