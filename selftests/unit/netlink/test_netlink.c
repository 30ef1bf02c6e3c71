// SPDX-License-Identifier: Apache-2.0
/* Against the real kernel, in a network namespace of this process alone. */
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "lib/netlink/netlink.h"

static struct nl_sock *nl;

static union loom_addr ip(const char *text)
{
	union loom_addr a;

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static void ok(int err, const struct err *e)
{
	if (err < 0)
		fail_msg("%d: %s", err, e->msg);
}

static int setup(void **state)
{
	struct err e = {};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return nl_open(-1, &nl, &e);
}

static int teardown(void **state)
{
	nl_close(nl);
	return 0;
}

static void add_pair(const char *name, const char *peer, unsigned int ifindex)
{
	struct nl_veth v = { .ifindex = ifindex, .mtu = 1400, .peer.netns_fd = -1 };
	struct err e = {};

	snprintf(v.name, sizeof(v.name), "%s", name);
	snprintf(v.peer.name, sizeof(v.peer.name), "%s", peer);
	ok(nl_link_add_veth(nl, &v, &e), &e);
}

static void a_veth_gets_the_index_mtu_and_flags_that_were_asked_for(void **state)
{
	struct err e = {};
	struct nl_link link;

	add_pair("va", "vb", 4321);
	ok(nl_link_set(nl,
		       &(struct nl_link_set){ .ifindex = 4321, .arp = NL_OFF, .alias = "an alias" },
		       &e),
	   &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4321, .up = NL_ON }, &e), &e);
	ok(nl_link_get(nl, 0, "va", &link, &e), &e);
	assert_int_equal(link.ifindex, 4321);
	assert_int_equal(link.mtu, 1400);
	assert_string_equal(link.kind, "veth");
	assert_string_equal(link.alias, "an alias");
	assert_true(link.flags & IFF_UP);
	assert_true(link.flags & IFF_NOARP);
	ok(nl_link_del(nl, 4321, &e), &e);
	assert_int_equal(nl_link_get(nl, 0, "va", &link, &e), -ENODEV);
	assert_int_equal(nl_link_del(nl, 4321, &e), -ENODEV);
}

static void an_error_names_the_object_and_says_what_the_kernel_said(void **state)
{
	struct nl_route r = { .dst = { ip("10.9.0.0"), 120 },
			      .gateway = ip("192.0.2.1"),
			      .ifindex = 1 };
	struct err e = {};

	assert_true(nl_route_replace(nl, &r, &e) < 0);
	assert_non_null(strstr(e.msg, "10.9.0.0/24"));
	assert_non_null(strchr(e.msg, '('));
}

static void a_batch_does_the_rest_and_tells_the_first_failure(void **state)
{
	struct nl_link link;
	struct err e = {};

	add_pair("vc", "vd", 4400);
	nl_batch_begin(nl);
	nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4499, .up = NL_ON }, NULL);
	nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4498, .up = NL_ON }, NULL);
	nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4400, .up = NL_ON }, NULL);
	assert_int_equal(nl_batch_end(nl, &e), -ENODEV);
	assert_non_null(strstr(e.msg, "4499"));
	ok(nl_link_get(nl, 4400, NULL, &link, &e), &e);
	assert_true(link.flags & IFF_UP);
	ok(nl_link_del(nl, 4400, &e), &e);
}

static void a_batch_that_is_too_long_is_refused(void **state)
{
	int err = 0;

	nl_batch_begin(nl);
	for (int i = 0; i < 64 && !err; i++)
		err = nl_link_set(nl, &(struct nl_link_set){ .ifindex = 1, .up = NL_ON }, NULL);
	assert_int_equal(err, -ENOBUFS);
	assert_int_equal(nl_batch_end(nl, NULL), 0);
}

static void a_vxlan_takes_its_metadata_from_packets(void **state)
{
	struct nl_link link;
	struct err e = {};

	ok(nl_link_add_vxlan(nl, "vx0", 4500, 4790, 1450, &e), &e);
	ok(nl_link_get(nl, 0, "vx0", &link, &e), &e);
	assert_true(link.vxlan.external);
	assert_false(link.vxlan.learning);
	assert_int_equal(link.vxlan.port, 4790);
	assert_int_equal(link.mtu, 1450);
	assert_int_equal(nl_link_add_vxlan(nl, "vx0", 4501, 4790, 1450, &e), -EEXIST);
	ok(nl_link_del(nl, 4500, &e), &e);
}

struct want_route {
	struct nl_route route;
	int found;
};

static int match(const struct nl_route *r, void *arg)
{
	struct want_route *w = arg;

	if (prefix_equal(&r->dst, &w->route.dst) && r->ifindex == w->route.ifindex) {
		w->route = *r;
		w->found++;
	}
	return 0;
}

static void routes_of_both_families_come_back_as_they_were_set(void **state)
{
	static const struct {
		const char *addr, *dst, *gateway, *far;
		uint8_t len, dst_len;
	} cases[] = {
		{ "10.1.0.2", "10.7.0.0", "10.1.0.1", "10.7.3.3", 24, 112 },
		{ "fd01::2", "fd07::", "fd01::1", "fd07::33", 64, 48 },
	};
	struct err e = {};

	add_pair("ve", "vf", 4600);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4600, .up = NL_ON }, &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nl_addr addr = { .ifindex = 4600,
					.addr = ip(cases[i].addr),
					.len = cases[i].len,
					.flags = 0x02 /* nodad */ };
		struct want_route w = { .route = { .dst = { ip(cases[i].dst), cases[i].dst_len },
						   .gateway = ip(cases[i].gateway),
						   .ifindex = 4600,
						   .mtu = 1300,
						   .onlink = true } };
		struct nl_route set = w.route, got;
		union loom_addr far = ip(cases[i].far);

		ok(nl_addr_add(nl, &addr, &e), &e);
		assert_int_equal(nl_addr_add(nl, &addr, &e), -EEXIST);
		ok(nl_route_replace(nl, &set, &e), &e);
		ok(nl_route_replace(nl, &set, &e), &e);
		ok(nl_route_foreach(nl, match, &w, &e), &e);
		assert_int_equal(w.found, 1);
		assert_int_equal(w.route.mtu, 1300);
		assert_int_equal(w.route.protocol, NL_PROTO_NETLOOM);
		assert_true(addr_equal(&w.route.gateway, &set.gateway));
		ok(nl_route_get(nl, &far, &got, &e), &e);
		assert_true(addr_equal(&got.gateway, &set.gateway));
		ok(nl_route_del(nl, &set, &e), &e);
		assert_int_equal(nl_route_del(nl, &set, &e), -ESRCH);
		assert_int_equal(nl_route_get(nl, &far, &got, &e), -ENETUNREACH);
		ok(nl_addr_del(nl, &addr, &e), &e);
	}
	ok(nl_link_del(nl, 4600, &e), &e);
}

static int find_neigh(const struct nl_neigh *n, void *arg)
{
	const struct nl_neigh *want = arg;

	return n->ifindex == want->ifindex && addr_equal(&n->addr, &want->addr) &&
	       memcmp(n->mac, want->mac, 6) == 0 && n->state == want->state;
}

static void a_permanent_neighbour_is_kept(void **state)
{
	struct nl_neigh n = { .ifindex = 4700,
			      .addr = ip("fe80::1"),
			      .mac = { 2, 1, 2, 3, 4, 5 },
			      .state = NUD_PERMANENT };
	struct err e = {};

	add_pair("vg", "vh", 4700);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 4700, .up = NL_ON }, &e), &e);
	ok(nl_neigh_replace(nl, &n, &e), &e);
	assert_int_equal(nl_neigh_foreach(nl, find_neigh, &n, &e), 1);
	ok(nl_link_del(nl, 4700, &e), &e);
}

static int count(const struct nl_link *link, void *arg)
{
	struct nl_link again;

	/* The socket is free for use while a dump is walked. */
	assert_int_equal(nl_link_get(nl, link->ifindex, NULL, &again, NULL), 0);
	(*(int *)arg)++;
	return 0;
}

static void a_dump_of_many_links_is_whole(void **state)
{
	int before = 0, after = 0;
	struct err e = {};
	char a[16], b[16];

	ok(nl_link_foreach(nl, count, &before, &e), &e);
	for (int i = 0; i < 60; i++) {
		snprintf(a, sizeof(a), "m%da", i);
		snprintf(b, sizeof(b), "m%db", i);
		add_pair(a, b, 5000 + i);
	}
	ok(nl_link_foreach(nl, count, &after, &e), &e);
	assert_int_equal(after - before, 120);
}

static void a_socket_stays_in_the_namespace_it_was_opened_in(void **state)
{
	_cleanup_(closep) int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_(closep) int other = -1;
	struct nl_sock *there;
	struct nl_link link;
	struct err e = {};
	int old;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	other = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	ok(nl_open(other, &there, &e), &e);
	add_pair("only_here", "only_here2", 4800);
	assert_int_equal(nl_link_get(there, 0, "only_here", &link, &e), -ENODEV);
	ok(netns_enter(other, &old, &e), &e);
	ok(nl_link_get(nl, 0, "only_here", &link, &e), &e);
	netns_leave(&old);
	nl_close(there);
}

static void something_else_than_a_namespace_is_refused(void **state)
{
	struct err e = {};
	int fd;

	assert_int_equal(netns_open("/etc/passwd", &fd, &e), -EBADF);
	assert_non_null(strstr(e.msg, "/etc/passwd"));
	assert_int_equal(netns_open("/proc/self/ns/mnt", &fd, &e), -EBADF);
	assert_int_equal(netns_open("/run/netns/there-is-none", &fd, &e), -EBADF);
}

static void note(const struct nl_change *c, void *arg)
{
	int *seen = arg;

	if (c->kind == NL_CHANGE_LINK && strcmp(c->link.name, "watched") == 0)
		seen[c->gone]++;
	if (c->kind == NL_CHANGE_ADDR)
		seen[2]++;
	if (c->kind == NL_CHANGE_TC)
		fail_msg("a link without programs has lost none");
}

static void changes_are_told(void **state)
{
	_cleanup_(nl_monitor_closep) struct nl_monitor *m = NULL;
	struct nl_addr addr = { .ifindex = 4900, .addr = ip("10.99.0.1"), .len = 32 };
	int seen[3] = {};
	struct err e = {};

	ok(nl_monitor_open(&m, &e), &e);
	add_pair("watched", "watched2", 4900);
	ok(nl_addr_add(nl, &addr, &e), &e);
	ok(nl_link_del(nl, 4900, &e), &e);
	assert_int_equal(poll(&(struct pollfd){ nl_monitor_fd(m), POLLIN, 0 }, 1, 5000), 1);
	assert_int_equal(nl_monitor_read(m, note, seen), 0);
	assert_true(seen[0] >= 1 && seen[1] >= 1 && seen[2] >= 1);
}

static void note_conf(const struct nl_change *c, void *arg)
{
	int *seen = arg;

	if (c->kind != NL_CHANGE_CONF)
		return;
	seen[0] += c->conf_ifindex == NETCONFA_IFINDEX_ALL;
	if (c->conf_ifindex == 1)
		seen[c->conf_filters ? 1 : 2]++;
}

static void changed_sysctls_are_told(void **state)
{
	_cleanup_(nl_monitor_closep) struct nl_monitor *m = NULL;
	_cleanup_(closep) int fd = open("/proc/sys/net/ipv4/ip_forward", O_RDWR | O_CLOEXEC);
	_cleanup_(closep) int filter =
		open("/proc/sys/net/ipv4/conf/lo/rp_filter", O_RDWR | O_CLOEXEC);
	int seen[3] = {};
	struct err e = {};
	char was;

	ok(nl_monitor_open_conf(&m, &e), &e);
	assert_int_equal(pread(fd, &was, 1, 0), 1);
	assert_int_equal(pwrite(fd, was == '0' ? "1" : "0", 1, 0), 1);
	assert_int_equal(poll(&(struct pollfd){ nl_monitor_fd(m), POLLIN, 0 }, 1, 5000), 1);
	assert_int_equal(nl_monitor_read(m, note_conf, seen), 0);
	assert_true(seen[0] >= 1);
	assert_int_equal(pwrite(filter, "0", 1, 0), 1);
	assert_int_equal(nl_monitor_read(m, note_conf, seen), 0);
	memset(seen, 0, sizeof(seen));
	assert_int_equal(pwrite(filter, "2", 1, 0), 1);
	assert_int_equal(pwrite(filter, "0", 1, 0), 1);
	assert_int_equal(nl_monitor_read(m, note_conf, seen), 0);
	assert_int_equal(seen[1], 1);
	assert_true(seen[2] >= 1);
}

static void count_lost(const struct nl_change *c, void *arg)
{
	*(int *)arg += c->kind == NL_CHANGE_LOST;
}

static void a_flood_of_changes_is_told_as_lost(void **state)
{
	_cleanup_(nl_monitor_closep) struct nl_monitor *m = NULL;
	int lost = 0, small = 1;
	struct err e = {};

	ok(nl_monitor_open(&m, &e), &e);
	assert_int_equal(setsockopt(nl_monitor_fd(m), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
			 0);
	for (int i = 0; i < 20; i++)
		ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 1, .mtu = 2000 + i }, &e), &e);
	assert_int_equal(nl_monitor_read(m, count_lost, &lost), 0);
	assert_true(lost >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_veth_gets_the_index_mtu_and_flags_that_were_asked_for),
		cmocka_unit_test(an_error_names_the_object_and_says_what_the_kernel_said),
		cmocka_unit_test(a_batch_does_the_rest_and_tells_the_first_failure),
		cmocka_unit_test(a_batch_that_is_too_long_is_refused),
		cmocka_unit_test(a_vxlan_takes_its_metadata_from_packets),
		cmocka_unit_test(routes_of_both_families_come_back_as_they_were_set),
		cmocka_unit_test(a_permanent_neighbour_is_kept),
		cmocka_unit_test(a_dump_of_many_links_is_whole),
		cmocka_unit_test(a_socket_stays_in_the_namespace_it_was_opened_in),
		cmocka_unit_test(something_else_than_a_namespace_is_refused),
		cmocka_unit_test(changes_are_told),
		cmocka_unit_test(changed_sysctls_are_told),
		cmocka_unit_test(a_flood_of_changes_is_told_as_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
