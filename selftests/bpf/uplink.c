// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/uplink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/netlink/netlink.h"

#define UPLINK "nlt-up"

const __u8 uplink_hop_mac[6] = { 2, 0, 0, 0, 2, 0xa };

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static union loom_addr addr(const char *text)
{
	union loom_addr a = {};

	if (inet_pton(AF_INET, text, &a.w[3]) == 1)
		a.w[2] = LOOM_V4_MARK;
	else
		inet_pton(AF_INET6, text, &a);
	return a;
}

static int add_neighbours(struct nl_sock *nl, struct err *e)
{
	static const char *const hops[] = { "192.0.2.2",   "192.0.2.3",	  "192.0.2.254",
					    "2001:db8::2", "2001:db8::3", "2001:db8::fe" };
	struct nl_neigh n = { .ifindex = LINK_UPLINK, .state = NUD_PERMANENT };
	unsigned int i;
	int err = 0;

	memcpy(n.mac, uplink_hop_mac, 6);
	for (i = 0; !err && i < sizeof(hops) / sizeof(hops[0]); i++) {
		n.addr = addr(hops[i]);
		err = nl_neigh_replace(nl, &n, e);
	}
	return err;
}

static int add_routes(struct nl_sock *nl, struct err *e)
{
	struct nl_addr a4 = { .ifindex = LINK_UPLINK, .addr = addr("192.0.2.1"), .len = 24 };
	struct nl_addr a6 = { .ifindex = LINK_UPLINK, .addr = addr("2001:db8::1"), .len = 64 };
	struct nl_route r4 = { .dst.addr = addr("0.0.0.0"),
			       .dst.len = 96,
			       .gateway = addr("192.0.2.254"),
			       .ifindex = LINK_UPLINK };
	struct nl_route r6 = { .gateway = addr("2001:db8::fe"), .ifindex = LINK_UPLINK };
	int err = nl_addr_add(nl, &a4, e);

	if (!err)
		err = nl_addr_add(nl, &a6, e);
	if (!err)
		err = nl_route_replace(nl, &r4, e);
	return err ? err : nl_route_replace(nl, &r6, e);
}

static int add_links(struct nl_sock *nl, struct err *e)
{
	struct nl_veth v = { .ifindex = LINK_UPLINK,
			     .name = UPLINK,
			     .mac = hmac_a,
			     .peer = { .ifindex = LINK_WIRE, .name = "nlt-wire", .netns_fd = -1 } };
	struct nl_link_set wire = { .ifindex = LINK_WIRE, .up = NL_ON };
	struct nl_link_set up = { .ifindex = LINK_UPLINK, .up = NL_ON, .no_addrgen = true };
	int err = nl_link_add_veth(nl, &v, e);

	if (!err)
		err = nl_link_set(nl, &wire, e);
	return err ? err : nl_link_set(nl, &up, e);
}

int uplink_build(void)
{
	struct nl_sock *nl = NULL;
	struct err e = {};
	int err = nl_open(-1, &nl, &e);

	if (!err)
		err = add_links(nl, &e);
	if (!err)
		err = add_routes(nl, &e);
	if (!err)
		err = add_neighbours(nl, &e);
	nl_close(nl);
	if (err) {
		fprintf(stderr, "uplink: %s\n", e.msg);
		return err;
	}
	err = write_file("/proc/sys/net/ipv4/conf/" UPLINK "/forwarding", "1");
	return err ? err : write_file("/proc/sys/net/ipv6/conf/" UPLINK "/forwarding", "1");
}

void uplink_wrap(const struct target_packet *p, struct target_packet *ret)
{
	union loom_addr dst = world_addr(NODE, 4);
	__u8 *h = ret->data, *ip = h + 14;
	__u16 len = p->len + TUNNEL_OUTER_LEN - 14;
	__u32 sum = 0, i;

	*ret = *p;
	if (!p->vni)
		return;
	memcpy(h + TUNNEL_OUTER_LEN, p->data, p->len);
	ret->len += TUNNEL_OUTER_LEN;
	memset(h, 0, TUNNEL_OUTER_LEN);
	memcpy(h, hmac_a, 6);
	memcpy(h + 6, uplink_hop_mac, 6);
	h[12] = 8;
	memcpy(ip, (__u8[]){ 0x45, 0, len >> 8, len, 0, 0, 0, 0, 64, 17 }, 10);
	memcpy(ip + 12, &p->outer_src.w[3], 4);
	memcpy(ip + 16, &dst.w[3], 4);
	for (i = 0; i < 20; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	ip[10] = ~sum >> 8;
	ip[11] = ~sum;
	memcpy(ip + 20, (__u8[]){ 0xc1, 1, 4789 >> 8, 4789 & 255, (len - 20) >> 8, len - 20 }, 6);
	ip[28] = 8;
	ip[34] = p->vni & 255;
	ip[33] = p->vni >> 8 & 255;
	ip[32] = p->vni >> 16;
}
