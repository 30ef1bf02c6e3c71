// SPDX-License-Identifier: Apache-2.0
/* What has to work on a kernel that was booted with ipv6.disable=1, where kernel61-no-ipv6 runs it.
 */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/modules/podwire/pod_link.h"

static struct nl_sock *nl;
static int home;

static void ok(int err, const struct err *e)
{
	if (err < 0)
		fail_msg("%d: %s", err, e->msg);
}

static union loom_addr ip(const char *text)
{
	union loom_addr a = {};

	assert_int_equal(addr_parse(text, &a, NULL), 0);
	return a;
}

static int setup(void **state)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return nl_open(-1, &nl, NULL);
}

static int teardown(void **state)
{
	nl_close(nl);
	close(home);
	return 0;
}

static int new_netns(void)
{
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	return fd;
}

static void a_pod_with_an_ipv4_address_is_wired(void **state)
{
	int fd = new_netns();
	struct pod_link link = { .host_ifname = "nl0123456789ab",
				 .ifname = "eth0",
				 .host_ifindex = 1000,
				 .mtu = 1450,
				 .mac = { 2, 1 },
				 .hmac = { 2, 2 },
				 .ips.ip4 = ip("10.1.1.2"),
				 .alias = "netloom default/web a",
				 .netns = "/proc/self/ns/net",
				 .up = true };
	struct err e = {};

	ok(pod_link_create(nl, &link, fd, &e), &e);
	ok(pod_link_check(nl, &link, fd, &e), &e);
	close(fd);
}

static int count(const struct nl_route *r, void *arg)
{
	*(unsigned int *)arg += r->protocol == NL_PROTO_NETLOOM;
	return 0;
}

static void a_route_is_listed_once(void **state)
{
	struct nl_veth v = { .name = "one",
			     .ifindex = 200,
			     .peer = { .name = "far", .netns_fd = -1 } };
	struct nl_route r = { .dst = { ip("10.1.0.0"), 112 },
			      .ifindex = 200,
			      .scope = RT_SCOPE_LINK };
	unsigned int n = 0;
	struct err e = {};

	ok(nl_link_add_veth(nl, &v, &e), &e);
	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = 200, .up = NL_ON, .no_addrgen = true },
		       &e),
	   &e);
	ok(nl_route_replace(nl, &r, &e), &e);
	ok(nl_route_foreach(nl, count, &n, &e), &e);
	assert_int_equal(n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pod_with_an_ipv4_address_is_wired, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_route_is_listed_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
