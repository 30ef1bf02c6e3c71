// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include "selftests/bpf/uplink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
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
	struct nl_addr a6 = {
		.ifindex = LINK_UPLINK, .addr = addr("2001:db8::1"), .len = 64, .flags = IFA_F_NODAD
	};
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
	/* What the far end says of itself would come in between two packets of the test. */
	struct nl_link_set wire = { .ifindex = LINK_WIRE, .up = NL_ON, .no_addrgen = true };
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

static void set16(__u8 *at, __u16 v)
{
	at[0] = v >> 8;
	at[1] = v;
}

static void checksum(__u8 *ip)
{
	__u32 sum = 0, i;

	set16(ip + 10, 0);
	for (i = 0; i < (ip[0] & 15u) * 4; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	set16(ip + 10, ~((sum & 0xffff) + (sum >> 16)));
}

static void shape(enum tunnel_shape tunnel, struct target_packet *p)
{
	__u8 *ip = p->data + 14, *udp = ip + 20;

	if (tunnel == TUNNEL_BAD_IP_CSUM)
		ip[10] ^= 1;
	if (tunnel == TUNNEL_CE) {
		ip[1] = 3;
		checksum(ip);
	}
	if (tunnel == TUNNEL_UDP_CSUM)
		udp[6] = 1;
	if (tunnel == TUNNEL_FLAGS)
		udp[8] |= 0x80;
	if (tunnel == TUNNEL_TAIL)
		p->len += 4;
	if (tunnel == TUNNEL_SHORT)
		set16(udp + 4, p->len - 38);
	if (tunnel != TUNNEL_OPTIONS)
		return;
	memmove(udp + 4, udp, p->len - 34);
	memset(udp, 1, 4); /* no operation */
	p->len += 4;
	ip[0]++;
	set16(ip + 2, p->len - 14);
	checksum(ip);
}

/* As it is on the wire: no NIC has taken the tag off. */
static void tag(struct target_packet *p)
{
	memmove(p->data + 16, p->data + 12, p->len - 12);
	set16(p->data + 12, 0x8100);
	set16(p->data + 14, p->vlan);
	p->len += 4;
}

void uplink_wrap(const struct target_packet *p, struct target_packet *ret)
{
	union loom_addr dst = addr("192.0.2.1");
	__u8 *h = ret->data, *ip = h + 14, *udp = ip + 20, *vxlan = udp + 8;

	*ret = *p;
	if (p->vlan)
		tag(ret);
	if (!p->vni)
		return;
	memcpy(h + TUNNEL_OUTER_LEN, p->data, p->len);
	ret->len += TUNNEL_OUTER_LEN;
	memset(h, 0, TUNNEL_OUTER_LEN);
	memcpy(h, hmac_a, 6);
	memcpy(h + 6, uplink_hop_mac, 6);
	h[12] = 8;
	memcpy(ip, (__u8[]){ 0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17 }, 10);
	set16(ip + 2, ret->len - 14);
	memcpy(ip + 12, &p->outer_src.w[3], 4);
	memcpy(ip + 16, &dst.w[3], 4);
	checksum(ip);
	set16(udp, 0xc101);
	set16(udp + 2, 4789);
	set16(udp + 4, ret->len - 34);
	vxlan[0] = 8;
	vxlan[4] = p->vni >> 16;
	set16(vxlan + 5, p->vni);
	shape(p->tunnel, ret);
}
