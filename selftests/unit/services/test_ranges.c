// SPDX-License-Identifier: Apache-2.0
/* Source ranges of load balancer addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

static bool passes(struct fake *f, uint32_t service, const char *from)
{
	struct loom_srckey k = { .prefixlen = 160, .service = service, .addr = addr(from) };
	uint32_t v;

	return bpf_map_lookup_elem(f->maps.srcrange, &k, &v) == 0;
}

/* Ports 80 and on, `n` of them. */
static struct json_object *balanced(const char *ip, int n, const char *ranges)
{
	struct json_object *o =
		json("{'spec':{'type':'LoadBalancer','ipFamilies':['IPv4','IPv6'],'ports':[],"
		     "'loadBalancerSourceRanges':%s},"
		     "'status':{'loadBalancer':{'ingress':[{'ip':'%s'}]}}}",
		     ranges, ip);

	for (int i = 0; i < n; i++)
		json_append(json_path(o, "spec.ports"),
			    json("{'name':'p%d','port':%d}", i, 80 + i));
	return o;
}

/* "['10.0.<first>.0/24',…]" */
static const char *some(int first, int n)
{
	static char text[4096];
	size_t at = 0;

	for (int i = first; i < first + n; i++)
		at += snprintf(text + at, sizeof(text) - at, "%s'10.0.%d.0/24'",
			       i == first ? "[" : ",", i);
	snprintf(text + at, sizeof(text) - at, "]");
	return text;
}

static void they_are_of_load_balancer_addresses_only(void **state)
{
	static const char lb[] = "{'spec':{'type':'LoadBalancer','clusterIPs':['10.96.0.1'],"
				 "'ports':[{'port':80,'nodePort':30080}],"
				 "'loadBalancerSourceRanges':%s},"
				 "'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.9'}]}}}";
	struct fake *f = *state;
	uint32_t number;

	put_slice(f, "web", 1, 1);
	fake_change(f, "service/default/web",
		    json(lb, "['198.51.100.0/24','198.51.100.7/24','2001:db8::/32']"));
	number = tcp_front(f, "192.0.2.9", 80).service;
	assert_true(tcp_front(f, "192.0.2.9", 80).flags & LOOM_SVC_SRCRANGE);
	assert_false(tcp_front(f, "0.0.0.0", 30080).flags & LOOM_SVC_SRCRANGE);
	assert_true(passes(f, number, "198.51.100.1") && passes(f, number, "2001:db8::1"));
	assert_false(passes(f, number, "198.51.101.1"));
	fake_change(f, "service/default/web", json(lb, "['203.0.113.0/24']"));
	assert_true(passes(f, number, "203.0.113.1"));
	assert_false(passes(f, number, "198.51.100.1") || passes(f, number, "2001:db8::1"));
	fake_change(f, "service/default/web", json(lb, "['nonsense']"));
	assert_true(tcp_front(f, "192.0.2.9", 80).flags & LOOM_SVC_SRCRANGE);
	assert_false(passes(f, number, "203.0.113.1"));
	put_service(f, "web", "10.96.0.1", ",'loadBalancerSourceRanges':['203.0.113.0/24']");
	assert_int_equal(map_count(f->maps.srcrange), 0);
	fake_change(f, "service/default/web", json(lb, "['203.0.113.0/24']"));
	assert_int_equal(map_count(f->maps.srcrange), 1);
	drop(f, "service", "web");
	assert_int_equal(map_count(f->maps.srcrange), 0);
}

static void they_are_read_as_the_api_server_reads_them(void **state)
{
	struct fake *f = *state;
	uint32_t number;

	fake_change(f, "service/default/web",
		    balanced("192.0.2.9", 1, "[' 10.0.0.0/8\t','0203.000.113.07/024']"));
	number = tcp_front(f, "192.0.2.9", 80).service;
	assert_true(passes(f, number, "10.1.2.3") && passes(f, number, "203.0.113.9"));
	assert_false(passes(f, number, "11.0.0.1") || passes(f, number, "203.0.114.1"));
}

static void what_is_within_another_takes_no_entry(void **state)
{
	struct fake *f = *state;
	uint32_t number;

	fake_change(f, "service/default/web",
		    balanced("192.0.2.9", 1,
			     "['10.1.2.0/24','10.0.0.0/8','10.1.0.0/16','10.0.0.0/8','11.0.0.0/8',"
			     "'2001:db8:1::/48','2001:db8::/32','192.0.2.1/32']"));
	assert_int_equal(map_count(f->maps.srcrange), 4);
	number = tcp_front(f, "192.0.2.9", 80).service;
	assert_true(passes(f, number, "10.1.2.3") && passes(f, number, "11.0.0.1") &&
		    passes(f, number, "192.0.2.1") && passes(f, number, "2001:db8:1::1"));
	assert_false(passes(f, number, "12.0.0.1") || passes(f, number, "192.0.2.2") ||
		     passes(f, number, "2001:db9::1"));
}

static void all_of_ipv6_is_nothing_of_ipv4(void **state)
{
	static const char *const inside[] = { "2001:db8::1",
					      "fd00::1",
					      "::2",
					      "8000::",
					      "::fffe:1.2.3.4",
					      "::1:0:0:0",
					      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
					      "10.1.2.3" };
	static const char *const outside[] = { "11.0.0.1", "0.0.0.1", "255.255.255.255" };
	struct fake *f = *state;
	uint32_t number;

	f->maps.max_ranges *= 8; /* as if the map were larger, for the share of one service */
	restart(f);
	fake_change(f, "service/default/web",
		    balanced("192.0.2.9", 1, "['10.0.0.0/8','::/0','2001:db8::/32']"));
	number = tcp_front(f, "192.0.2.9", 80).service;
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
		if (!passes(f, number, inside[i]))
			fail_msg("%s does not pass", inside[i]);
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		if (passes(f, number, outside[i]))
			fail_msg("%s passes", outside[i]);
	fake_change(f, "service/default/web", balanced("192.0.2.9", 1, "['0.0.0.0/0']"));
	assert_true(passes(f, number, "11.0.0.1"));
	assert_false(passes(f, number, "2001:db8::1"));
	assert_int_equal(map_count(f->maps.srcrange), 1);
}

static void a_service_has_a_share_of_the_map(void **state)
{
	struct fake *f = *state;
	struct service *svc;

	/* 256 entries, of which a service has 32 */
	fake_change(f, "service/default/greedy", balanced("192.0.2.1", 10, some(0, 20)));
	assert_int_equal(map_count(f->maps.srcrange), 32);
	assert_string_equal(problem_of(f, "greedy"), "left out");
	HASH_FIND_STR(fake_services(f)->all, "default/greedy", svc);
	assert_string_equal(svc->problems.v[0],
			    "port 81: 8 of 20 source ranges are left out: the ports of a Service "
			    "have 32 of them together at most");
	fake_change(f, "service/default/modest", balanced("192.0.2.2", 2, some(0, 16)));
	assert_string_equal(problem_of(f, "modest"), "");
	assert_int_equal(map_count(f->maps.srcrange), 64);
	/* others in place of those that it has */
	fake_change(f, "service/default/modest", balanced("192.0.2.2", 2, some(50, 16)));
	assert_string_equal(problem_of(f, "modest"), "");
	assert_true(passes(f, tcp_front(f, "192.0.2.2", 81).service, "10.0.65.1"));
	assert_int_equal(map_count(f->maps.srcrange), 64);
	restart(f);
	assert_int_equal(writes(f), 0);
	fake_change(f, "service/default/greedy", balanced("192.0.2.1", 2, some(0, 16)));
	assert_string_equal(problem_of(f, "greedy"), "");
	/* what goes does not count */
	fake_change(f, "service/default/greedy", balanced("192.0.2.1", 1, some(0, 31)));
	assert_string_equal(problem_of(f, "greedy"), "");
}

static void what_has_no_room_is_written_when_there_is_some(void **state)
{
	struct fake *f = *state;
	char key[64], ip[32];

	for (int i = 0; i < 9; i++) {
		snprintf(key, sizeof(key), "service/default/s%d", i);
		snprintf(ip, sizeof(ip), "192.0.2.%d", i + 1);
		fake_change(f, key, balanced(ip, 1, some(0, 30)));
	}
	assert_int_equal(map_count(f->maps.srcrange), 256);
	assert_string_equal(problem_of(f, "s8"), "left out");
	assert_string_equal(problem_of(f, "s7"), "");
	assert_int_equal(f->heals, 0);
	/* only its ranges go, nothing else that makes room */
	fake_change(f, "service/default/s3", balanced("192.0.2.4", 1, some(0, 1)));
	fake_settle(f);
	assert_string_equal(problem_of(f, "s8"), "");
	assert_int_equal(map_count(f->maps.srcrange), 8 * 30 + 1);
	assert_int_equal(fake_services(f)->n_short, 0);
}

const struct CMUnitTest ranges_tests[] = {
	TEST(they_are_of_load_balancer_addresses_only),
	TEST(they_are_read_as_the_api_server_reads_them),
	TEST(what_is_within_another_takes_no_entry),
	TEST(all_of_ipv6_is_nothing_of_ipv4),
	TEST(a_service_has_a_share_of_the_map),
	TEST(what_has_no_room_is_written_when_there_is_some),
};
const size_t n_ranges_tests = ARRAY_SIZE(ranges_tests);
