// SPDX-License-Identifier: Apache-2.0
/* The pool behind ipam, with a clock of the tests' own. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/ipam/pool.h"

static union loom_addr ip(const char *text)
{
	union loom_addr a = {};

	if (text[0])
		assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static struct pool *pool_of(const char *a, const char *b)
{
	struct prefix ranges[2];
	struct pool *p;
	size_t n = 0;

	assert_int_equal(pool_new(&p), 0);
	if (a)
		assert_int_equal(prefix_parse(a, &ranges[n++], NULL), 0);
	if (b)
		assert_int_equal(prefix_parse(b, &ranges[n++], NULL), 0);
	assert_int_equal(pool_set_ranges(p, ranges, n, NULL), 0);
	return p;
}

static void expect(struct pool *p, const char *owner, const char *ip4, const char *ip6)
{
	union loom_addr want4 = ip(ip4), want6 = ip(ip6);
	struct pod_ips got = {};
	struct err e = {};
	char text[ADDR_STRLEN];

	if (pool_alloc(p, owner, &got, &e) < 0)
		fail_msg("%s: %s", owner, e.msg);
	if (!addr_equal(&got.ip4, &want4))
		fail_msg("%s: got %s, want %s", owner, addr_format(&got.ip4, text), ip4);
	if (!addr_equal(&got.ip6, &want6))
		fail_msg("%s: got %s, want %s", owner, addr_format(&got.ip6, text), ip6);
}

static void the_first_pod_gets_the_second_address(void **state)
{
	static const struct {
		const char *a, *b, *ip4, *ip6, *next4, *next6;
	} cases[] = {
		{ "10.1.1.0/24", NULL, "10.1.1.2", "", "10.1.1.3", "" },
		{ "fd00:1::/64", NULL, "", "fd00:1::2", "", "fd00:1::3" },
		{ "10.1.1.0/24", "fd00:1::/64", "10.1.1.2", "fd00:1::2", "10.1.1.3", "fd00:1::3" },
		{ "fd00:1::/64", "10.1.1.0/24", "10.1.1.2", "fd00:1::2", "10.1.1.3", "fd00:1::3" },
		{ "10.0.0.0/8", NULL, "10.0.0.2", "", "10.0.0.3", "" },
		{ "fd00::/120", NULL, "", "fd00::2", "", "fd00::3" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pool *p = pool_of(cases[i].a, cases[i].b);

		expect(p, "a", cases[i].ip4, cases[i].ip6);
		expect(p, "b", cases[i].next4, cases[i].next6);
		pool_free(p);
	}
}

static void a_full_pool_says_so(void **state)
{
	struct pool *p = pool_of("10.1.1.0/24", NULL);
	struct pod_ips got;
	struct err e = {};
	char owner[16];

	for (int i = 0; i < 253; i++) {
		snprintf(owner, sizeof(owner), "o%d", i);
		assert_int_equal(pool_alloc(p, owner, &got, NULL), 0);
		assert_true(got.ip4.b[15] >= 2 && got.ip4.b[15] <= 254);
	}
	assert_int_equal(pool_release(p, "o7", 5000, NULL), 0);
	assert_int_equal(pool_release(p, "o8", 6000, NULL), 0);
	assert_int_equal(pool_alloc(p, "late", &got, &e), -ENOSPC);
	assert_string_equal(e.msg, "pool 10.1.1.0/24 is full: 253 of 253 addresses in use, 2 of "
				   "them resting");
	assert_int_equal(pool_room(p, NULL), -ENOSPC);
	assert_int_equal(pool_expire(p, 5000, NULL, NULL), 6000);
	expect(p, "late", "10.1.1.9", "");
	pool_free(p);
}

static void both_families_are_given_or_none(void **state)
{
	struct pool *p = pool_of("10.1.1.0/30", "fd00::/64");
	struct pool_stats s;
	struct pod_ips got;
	struct err e = {};

	expect(p, "a", "10.1.1.2", "fd00::2");
	assert_int_equal(pool_alloc(p, "b", &got, &e), -ENOSPC);
	assert_non_null(strstr(e.msg, "10.1.1.0/30"));
	pool_stats(p, false, &s);
	assert_int_equal(s.used, 1);
	pool_free(p);
}

static void addresses_are_given_in_turn_and_wrap(void **state)
{
	struct pool *p = pool_of("10.1.1.0/29", NULL);

	expect(p, "a", "10.1.1.2", "");
	expect(p, "b", "10.1.1.3", "");
	assert_int_equal(pool_release(p, "a", 0, NULL), 0);
	expect(p, "c", "10.1.1.4", "");
	expect(p, "d", "10.1.1.5", "");
	expect(p, "e", "10.1.1.6", "");
	expect(p, "f", "10.1.1.2", "");
	pool_free(p);
}

static void count(const struct pod_ips *ips, void *arg)
{
	(*(int *)arg)++;
}

static void a_released_address_rests(void **state)
{
	struct pool *p = pool_of("10.1.1.0/30", NULL);
	struct pool_stats s;
	struct pod_ips got;
	int over = 0;

	expect(p, "a", "10.1.1.2", "");
	assert_int_equal(pool_release(p, "a", 60000, &got), 0);
	assert_int_equal(pool_release(p, "a", 60000, &got), -ENOENT);
	pool_stats(p, true, &s);
	assert_int_equal(s.used, 1);
	assert_int_equal(s.resting, 1);
	assert_int_equal(pool_alloc(p, "b", &got, NULL), -ENOSPC);
	assert_int_equal(pool_expire(p, 59999, count, &over), 60000);
	assert_int_equal(pool_alloc(p, "b", &got, NULL), -ENOSPC);
	assert_int_equal(pool_expire(p, 60000, count, &over), 0);
	assert_int_equal(over, 1);
	expect(p, "b", "10.1.1.2", "");
	pool_stats(p, true, &s);
	assert_int_equal(s.resting, 0);
	pool_free(p);
}

static void a_rest_of_before_the_restart_is_kept(void **state)
{
	struct pool *p = pool_of("10.1.1.0/29", NULL);
	struct pod_ips ips = { .ip4 = ip("10.1.1.2") };

	assert_int_equal(pool_rest(p, &ips, 1000), 0);
	expect(p, "a", "10.1.1.3", "");
	ips.ip4 = ip("10.1.1.3");
	assert_int_equal(pool_rest(p, &ips, 1000), -EADDRINUSE);
	pool_free(p);
}

static void what_pods_have_is_found_again(void **state)
{
	struct pool *p = pool_of("10.1.1.0/24", "fd00::/64");
	struct pod_ips ips = { ip("10.1.1.2"), ip("fd00::2") }, foreign = { .ip4 = ip("10.9.9.9") };
	struct err e = {};

	assert_int_equal(pool_reserve(p, "old", &ips, &e), 0);
	assert_int_equal(pool_reserve(p, "old", &ips, &e), 0);
	assert_int_equal(pool_reserve(p, "thief", &ips, &e), -EADDRINUSE);
	assert_string_equal(e.msg, "address '10.1.1.2' is in use by 'old'");
	assert_int_equal(pool_reserve(p, "foreign", &foreign, &e), 0);
	assert_true(pool_find(p, "foreign")->foreign);
	assert_false(pool_find(p, "old")->foreign);
	expect(p, "new", "10.1.1.3", "fd00::3");
	assert_int_equal(pool_alloc(p, "new", &ips, &e), -EEXIST);
	pool_free(p);
}

static void reserving_ends_a_rest(void **state)
{
	struct pool *p = pool_of("10.1.1.0/29", NULL);
	struct pod_ips ips = { .ip4 = ip("10.1.1.2") };
	struct pool_stats s;

	assert_int_equal(pool_rest(p, &ips, 1000), 0);
	assert_int_equal(pool_reserve(p, "a", &ips, NULL), 0);
	pool_stats(p, true, &s);
	assert_int_equal(s.used, 1);
	assert_int_equal(s.resting, 0);
	assert_int_equal(pool_expire(p, 2000, NULL, NULL), 0);
	pool_stats(p, true, &s);
	assert_int_equal(s.used, 1);
	pool_free(p);
}

static void pods_keep_their_addresses_when_the_range_changes(void **state)
{
	struct pool *p = pool_of("10.1.1.0/24", NULL);
	struct prefix other;
	struct pool_stats s;

	expect(p, "a", "10.1.1.2", "");
	assert_int_equal(prefix_parse("10.1.2.0/24", &other, NULL), 0);
	assert_int_equal(pool_set_ranges(p, &other, 1, NULL), 0);
	assert_true(pool_find(p, "a")->foreign);
	expect(p, "b", "10.1.2.2", "");
	assert_int_equal(pool_release(p, "a", 0, NULL), 0);
	pool_stats(p, true, &s);
	assert_int_equal(s.used, 1);
	pool_free(p);
}

static void ranges_that_give_nothing_are_refused(void **state)
{
	static const struct {
		const char *name, *a, *b;
	} cases[] = {
		{ "/31 has no host", "10.1.1.0/31", NULL },
		{ "/32 has no host", "10.1.1.1/32", NULL },
		{ "/127 has no host", "fd00::/127", NULL },
		{ "two of one family", "10.1.1.0/24", "10.1.2.0/24" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct prefix ranges[2];
		struct err e = {};
		struct pool *p;

		assert_int_equal(pool_new(&p), 0);
		assert_int_equal(prefix_parse(cases[i].a, &ranges[0], NULL), 0);
		if (cases[i].b)
			assert_int_equal(prefix_parse(cases[i].b, &ranges[1], NULL), 0);
		assert_int_equal(pool_set_ranges(p, ranges, cases[i].b ? 2 : 1, &e), -EINVAL);
		assert_true(e.msg[0]);
		assert_int_equal(pool_room(p, &e), -EAGAIN);
		pool_free(p);
	}
}

static void no_address_is_ever_held_twice(void **state)
{
	struct pool *p = pool_of("10.1.1.0/26", "fd00::/64");
	uint8_t held[64] = {};
	uint32_t seed = 1;
	char owner[8];

	for (uint64_t now = 0; now < 20000; now++) {
		struct pod_ips got;

		seed = seed * 1664525u + 1013904223u;
		snprintf(owner, sizeof(owner), "%u", seed >> 24 & 63);
		if (pool_find(p, owner)) {
			assert_int_equal(pool_release(p, owner, now + 1 + (seed >> 16 & 15), &got),
					 0);
			held[got.ip4.b[15] & 63] = 0;
		} else if (pool_alloc(p, owner, &got, NULL) == 0) {
			assert_int_equal(held[got.ip4.b[15] & 63]++, 0);
		}
		pool_expire(p, now, NULL, NULL);
	}
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_pod_gets_the_second_address),
		cmocka_unit_test(a_full_pool_says_so),
		cmocka_unit_test(both_families_are_given_or_none),
		cmocka_unit_test(addresses_are_given_in_turn_and_wrap),
		cmocka_unit_test(a_released_address_rests),
		cmocka_unit_test(a_rest_of_before_the_restart_is_kept),
		cmocka_unit_test(what_pods_have_is_found_again),
		cmocka_unit_test(reserving_ends_a_rest),
		cmocka_unit_test(pods_keep_their_addresses_when_the_range_changes),
		cmocka_unit_test(ranges_that_give_nothing_are_refused),
		cmocka_unit_test(no_address_is_ever_held_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
