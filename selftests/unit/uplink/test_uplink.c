// SPDX-License-Identifier: Apache-2.0
/* Which link is the uplink, in namespaces of this process alone. */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/uplink/detect.h"

static struct nl_sock *nl;

static union loom_addr ip(const char *text)
{
	union loom_addr a = {};

	if (text[0])
		assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static void ok(int err, const struct err *e)
{
	if (err < 0)
		fail_msg("%d: %s", err, e->msg);
}

/* Each test has a namespace of its own. */
static int setup(void **state)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return nl_open(-1, &nl, NULL);
}

static int teardown(void **state)
{
	nl_close(nl);
	return 0;
}

static void ignore(const struct nl_change *c, void *arg)
{
}

/* The kernel sees the carrier of a link that is up a little later, and tells. */
static void wait_until_it_runs(unsigned int ifindex)
{
	_cleanup_(nl_monitor_closep) struct nl_monitor *m = NULL;
	struct nl_link link;
	struct err e = {};

	ok(nl_monitor_open(&m, &e), &e);
	for (;;) {
		struct pollfd p = { nl_monitor_fd(m), POLLIN, 0 };

		ok(nl_link_get(nl, ifindex, NULL, &link, &e), &e);
		if (link.flags & IFF_RUNNING)
			return;
		assert_int_equal(poll(&p, 1, 30000), 1);
		assert_int_equal(nl_monitor_read(m, ignore, NULL), 0);
	}
}

static void add_link(const char *name, unsigned int ifindex, unsigned int mtu, const char *addr4,
		     const char *addr6)
{
	struct nl_veth v = { .ifindex = ifindex, .mtu = mtu, .peer.netns_fd = -1 };
	struct nl_addr a4 = { .ifindex = ifindex, .addr = ip(addr4), .len = 24 };
	struct nl_addr a6 = { .ifindex = ifindex, .addr = ip(addr6), .len = 64, .flags = 2 };
	struct nl_link peer;
	struct err e = {};

	snprintf(v.name, sizeof(v.name), "%s", name);
	snprintf(v.peer.name, sizeof(v.peer.name), "%s-far", name);
	ok(nl_link_add_veth(nl, &v, &e), &e);
	ok(nl_link_get(nl, 0, v.peer.name, &peer, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = peer.ifindex, .up = NL_ON }, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = ifindex, .up = NL_ON }, &e), &e);
	wait_until_it_runs(ifindex);
	if (addr4[0])
		ok(nl_addr_add(nl, &a4, &e), &e);
	if (addr6[0])
		ok(nl_addr_add(nl, &a6, &e), &e);
}

static void add_default(unsigned int ifindex, const char *gateway, unsigned int metric)
{
	struct nl_route r = { .gateway = ip(gateway),
			      .ifindex = ifindex,
			      .metric = metric,
			      .protocol = RTPROT_STATIC };
	struct err e = {};

	if (addr_is_v4(&r.gateway)) {
		addr_from_v4(0, &r.dst.addr);
		r.dst.len = 96;
	}
	ok(nl_route_replace(nl, &r, &e), &e);
}

static void expect(const struct uplink_wish *w, const char *name, const char *addr4,
		   const char *addr6, unsigned int pod_mtu)
{
	union loom_addr want4 = ip(addr4), want6 = ip(addr6);
	struct uplink_view v = {};
	struct err e = {};

	ok(uplink_look(nl, w, &v, &e), &e);
	assert_string_equal(v.uplink.name, name);
	assert_true(addr_equal(&v.uplink.addr4, &want4));
	assert_true(addr_equal(&v.uplink.addr6, &want6));
	assert_int_equal(v.uplink.pod_mtu, pod_mtu);
	uplink_view_release(&v);
}

static void the_default_route_of_the_lowest_metric_decides(void **state)
{
	add_link("one", 200, 1500, "192.168.1.2", "");
	add_link("two", 201, 9000, "192.168.2.2", "fd02::2");
	add_default(200, "192.168.1.1", 200);
	add_default(201, "192.168.2.1", 100);
	expect(&(struct uplink_wish){ .interface = "", .tunnel = true }, "two", "192.168.2.2",
	       "fd02::2", 8950);
	expect(&(struct uplink_wish){ .interface = "" }, "two", "192.168.2.2", "fd02::2", 9000);
}

static void configuration_goes_first(void **state)
{
	struct uplink_wish by_name = { .interface = "one", .tunnel = true };
	struct uplink_wish by_addr = {
		.interface = "", .address4 = ip("192.168.1.3"), .mtu = 1400, .tunnel = true
	};
	struct nl_addr second = { .ifindex = 200, .addr = ip("192.168.1.3"), .len = 24 };
	struct err e = {};

	add_link("one", 200, 1500, "192.168.1.2", "");
	add_link("two", 201, 1500, "192.168.2.2", "");
	add_default(201, "192.168.2.1", 100);
	ok(nl_addr_add(nl, &second, &e), &e);
	expect(&by_name, "one", "192.168.1.2", "", 1450);
	expect(&by_addr, "one", "192.168.1.3", "", 1350);
}

static void without_a_default_route_the_nodes_address_decides(void **state)
{
	struct uplink_wish w = { .interface = "", .node4 = ip("192.168.1.2") };

	add_link("one", 200, 1500, "192.168.1.2", "");
	expect(&w, "one", "192.168.1.2", "", 1500);
}

static void an_ipv6_underlay_costs_seventy_bytes(void **state)
{
	add_link("one", 200, 1500, "", "fd01::2");
	add_default(200, "fd01::1", 0);
	expect(&(struct uplink_wish){ .interface = "", .tunnel = true }, "one", "", "fd01::2",
	       1430);
}

static void add_more(const char *text, unsigned int len, uint32_t flags)
{
	struct nl_addr a = { .ifindex = 200, .addr = ip(text), .len = len, .flags = flags };
	struct err e = {};

	ok(nl_addr_add(nl, &a, &e), &e);
}

static void an_address_that_comes_changes_nothing(void **state)
{
	struct uplink_wish w = { .interface = "one" };

	add_link("one", 200, 1500, "192.168.1.2", "fd01::2");
	add_more("192.168.1.99", 32, 0);
	add_more("fd01::99", 128, IFA_F_NODAD);
	add_more("fd01::77", 64, IFA_F_NODAD);
	expect(&w, "one", "192.168.1.2", "fd01::2", 1500);
}

static void the_address_that_the_cluster_knows_goes_before_the_last_one(void **state)
{
	struct uplink_wish w = { .interface = "one",
				 .last4 = ip("192.168.1.3"),
				 .last6 = ip("fd01::3") };

	add_link("one", 200, 1500, "192.168.1.2", "fd01::3");
	add_more("192.168.1.3", 32, 0);
	add_more("192.168.1.4", 32, 0);
	add_more("fd01::2", 64, IFA_F_NODAD);
	add_more("fd01::4", 64, IFA_F_NODAD);
	expect(&w, "one", "192.168.1.3", "fd01::3", 1500);
	w.node4 = ip("192.168.1.4");
	w.node6 = ip("fd01::4");
	expect(&w, "one", "192.168.1.4", "fd01::4", 1500);
	w.node4 = ip("192.168.9.9");
	w.node6 = ip("fd09::9");
	expect(&w, "one", "192.168.1.3", "fd01::3", 1500);
}

static void no_uplink_is_said_with_what_to_do(void **state)
{
	static const struct {
		const char *interface, *message;
	} cases[] = {
		{ "", "set uplink.interface" },
		{ "eth9", "'eth9'" },
		{ "bare", "no global address" },
	};
	struct uplink_view v;

	add_link("bare", 200, 1500, "", "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uplink_wish w = { .interface = cases[i].interface };
		struct err e = {};

		assert_int_equal(uplink_look(nl, &w, &v, &e), -ENODEV);
		assert_int_equal(v.uplink.ifindex, 0);
		if (!strstr(e.msg, cases[i].message))
			fail_msg("'%s' lacks '%s'", e.msg, cases[i].message);
		uplink_view_release(&v);
	}
}

static void a_link_whose_index_is_too_high_is_refused(void **state)
{
	struct uplink_wish w = { .interface = "high" };
	struct uplink_view v;
	struct err e = {};

	add_link("high", 70000, 1500, "192.168.1.2", "");
	assert_int_equal(uplink_look(nl, &w, &v, &e), -ENODEV);
	assert_non_null(strstr(e.msg, "70000"));
	uplink_view_release(&v);
}

static const char *diff(const struct uplink_view *before, char buf[64])
{
	struct uplink_wish w = { .interface = "one" };
	struct uplink_view now;
	struct err e = {};

	ok(uplink_look(nl, &w, &now, &e), &e);
	uplink_view_diff(before, &now, buf, 64);
	uplink_view_release(&now);
	return buf;
}

static size_t own_routes(const struct uplink_wish *w)
{
	struct uplink_view v = {};
	struct err e = {};
	size_t n;

	ok(uplink_look(nl, w, &v, &e), &e);
	n = v.n_own;
	uplink_view_release(&v);
	return n;
}

static void a_change_is_named_and_what_is_ours_is_none(void **state)
{
	struct uplink_wish w = { .interface = "one" };
	struct nl_route ours = { .dst = { ip("10.1.0.0"), 112 },
				 .ifindex = 200,
				 .scope = RT_SCOPE_LINK };
	struct nl_route theirs = { .dst = { ip("10.2.0.0"), 112 },
				   .ifindex = 200,
				   .scope = RT_SCOPE_LINK,
				   .protocol = RTPROT_STATIC };
	struct nl_addr another = { .ifindex = 200, .addr = ip("192.168.7.7"), .len = 32 };
	struct uplink_view before;
	struct err e = {};
	char buf[64];

	add_link("one", 200, 1500, "192.168.1.2", "");
	ok(uplink_look(nl, &w, &before, &e), &e);
	assert_string_equal(diff(&before, buf), "");
	ok(nl_route_replace(nl, &ours, &e), &e);
	assert_string_equal(diff(&before, buf), "");
	assert_int_equal(own_routes(&w), 1);
	ok(nl_route_replace(nl, &theirs, &e), &e);
	assert_string_equal(diff(&before, buf), "routes");
	ok(nl_route_del(nl, &theirs, &e), &e);
	assert_string_equal(diff(&before, buf), "");
	ok(nl_addr_add(nl, &another, &e), &e);
	assert_non_null(strstr(diff(&before, buf), "addresses"));
	ok(nl_addr_del(nl, &another, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 200, .mtu = 1400 }, &e), &e);
	assert_string_equal(diff(&before, buf), "MTU");
	uplink_view_release(&before);
}

/* Nothing differs when it is back at once, but the route stays away. */
static void a_route_that_went_with_its_address_is_missed(void **state)
{
	struct uplink_wish w = { .interface = "one" };
	struct nl_addr addr = { .ifindex = 200, .addr = ip("192.168.1.2"), .len = 24 };
	struct nl_route ours = { .dst = { ip("10.1.0.0"), 112 },
				 .ifindex = 200,
				 .scope = RT_SCOPE_LINK,
				 .src = addr.addr };
	struct uplink_view before;
	struct err e = {};
	char buf[64];

	add_link("one", 200, 1500, "192.168.1.2", "");
	ok(nl_route_replace(nl, &ours, &e), &e);
	ok(uplink_look(nl, &w, &before, &e), &e);
	assert_int_equal(before.n_own, 1);
	ok(nl_addr_del(nl, &addr, &e), &e);
	ok(nl_addr_add(nl, &addr, &e), &e);
	assert_string_equal(diff(&before, buf), "");
	assert_int_equal(own_routes(&w), 0);
	uplink_view_release(&before);
}

static void our_own_links_are_known_by_name(void **state)
{
	assert_true(uplink_link_is_ours("loom_host"));
	assert_true(uplink_link_is_ours("nl0123456789ab"));
	assert_false(uplink_link_is_ours("nlmon0"));
	assert_false(uplink_link_is_ours("nl0123456789abc"));
	assert_false(uplink_link_is_ours("eth0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_default_route_of_the_lowest_metric_decides,
						setup, teardown),
		cmocka_unit_test_setup_teardown(configuration_goes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_default_route_the_nodes_address_decides,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_ipv6_underlay_costs_seventy_bytes, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_address_that_comes_changes_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			the_address_that_the_cluster_knows_goes_before_the_last_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(no_uplink_is_said_with_what_to_do, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_whose_index_is_too_high_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_change_is_named_and_what_is_ours_is_none, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_route_that_went_with_its_address_is_missed, setup,
						teardown),
		cmocka_unit_test(our_own_links_are_known_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
