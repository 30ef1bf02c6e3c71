// SPDX-License-Identifier: Apache-2.0
/* The wiring of one pod against the real kernel: this process's own namespace is the host, another
 * one, held by a file descriptor, the pod. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <cmocka.h>

#include "agent/modules/podwire/identity.h"
#include "agent/modules/podwire/pod_link.h"
#include "agent/modules/podwire/reaper.h"
#include "lib/base/clock.h"
#include "shared/loom_limits.h"

static struct nl_sock *nl;
static int home;

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

static int setup(void **state)
{
	struct err e = {};

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return nl_open(-1, &nl, &e);
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

struct pod {
	int fd;
	char path[64];
	struct attachment att;
	struct pod_link link;
	struct nl_sock *nl;
};

static void pod_new(struct pod *p, char *id, const char *ip4, const char *ip6)
{
	struct stat st;
	struct err e = {};

	*p = (struct pod){ .fd = new_netns() };
	p->att.container_id = id;
	p->att.ifname = "eth0";
	p->att.pod_namespace = "default";
	p->att.pod_name = "web";
	podwire_identify(&p->att);
	assert_int_equal(fstat(p->fd, &st), 0);
	snprintf(p->path, sizeof(p->path), "/proc/self/fd/%d", p->fd);
	p->link = (struct pod_link){ .ifname = "eth0",
				     .mtu = 1450,
				     .netns = p->path,
				     .up = true,
				     .host_ifindex = podwire_next_ifindex(nl, 1000),
				     .ips = { ip(ip4), ip(ip6) },
				     .netns_dev = st.st_dev,
				     .netns_ino = st.st_ino };
	memcpy(p->link.host_ifname, p->att.host_ifname, sizeof(p->link.host_ifname));
	memcpy(p->link.mac, p->att.mac, 6);
	memcpy(p->link.hmac, p->att.hmac, 6);
	p->link.alias = podwire_alias(&p->att);
	ok(nl_open(p->fd, &p->nl, &e), &e);
}

static void pod_release(struct pod *p)
{
	free(p->link.alias);
	nl_close(p->nl);
	close(p->fd);
}

struct found {
	const struct pod_link *l;
	unsigned int ifindex;
	bool ip4, ip6, gw4, gw6, def4, def6, neigh4, neigh6, tentative;
};

static int see_addr(const struct nl_addr *a, void *arg)
{
	struct found *f = arg;

	f->ip4 |= a->len == 32 && addr_equal(&a->addr, &f->l->ips.ip4);
	f->ip6 |= a->len == 128 && addr_equal(&a->addr, &f->l->ips.ip6);
	f->tentative |= a->ifindex == f->ifindex && (a->flags & 0x40 /* IFA_F_TENTATIVE */);
	return 0;
}

static int see_route(const struct nl_route *r, void *arg)
{
	union loom_addr g4 = ip("169.254.1.1"), g6 = ip("fe80::1");
	struct found *f = arg;

	if (r->ifindex != f->ifindex || r->table != RT_TABLE_MAIN)
		return 0;
	f->gw4 |= addr_equal(&r->dst.addr, &g4) && r->dst.len == 128;
	f->gw6 |= addr_equal(&r->dst.addr, &g6) && r->dst.len == 128;
	f->def4 |= prefix_family_len(&r->dst) == 0 && addr_equal(&r->gateway, &g4);
	f->def6 |= prefix_family_len(&r->dst) == 0 && addr_equal(&r->gateway, &g6);
	return 0;
}

static int see_neigh(const struct nl_neigh *n, void *arg)
{
	union loom_addr g4 = ip("169.254.1.1"), g6 = ip("fe80::1");
	struct found *f = arg;
	bool good = n->state == NUD_PERMANENT && memcmp(n->mac, f->l->hmac, 6) == 0;

	f->neigh4 |= good && addr_equal(&n->addr, &g4);
	f->neigh6 |= good && addr_equal(&n->addr, &g6);
	return 0;
}

static void look(struct pod *p, struct found *f)
{
	struct nl_link eth0, lo;
	struct err e = {};

	*f = (struct found){ .l = &p->link };
	ok(nl_link_get(p->nl, 0, "eth0", &eth0, &e), &e);
	ok(nl_link_get(p->nl, 0, "lo", &lo, &e), &e);
	assert_true(eth0.flags & IFF_UP);
	assert_true(lo.flags & IFF_UP);
	assert_int_equal(eth0.mtu, 1450);
	assert_memory_equal(eth0.mac, p->link.mac, 6);
	assert_true(nl_link_get(nl, 0, p->link.host_ifname, &eth0, &e) == 0);
	f->ifindex = 0;
	ok(nl_link_get(p->nl, 0, "eth0", &eth0, &e), &e);
	f->ifindex = eth0.ifindex;
	ok(nl_addr_foreach(p->nl, see_addr, f, &e), &e);
	ok(nl_route_foreach(p->nl, see_route, f, &e), &e);
	ok(nl_neigh_foreach(p->nl, see_neigh, f, &e), &e);
}

static void a_wired_pod_has_all_that_it_needs(void **state)
{
	static const struct {
		char *id;
		const char *ip4, *ip6;
	} cases[] = {
		{ "v4", "10.1.1.2", "" },
		{ "v6", "", "fd00:1::2" },
		{ "dual", "10.1.1.3", "fd00:1::3" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool v4 = cases[i].ip4[0], v6 = cases[i].ip6[0];
		struct nl_link host;
		struct err e = {};
		struct found f;
		struct pod p;

		pod_new(&p, cases[i].id, cases[i].ip4, cases[i].ip6);
		ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
		look(&p, &f);
		assert_int_equal(f.ip4 && f.gw4 && f.def4 && f.neigh4, v4);
		assert_int_equal(f.ip6 && f.gw6 && f.def6 && f.neigh6, v6);
		assert_int_equal(f.def4, v4);
		assert_int_equal(f.def6, v6);
		assert_false(f.tentative);
		ok(nl_link_get(nl, p.link.host_ifindex, NULL, &host, &e), &e);
		assert_string_equal(host.name, p.link.host_ifname);
		assert_string_equal(host.alias, p.link.alias);
		assert_memory_equal(host.mac, p.link.hmac, 6);
		assert_true(host.flags & IFF_UP);
		ok(pod_link_check(nl, &p.link, p.fd, &e), &e);
		ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
		assert_int_equal(nl_link_get(p.nl, 0, "eth0", &host, &e), -ENODEV);
		pod_release(&p);
	}
}

static int keep(struct pod_link *l, void *arg)
{
	struct pod_link **dumped = arg;

	assert_null(*dumped);
	*dumped = l;
	return 0;
}

static void what_is_made_is_what_is_dumped(void **state)
{
	struct pod_link *dumped = NULL;
	struct err e = {};
	struct pod p;

	pod_new(&p, "dumped", "10.1.1.4", "fd00:1::4");
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	ok(pod_link_foreach(nl, keep, &dumped, &e), &e);
	assert_non_null(dumped);
	assert_true(pod_link_equal(dumped, &p.link));
	pod_link_free(dumped);
	dumped = NULL;

	ok(nl_link_set(nl, &(struct nl_link_set){ .ifindex = p.link.host_ifindex, .up = NL_OFF },
		       &e),
	   &e);
	ok(pod_link_foreach(nl, keep, &dumped, &e), &e);
	assert_false(pod_link_equal(dumped, &p.link));
	ok(pod_link_update(nl, dumped, &p.link, &e), &e);
	pod_link_free(dumped);
	ok(pod_link_check(nl, &p.link, p.fd, &e), &e);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	pod_release(&p);
}

/* The pod's end must not be made anew: who is in there has used it. */
static void what_somebody_did_to_the_hosts_end_is_mended_in_place(void **state)
{
	const uint8_t other[6] = { 2, 9, 9, 9, 9, 9 };
	struct nl_link before, after;
	struct pod_link *dumped = NULL;
	struct err e = {};
	struct pod p;

	pod_new(&p, "mended", "10.1.1.9", "");
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	ok(nl_link_get(p.nl, 0, "eth0", &before, &e), &e);
	ok(nl_link_set(nl,
		       &(struct nl_link_set){
			       .ifindex = p.link.host_ifindex, .mtu = 1300, .mac = other },
		       &e),
	   &e);
	ok(pod_link_foreach(nl, keep, &dumped, &e), &e);
	assert_false(pod_link_equal(dumped, &p.link));
	ok(pod_link_update(nl, dumped, &p.link, &e), &e);
	pod_link_free(dumped);
	dumped = NULL;
	ok(pod_link_foreach(nl, keep, &dumped, &e), &e);
	assert_true(pod_link_equal(dumped, &p.link));
	pod_link_free(dumped);
	ok(nl_link_get(p.nl, 0, "eth0", &after, &e), &e);
	assert_int_equal(after.ifindex, before.ifindex);
	ok(pod_link_check(nl, &p.link, p.fd, &e), &e);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	pod_release(&p);
}

static void write_sysctl(const char *path, const char *value)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
}

/* A byte to an address of the pod's own, in its namespace: 0 or -errno. The kernel makes an IPv6
 * address a local one a moment after it has been added. */
static int speak_to_itself(const char *text)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6 };
	socklen_t len = sizeof(to);
	_cleanup_(closep) int in = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd wait = { .fd = in, .events = POLLIN };

	assert_int_equal(inet_pton(AF_INET6, text, &to.sin6_addr), 1);
	if (bind(in, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    getsockname(in, (struct sockaddr *)&to, &len) < 0)
		return -errno;
	for (int i = 0; i < 100; i++) {
		if (sendto(in, "x", 1, 0, (struct sockaddr *)&to, len) < 0)
			return -errno;
		if (poll(&wait, 1, 50) == 1)
			return 0;
	}
	return -ETIMEDOUT;
}

static void ipv6_works_where_the_runtime_has_turned_it_off(void **state)
{
	int to_itself[2], old;
	struct err e = {};
	struct pod p;

	pod_new(&p, "off", "10.1.1.10", "fd00:1::a");
	ok(netns_enter(p.fd, &old, &e), &e);
	write_sysctl("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	netns_leave(&old);
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	ok(netns_enter(p.fd, &old, &e), &e);
	to_itself[0] = speak_to_itself("::1");
	to_itself[1] = speak_to_itself("fd00:1::a");
	netns_leave(&old);
	assert_int_equal(to_itself[0], 0);
	assert_int_equal(to_itself[1], 0);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	pod_release(&p);
}

static void an_interface_that_is_there_already_is_an_error_and_stays(void **state)
{
	struct nl_veth v = { .mtu = 1500,
			     .name = "eth0",
			     .peer = { .name = "other", .netns_fd = -1 } };
	struct nl_link link;
	struct err e = {};
	struct pod p;

	pod_new(&p, "taken", "10.1.1.5", "");
	ok(nl_link_add_veth(p.nl, &v, &e), &e);
	assert_int_equal(pod_link_create(nl, &p.link, p.fd, &e), -EEXIST);
	assert_non_null(strstr(e.msg, "has an interface 'eth0' already"));
	ok(nl_link_get(p.nl, 0, "eth0", &link, &e), &e);
	assert_int_equal(link.mtu, 1500);
	assert_int_equal(nl_link_get(nl, 0, p.link.host_ifname, &link, &e), -ENODEV);
	pod_release(&p);
}

/* Below 1280 bytes of MTU the kernel has no IPv6 on a link: the link comes, its address does not.
 */
static void a_failure_halfway_leaves_nothing(void **state)
{
	struct nl_link link;
	struct err e = {};
	struct pod p;

	pod_new(&p, "halfway", "10.1.1.6", "fd00:1::6");
	p.link.mtu = 1000;
	assert_true(pod_link_create(nl, &p.link, p.fd, &e) < 0);
	assert_int_equal(nl_link_get(nl, 0, p.link.host_ifname, &link, &e), -ENODEV);
	assert_int_equal(nl_link_get(p.nl, 0, "eth0", &link, &e), -ENODEV);
	p.link.mtu = 1450;
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	pod_release(&p);
}

static void retired_links_carry_nothing_and_go_together(void **state)
{
	_cleanup_(reaper_freep) struct reaper *r = NULL;
	struct pod_link back = {};
	struct nl_link link;
	struct err e = {};
	struct pod p[3];

	ok(reaper_new(&r, &e), &e);
	assert_false(reaper_wait(r));
	for (int i = 0; i < 3; i++) {
		char id[8], ip[16];

		snprintf(id, sizeof(id), "end%d", i);
		snprintf(ip, sizeof(ip), "10.1.1.%d", 20 + i);
		pod_new(&p[i], id, ip, "");
		ok(pod_link_create(nl, &p[i].link, p[i].fd, &e), &e);
		assert_int_equal(pod_link_retire(nl, p[i].link.host_ifname, &e), 1);
		ok(nl_link_get(nl, 0, p[i].link.host_ifname, &link, &e), &e);
		assert_false(link.flags & IFF_UP);
	}
	/* The last one is wanted again before anybody has come for it. */
	back = p[2].link;
	back.up = false;
	ok(pod_link_update(nl, &back, &p[2].link, &e), &e);
	reaper_kick(r);
	/* There is nothing to wait for if it has been done by now. */
	reaper_wait(r);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(nl_link_get(nl, 0, p[i].link.host_ifname, &link, &e), -ENODEV);
		assert_int_equal(nl_link_get(p[i].nl, 0, "eth0", &link, &e), -ENODEV);
		assert_int_equal(pod_link_retire(nl, p[i].link.host_ifname, &e), 0);
		pod_release(&p[i]);
	}
	ok(pod_link_check(nl, &p[2].link, p[2].fd, &e), &e);
	ok(pod_link_delete(nl, p[2].link.host_ifname, &e), &e);
	pod_release(&p[2]);
}

static void deleting_twice_and_after_the_namespace_is_gone_succeeds(void **state)
{
	struct err e = {};
	struct pod p;

	pod_new(&p, "gone", "10.1.1.7", "");
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	pod_release(&p);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
}

static void a_check_names_the_first_difference(void **state)
{
	struct nl_addr addr = { .len = 32 };
	struct nl_link eth0;
	struct err e = {};
	struct pod p;

	pod_new(&p, "checked", "10.1.1.9", "");
	assert_int_equal(pod_link_check(nl, &p.link, p.fd, &e), -ENODEV);
	ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
	ok(nl_link_get(p.nl, 0, "eth0", &eth0, &e), &e);
	addr.ifindex = eth0.ifindex;
	addr.addr = p.link.ips.ip4;
	ok(nl_addr_del(p.nl, &addr, &e), &e);
	assert_int_equal(pod_link_check(nl, &p.link, p.fd, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "10.1.1.9"));
	ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	assert_int_equal(pod_link_check(nl, &p.link, p.fd, &e), -ENODEV);
	pod_release(&p);
}

static void the_same_attachment_always_gets_the_same_names(void **state)
{
	struct attachment a = { .container_id = "0123", .ifname = "eth0" }, b = a, c = a;

	c.container_id = "0124";
	podwire_identify(&a);
	podwire_identify(&b);
	podwire_identify(&c);
	assert_string_equal(a.host_ifname, b.host_ifname);
	assert_memory_equal(a.mac, b.mac, 6);
	assert_string_not_equal(a.host_ifname, c.host_ifname);
	assert_memory_not_equal(a.mac, c.mac, 6);
	assert_memory_not_equal(a.mac, a.hmac, 6);
	assert_int_equal(a.mac[0], 2);
	assert_true(pod_link_name_is_ours(a.host_ifname));
	assert_false(pod_link_name_is_ours("nlmon0"));
	assert_false(pod_link_name_is_ours("nl0123456789AB"));
}

static void link_indexes_are_used_in_turn_and_wrap(void **state)
{
	assert_int_equal(podwire_next_ifindex(nl, 0), PODWIRE_FIRST_IFINDEX);
	assert_int_equal(podwire_next_ifindex(nl, 2000), 2000);
	assert_int_equal(podwire_next_ifindex(nl, LOOM_MAX_IFINDEX), PODWIRE_FIRST_IFINDEX);
	assert_int_equal(podwire_next_ifindex(nl, LOOM_MAX_IFINDEX - 1), LOOM_MAX_IFINDEX - 1);
}

static int frame_socket(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_802_EX1));
}

/* Without nl_link_settle() about one in three is lost. */
static void the_first_packet_to_a_new_pod_arrives(void **state)
{
	struct utsname u;
	unsigned int major = 0, minor = 0;

	assert_int_equal(uname(&u), 0);
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major < 6 || (major == 6 && minor < 8)) {
		printf("SKIP: kernel %s has no way to hurry its link watch\n", u.release);
		skip();
	}
	for (int i = 0; i < 15; i++) {
		uint8_t frame[64] = { [12] = ETH_P_802_EX1 >> 8, [13] = ETH_P_802_EX1 & 0xff };
		struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
		int old, tx = frame_socket(), rx;
		struct err e = {};
		struct pod p;

		pod_new(&p, "first", "10.1.1.11", "");
		ok(netns_enter(p.fd, &old, &e), &e);
		rx = frame_socket();
		netns_leave(&old);
		ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
		memcpy(frame, p.link.mac, 6);
		to.sll_ifindex = p.link.host_ifindex;
		assert_int_equal(
			sendto(tx, frame, sizeof(frame), 0, (struct sockaddr *)&to, sizeof(to)),
			sizeof(frame));
		assert_int_equal(poll(&(struct pollfd){ rx, POLLIN, 0 }, 1, 30000), 1);
		ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
		close(rx);
		close(tx);
		pod_release(&p);
	}
}

/* No bound on time, which a busy machine would break; the figure is for people. */
static void wiring_is_timed(void **state)
{
	uint64_t best = UINT64_MAX;
	struct err e = {};
	struct pod p;

	pod_new(&p, "timed", "10.1.1.10", "fd00:1::10");
	for (int i = 0; i < 5; i++) {
		uint64_t start = clock_ns(), took;

		ok(pod_link_create(nl, &p.link, p.fd, &e), &e);
		took = clock_ns() - start;
		best = MIN(best, took);
		ok(pod_link_delete(nl, p.link.host_ifname, &e), &e);
	}
	print_message("dual-stack pod wired in %lu us (best of 5)\n", best / 1000);
	pod_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wired_pod_has_all_that_it_needs),
		cmocka_unit_test(what_is_made_is_what_is_dumped),
		cmocka_unit_test(what_somebody_did_to_the_hosts_end_is_mended_in_place),
		cmocka_unit_test(ipv6_works_where_the_runtime_has_turned_it_off),
		cmocka_unit_test(an_interface_that_is_there_already_is_an_error_and_stays),
		cmocka_unit_test(a_failure_halfway_leaves_nothing),
		cmocka_unit_test(retired_links_carry_nothing_and_go_together),
		cmocka_unit_test(deleting_twice_and_after_the_namespace_is_gone_succeeds),
		cmocka_unit_test(a_check_names_the_first_difference),
		cmocka_unit_test(the_same_attachment_always_gets_the_same_names),
		cmocka_unit_test(link_indexes_are_used_in_turn_and_wrap),
		cmocka_unit_test(the_first_packet_to_a_new_pod_arrives),
		cmocka_unit_test(wiring_is_timed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
