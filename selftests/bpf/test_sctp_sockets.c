// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * SCTP's own sockets with a translation of ports between them: client - router - server, a
 * namespace each, the programs at the router's link to the client. With checksums that nobody
 * computes, that are there from the start, and that are computed behind the translation. Skipped
 * where the kernel has no SCTP; Debian's 6.1 has it (kernel61).
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/netlink/netlink.h"
#include "selftests/bpf/sctp_ports.h"
#include "selftests/bpf/sctp_ports.skel.h"

#define BYTES 60000

enum { SERVER, ROUTER, CLIENT, PLACES };

/* Links have the same index in all namespaces. */
static const struct end {
	const char *link, *v4, *v6;
	int place;
	unsigned int ifindex;
} srv = { "nlt-srv", "192.0.2.1", "2001:db8:1::1", SERVER, 21 },
  to_srv = { "nlt-to-srv", "192.0.2.254", "2001:db8:1::fe", ROUTER, 22 },
  to_cli = { "nlt-to-cli", "198.51.100.254", "2001:db8:2::fe", ROUTER, 23 },
  cli = { "nlt-cli", "198.51.100.1", "2001:db8:2::1", CLIENT, 24 };

static struct {
	int netns[PLACES];
	struct sctp_ports *skel;
} world;

static void enter(int place)
{
	assert_int_equal(setns(world.netns[place], CLONE_NEWNET), 0);
}

static int new_netns(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static union loom_addr address(const char *text)
{
	union loom_addr a = {};

	if (inet_pton(AF_INET, text, &a.w[3]) == 1)
		a.w[2] = LOOM_V4_MARK;
	else
		assert_int_equal(inet_pton(AF_INET6, text, &a), 1);
	return a;
}

/* Link, addresses and, towards `via`, the way to all else. */
static void set_up(const struct end *end, const struct end *via)
{
	struct nl_link_set up = { .ifindex = end->ifindex, .up = NL_ON };
	struct nl_addr a4 = { .ifindex = end->ifindex, .addr = address(end->v4), .len = 24 };
	struct nl_addr a6 = {
		.ifindex = end->ifindex, .addr = address(end->v6), .len = 64, .flags = IFA_F_NODAD
	};
	struct nl_route r4 = { .dst.addr = address("0.0.0.0"), .dst.len = 96 }, r6 = {};
	struct nl_sock *nl;

	assert_int_equal(nl_open(world.netns[end->place], &nl, NULL), 0);
	assert_int_equal(nl_link_set(nl, &up, NULL), 0);
	assert_int_equal(nl_addr_add(nl, &a4, NULL), 0);
	assert_int_equal(nl_addr_add(nl, &a6, NULL), 0);
	if (via) {
		r4.ifindex = r6.ifindex = end->ifindex;
		r4.gateway = address(via->v4);
		r6.gateway = address(via->v6);
		assert_int_equal(nl_route_replace(nl, &r4, NULL), 0);
		assert_int_equal(nl_route_replace(nl, &r6, NULL), 0);
	}
	nl_close(nl);
}

static void add_links(const struct end *here, const struct end *there)
{
	struct nl_veth v = { .ifindex = here->ifindex,
			     .peer = { .ifindex = there->ifindex,
				       .netns_fd = world.netns[there->place] } };
	struct nl_sock *nl;

	snprintf(v.name, sizeof(v.name), "%s", here->link);
	snprintf(v.peer.name, sizeof(v.peer.name), "%s", there->link);
	assert_int_equal(nl_open(world.netns[here->place], &nl, NULL), 0);
	assert_int_equal(nl_link_add_veth(nl, &v, NULL), 0);
	nl_close(nl);
}

static void forward(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1", 1), 1);
	close(fd);
}

static void build_network(void)
{
	int i;

	for (i = 0; i < PLACES; i++)
		world.netns[i] = new_netns();
	add_links(&to_srv, &srv);
	add_links(&to_cli, &cli);
	set_up(&to_srv, NULL);
	set_up(&to_cli, NULL);
	set_up(&srv, &to_srv);
	set_up(&cli, &to_cli);
	enter(ROUTER);
	forward("/proc/sys/net/ipv4/ip_forward");
	forward("/proc/sys/net/ipv6/conf/all/forwarding");
}

static void attach(const struct bpf_program *prog, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = to_cli.ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = bpf_program__fd(prog));

	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
}

/* The core's headers bring all of its maps along, of which one is used. */
static void load(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = to_cli.ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct bpf_map *map;

	world.skel = sctp_ports__open();
	assert_non_null(world.skel);
	bpf_object__for_each_map(map, world.skel->obj)
	{
		if (strncmp(bpf_map__name(map), "loom_", 5) == 0 &&
		    strcmp(bpf_map__name(map), "loom_scratch") != 0)
			bpf_map__set_autocreate(map, false);
	}
	assert_int_equal(sctp_ports__load(world.skel), 0);
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	attach(world.skel->progs.sctp_in, BPF_TC_INGRESS);
	attach(world.skel->progs.sctp_out, BPF_TC_EGRESS);
}

static int build(void **state)
{
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);

	if (fd < 0)
		return 0;
	close(fd);
	build_network();
	load();
	return 0;
}

static int number_of_feature(int fd, struct ifreq *ifr, const char *name)
{
	struct {
		struct ethtool_gstrings head;
		char names[128][ETH_GSTRING_LEN];
	} strings = { .head = { .cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES } };
	unsigned int i;

	ifr->ifr_data = (void *)&strings;
	assert_int_equal(ioctl(fd, SIOCETHTOOL, ifr), 0);
	for (i = 0; i < strings.head.len && i < 128; i++) {
		if (strcmp(strings.names[i], name) == 0)
			return (int)i;
	}
	fail_msg("no feature '%s'", name);
	return -1;
}

/* Whether the link says that it computes SCTP's checksums. */
static void set_offload(const struct end *end, bool on)
{
	struct {
		struct ethtool_sfeatures head;
		struct ethtool_set_features_block blocks[4];
	} set = { .head = { .cmd = ETHTOOL_SFEATURES, .size = 2 } };
	struct ifreq ifr = {};
	int fd, n;

	enter(end->place);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", end->link);
	n = number_of_feature(fd, &ifr, "tx-checksum-sctp");
	set.blocks[n / 32].valid = 1u << n % 32;
	set.blocks[n / 32].requested = on ? 1u << n % 32 : 0;
	ifr.ifr_data = (void *)&set;
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &ifr), 0);
	close(fd);
}

static int new_socket(int place, int family)
{
	struct timeval limit = { .tv_sec = 60 };
	int fd, on = 1;

	enter(place);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP);
	assert_true(fd >= 0);
	/* What talked here before may still be about to end. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static socklen_t server_address(int family, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (void *)ret;
	struct sockaddr_in6 *v6 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = family;
	if (family == AF_INET) {
		v4->sin_port = htons(port);
		inet_pton(AF_INET, srv.v4, &v4->sin_addr);
		return sizeof(*v4);
	}
	v6->sin6_port = htons(port);
	inet_pton(AF_INET6, srv.v6, &v6->sin6_addr);
	return sizeof(*v6);
}

/* One message, larger than any packet. */
static void pass(int from, int to)
{
	static char out[BYTES], in[BYTES];
	size_t have = 0;
	ssize_t n;

	memset(out, 'x', sizeof(out));
	memset(in, 0, sizeof(in));
	assert_int_equal(send(from, out, sizeof(out), 0), sizeof(out));
	while (have < sizeof(in)) {
		n = recv(to, in + have, sizeof(in) - have, 0);
		if (n <= 0)
			fail_msg("after %zu bytes: %s", have, n ? strerror(errno) : "closed");
		have += n;
	}
	assert_memory_equal(in, out, sizeof(in));
}

static void talk(int family)
{
	int listener = new_socket(SERVER, family), client = new_socket(CLIENT, family), server;
	struct sockaddr_storage a;
	socklen_t len = server_address(family, SERVER_PORT, &a);

	assert_int_equal(bind(listener, (void *)&a, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	server_address(family, SERVICE_PORT, &a);
	if (connect(client, (void *)&a, len))
		fail_msg("connect: %s", strerror(errno));
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	pass(client, server);
	pass(server, client);
	close(server);
	close(client);
	close(listener);
}

static long checksum_errors(int place)
{
	long n = -1;
	char line[128];
	FILE *f;

	enter(place);
	f = fopen("/proc/thread-self/net/sctp/snmp", "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "SctpChecksumErrors %ld", &n) != 1)
		;
	fclose(f);
	return n;
}

static __u64 seen(__u32 what)
{
	__u64 n = 0;

	bpf_map_lookup_elem(bpf_map__fd(world.skel->maps.sctp_seen), &what, &n);
	return n;
}

static void forget(void)
{
	__u64 none = 0;
	__u32 i;

	for (i = 0; i < SEEN_MAX; i++)
		bpf_map_update_elem(bpf_map__fd(world.skel->maps.sctp_seen), &i, &none, 0);
}

/* By both families; `ends` and the router's links compute checksums or don't. */
static void talk_both(bool ends, bool router)
{
	set_offload(&srv, ends);
	set_offload(&cli, ends);
	set_offload(&to_srv, router);
	set_offload(&to_cli, router);
	forget();
	talk(AF_INET);
	talk(AF_INET6);
	assert_int_equal(checksum_errors(SERVER), 0);
	assert_int_equal(checksum_errors(CLIENT), 0);
	print_message("with checksum %llu, without %llu, to be cut up %llu\n", seen(SEEN_SUM),
		      seen(SEEN_NO_SUM), seen(SEEN_SEGMENTS));
}

static void need_sctp(void)
{
	if (world.skel)
		return;
	printf("SKIP: the kernel has no SCTP\n");
	skip();
}

static void never_computed(void **state)
{
	need_sctp();
	talk_both(true, true);
	assert_int_equal(seen(SEEN_SUM), 0);
	assert_true(seen(SEEN_NO_SUM) > 0 && seen(SEEN_SEGMENTS) > 0);
}

static void there_from_the_start(void **state)
{
	need_sctp();
	talk_both(false, true);
	assert_true(seen(SEEN_SUM) > 0);
}

static void computed_behind_the_translation(void **state)
{
	need_sctp();
	talk_both(true, false);
	assert_true(seen(SEEN_NO_SUM) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_computed),
		cmocka_unit_test(there_from_the_start),
		cmocka_unit_test(computed_behind_the_translation),
	};

	return cmocka_run_group_tests(tests, build, NULL);
}
