// SPDX-License-Identifier: Apache-2.0
/* The host's items through their descriptors, against the real kernel in a namespace of this
 * process alone. The scheduler's side of a descriptor is a short stand-in. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "agent/modules/hostlink/items.h"

static struct nl_sock *nl;

static struct {
	char name[64];
	void *value;
} dumped[8];
static size_t n_dumped;

int dump_add(struct dump_list *dump, const char *name, void *value)
{
	snprintf(dumped[n_dumped].name, sizeof(dumped[0].name), "%s", name);
	dumped[n_dumped++].value = value;
	return 0;
}

int dep_add(struct dep_list *deps, const char *fmt, ...)
{
	return 0;
}

static char put_key[96];
static void *put_value;

int txn_put(struct txn *t, void *value, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(put_key, sizeof(put_key), fmt, ap);
	va_end(ap);
	put_value = value;
	return 0;
}

const void *scheduler_applied(struct scheduler *s, const char *fmt, ...)
{
	return s; /* as the test says */
}

static void dump_release(void)
{
	for (size_t i = 0; i < n_dumped; i++)
		free(dumped[i].value);
	n_dumped = 0;
}

static void ok(int err, const struct err *e)
{
	if (err < 0)
		fail_msg("%d: %s", err, e->msg);
}

static union loom_addr ip(const char *text)
{
	union loom_addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

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

/* Applies what was put last, dumps the descriptor, and says whether the two agree. */
static bool apply_and_compare(const struct descriptor *d, const char *name)
{
	bool same = false;
	struct err e = {};

	ok(d->create(nl, name, put_value, &e), &e);
	ok(d->dump(nl, NULL, &e), &e);
	for (size_t i = 0; i < n_dumped; i++)
		if (strcmp(dumped[i].name, name) == 0)
			same = d->equal(dumped[i].value, put_value);
	dump_release();
	return same;
}

static void a_link_made_is_what_the_next_agent_finds(void **state)
{
	static const struct host_link cases[] = {
		{ .name = "loom_host", .peer = "loom_hpeer", .ifindex = 900, .mtu = 1450 },
		{ .name = "loom_vxlan", .ifindex = 901, .mtu = 1450, .port = 4799 },
	};
	const struct descriptor *d = &host_link_descriptor;
	struct err e = {};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct host_link bigger = cases[i];

		assert_int_equal(host_put_link(NULL, &cases[i]), 0);
		assert_true(apply_and_compare(d, cases[i].name));
		/* Made anew over what is there. */
		assert_true(apply_and_compare(d, cases[i].name));
		bigger.mtu = 1400;
		bigger.ready = true;
		ok(d->update(nl, cases[i].name, put_value, &bigger, &e), &e);
		ok(d->dump(nl, NULL, &e), &e);
		assert_true(d->equal(dumped[0].value, &bigger));
		dump_release();
		bigger.ifindex = 950;
		assert_int_equal(d->update(nl, cases[i].name, put_value, &bigger, &e), -EOPNOTSUPP);
		ok(d->delete (nl, cases[i].name, put_value, &e), &e);
		ok(d->delete (nl, cases[i].name, put_value, &e), &e);
		free(put_value);
	}
}

static void loom_host_resolves_nobody(void **state)
{
	struct host_link l = {
		.name = "loom_host", .peer = "loom_hpeer", .ifindex = 900, .mtu = 1450
	};
	struct nl_link link;
	struct err e = {};

	ok(host_link_create(nl, &l, &e), &e);
	ok(nl_link_get(nl, 0, "loom_host", &link, &e), &e);
	assert_true(link.flags & IFF_NOARP);
	assert_true(link.flags & IFF_UP);
	ok(nl_link_del(nl, link.ifindex, &e), &e);
}

static void send_to(const char *dst, int family)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	inet_pton(AF_INET, dst, &to4.sin_addr);
	inet_pton(AF_INET6, dst, &to6.sin6_addr);
	n = family == AF_INET ? sendto(fd, "x", 1, 0, (struct sockaddr *)&to4, sizeof(to4))
			      : sendto(fd, "x", 1, 0, (struct sockaddr *)&to6, sizeof(to6));
	assert_int_equal(n, 1);
	close(fd);
}

static uint16_t ethertype_of(const uint8_t *frame)
{
	return frame[12] << 8 | frame[13];
}

/* By ARP, or a neighbour solicitation. */
static bool asks_for_neighbours(const uint8_t *frame)
{
	return ethertype_of(frame) == ETH_P_ARP ||
	       (ethertype_of(frame) == ETH_P_IPV6 && frame[20] == IPPROTO_ICMPV6 &&
		frame[54] == 135);
}

static bool is_datagram(const uint8_t *frame, uint16_t ethertype)
{
	return ethertype_of(frame) == ethertype &&
	       frame[ethertype == ETH_P_IP ? 23 : 20] == IPPROTO_UDP;
}

/* The packet comes out at the far end, and no question before it who has it. */
static void the_first_packet_to_a_pod_waits_for_no_neighbour(void **state)
{
	static const struct {
		const char *own, *cidr, *dst;
		uint8_t len;
		int family;
		uint16_t ethertype;
	} cases[] = {
		{ "192.168.0.9", "10.1.0.0", "10.1.1.2", 112, AF_INET, ETH_P_IP },
		{ "fd99::9", "fd00:10::", "fd00:10::2", 48, AF_INET6, ETH_P_IPV6 },
	};
	struct host_link l = {
		.name = "loom_host", .peer = "loom_hpeer", .ifindex = 900, .mtu = 1450
	};
	struct nl_link peer;
	struct err e = {};

	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 1, .up = NL_ON }, &e), &e);
	ok(host_link_create(nl, &l, &e), &e);
	ok(nl_link_get(nl, 0, "loom_hpeer", &peer, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nl_addr own = { .ifindex = 1,
				       .addr = ip(cases[i].own),
				       .len = cases[i].family == AF_INET ? 32 : 128,
				       .flags = 2 };
		struct nl_route r = { .dst = { ip(cases[i].cidr), cases[i].len },
				      .src = own.addr,
				      .ifindex = 900,
				      .scope = cases[i].family == AF_INET ? RT_SCOPE_LINK : 0 };
		struct sockaddr_ll at = { .sll_family = AF_PACKET,
					  .sll_ifindex = peer.ifindex,
					  .sll_protocol = htons(ETH_P_ALL) };
		_cleanup_(closep) int tap = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
		uint8_t frame[128] = {};

		ok(nl_addr_add(nl, &own, &e), &e);
		ok(nl_route_replace(nl, &r, &e), &e);
		assert_int_equal(bind(tap, (struct sockaddr *)&at, sizeof(at)), 0);
		send_to(cases[i].dst, cases[i].family);
		/* Group reports of IPv6 may come whenever they like. */
		while (!is_datagram(frame, cases[i].ethertype)) {
			assert_int_equal(poll(&(struct pollfd){ tap, POLLIN, 0 }, 1, 30000), 1);
			assert_true(recv(tap, frame, sizeof(frame), 0) > 14);
			assert_false(asks_for_neighbours(frame));
		}
	}
	ok(nl_link_del(nl, 900, &e), &e);
}

static void a_link_changed_by_hand_is_seen(void **state)
{
	struct host_link l = { .name = "loom_host",
			       .peer = "loom_hpeer",
			       .ifindex = 900,
			       .mtu = 1450 },
			 found;
	struct err e = {};

	ok(host_link_create(nl, &l, &e), &e);
	l.ready = true;
	ok(host_link_find(nl, "loom_host", &found), &e);
	assert_true(host_link_equal(&l, &found));
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 900, .up = NL_OFF }, &e), &e);
	ok(host_link_find(nl, "loom_host", &found), &e);
	assert_false(host_link_equal(&l, &found));
	ok(nl_link_del(nl, 900, &e), &e);
}

static void cluster_routes_are_found_again(void **state)
{
	const struct descriptor *d = &host_route_descriptor;
	struct host_link l = {
		.name = "loom_host", .peer = "loom_hpeer", .ifindex = 900, .mtu = 1450
	};
	struct nl_addr addrs[] = {
		{ .ifindex = 1, .addr = ip("192.168.0.1"), .len = 32 },
		{ .ifindex = 1, .addr = ip("fd99::1"), .len = 128, .flags = 2 }
	};
	struct nl_route routes[] = {
		{ .dst = { ip("10.1.0.0"), 112 },
		  .src = addrs[0].addr,
		  .ifindex = 900,
		  .scope = RT_SCOPE_LINK },
		{ .dst = { ip("fd00:10::"), 48 }, .src = addrs[1].addr, .ifindex = 900 },
	};
	struct err e = {};

	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 1, .up = NL_ON }, &e), &e);
	ok(host_link_create(nl, &l, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		char name[PREFIX_STRLEN];

		ok(nl_addr_add(nl, &addrs[i], &e), &e);
		assert_int_equal(host_put_route(NULL, &routes[i]), 0);
		prefix_format(&routes[i].dst, name);
		assert_true(apply_and_compare(d, name));
		ok(d->delete (nl, name, put_value, &e), &e);
		ok(d->delete (nl, name, put_value, &e), &e);
		free(put_value);
	}
	ok(nl_link_del(nl, 900, &e), &e);
}

#define RP_FILTER "net/ipv4/conf/lo/rp_filter"

static void set_rp_filter(struct host_sysctls *all, const char *value, const char *accept)
{
	const struct host_sysctl want = { value, accept, "a test" };
	struct err e = {};

	assert_int_equal(host_put_sysctl(all, NULL, RP_FILTER, &want), 0);
	assert_string_equal(put_key, "host-sysctl/" RP_FILTER);
	ok(host_sysctl_descriptor.create(all, RP_FILTER, put_value, &e), &e);
	free(put_value);
}

static void a_sysctl_is_written_only_when_it_has_to_be(void **state)
{
	char found[32];

	struct host_sysctls all = {};

	set_rp_filter(&all, "1", NULL);
	assert_int_equal(host_sysctl_read(RP_FILTER, found, sizeof(found)), 0);
	assert_string_equal(found, "1");
	set_rp_filter(&all, "2", "1");
	assert_int_equal(host_sysctl_read(RP_FILTER, found, sizeof(found)), 0);
	assert_string_equal(found, "1");
	set_rp_filter(&all, "2", NULL);
	assert_int_equal(host_sysctl_read(RP_FILTER, found, sizeof(found)), 0);
	assert_string_equal(found, "2");
	assert_int_equal(host_sysctl_read("net/ipv4/there_is_none", found, sizeof(found)), -ENOENT);
	host_sysctls_clear(&all);
}

static void a_sysctl_that_is_right_is_found_and_a_wrong_one_is_not(void **state)
{
	const struct descriptor *d = &host_sysctl_descriptor;
	struct host_sysctls all = {};
	struct err e = {};

	set_rp_filter(&all, "2", "1");
	ok(d->dump(&all, NULL, &e), &e);
	assert_int_equal(n_dumped, 1);
	assert_string_equal(dumped[0].name, RP_FILTER);
	dump_release();
	host_sysctls_clear(&all);
	set_rp_filter(&all, "1", NULL);
	host_sysctls_clear(&all);
	assert_int_equal(host_put_sysctl(&all, NULL, RP_FILTER,
					 &(struct host_sysctl){ "2", NULL, "a test" }),
			 0);
	ok(d->dump(&all, NULL, &e), &e);
	assert_int_equal(n_dumped, 0);
	free(put_value);
	host_sysctls_clear(&all);
}

static void a_sysctl_that_somebody_else_sets_is_missed(void **state)
{
	struct scheduler *applied = (struct scheduler *)&put_key;
	struct host_sysctls all = {};
	struct err e = {};

	set_rp_filter(&all, "2", "1");
	assert_null(host_sysctls_lost(&all, applied));
	host_sysctls_clear(&all);
	set_rp_filter(&all, "1", NULL);
	assert_null(host_sysctls_lost(&all, applied));
	ok(host_sysctl_descriptor.create(&all, RP_FILTER,
					 &(struct host_sysctl){ "0", NULL, "somebody else" }, &e),
	   &e);
	assert_string_equal(host_sysctls_lost(&all, applied), RP_FILTER);
	/* One that could not be set is retried by itself. */
	assert_null(host_sysctls_lost(&all, NULL));
	host_sysctls_clear(&all);
}

static void a_filter_of_a_link_goes(void **state)
{
	struct err e = {};
	char found[32];

	ok(host_sysctl_descriptor.create(NULL, RP_FILTER,
					 &(struct host_sysctl){ "2", NULL, "udev" }, &e),
	   &e);
	assert_int_equal(host_link_unfilter("lo"), 1);
	assert_int_equal(host_sysctl_read(RP_FILTER, found, sizeof(found)), 0);
	assert_string_equal(found, "0");
	assert_int_equal(host_link_unfilter("lo"), 0);
	assert_int_equal(host_link_unfilter("none"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_made_is_what_the_next_agent_finds),
		cmocka_unit_test(loom_host_resolves_nobody),
		cmocka_unit_test(the_first_packet_to_a_pod_waits_for_no_neighbour),
		cmocka_unit_test(a_link_changed_by_hand_is_seen),
		cmocka_unit_test(cluster_routes_are_found_again),
		cmocka_unit_test(a_sysctl_is_written_only_when_it_has_to_be),
		cmocka_unit_test(a_sysctl_that_is_right_is_found_and_a_wrong_one_is_not),
		cmocka_unit_test(a_sysctl_that_somebody_else_sets_is_missed),
		cmocka_unit_test(a_filter_of_a_link_goes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
