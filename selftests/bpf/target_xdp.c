// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * The XDP program before the tc programs, as on a node: what it passes must be what came in, and
 * goes on to them; what it sends must be what they would have sent. The uplink is one end of a veth
 * pair in the test's own namespace, with neighbours that are known from the start.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpf/lib/pkt.h"
#include "bpf/loom_xdp.skel.h"
#include "lib/netlink/netlink.h"
#include "selftests/bpf/target.h"
#include "selftests/bpf/world.h"

#define OUTER_LEN 50
#define LINK_WIRE 93
#define UPLINK	  "nlt-up"

/* Who answers on the wire: NODE2, NODE3 and the router. */
static const __u8 hop_mac[6] = { 2, 0, 0, 0, 2, 0xa };
static struct loom_xdp *skel;

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

	memcpy(n.mac, hop_mac, 6);
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

static int build_uplink(void)
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

static int load(void)
{
	struct bpf_map *map;
	int fd, err = 0;

	skel = loom_xdp__open();
	if (!skel)
		return -errno;
	bpf_object__for_each_map(map, skel->obj)
	{
		fd = target_bpf_map_fd(bpf_map__name(map));
		if (fd >= 0)
			err = bpf_map__reuse_fd(map, fd);
		if (err)
			return err;
	}
	return loom_xdp__load(skel) ? -errno : 0;
}

static int xdp_start(void)
{
	int err = target_bpf.start();

	if (!err)
		err = load();
	if (!err)
		err = build_uplink();
	/* Only a link with a program has queues that a test run may come in by. */
	return err ? err
		   : bpf_xdp_attach(LINK_UPLINK, bpf_program__fd(skel->progs.loom_xdp_uplink),
				    XDP_FLAGS_DRV_MODE, NULL);
}

static void xdp_stop(void)
{
	loom_xdp__destroy(skel);
	skel = NULL;
	target_bpf.stop();
}

static void xdp_reset(void)
{
	target_bpf.reset();
}

static int xdp_put(const char *map, const void *key, const void *value)
{
	return target_bpf.put(map, key, value);
}

static int xdp_get(const char *map, const void *key, void *ret_value)
{
	return target_bpf.get(map, key, ret_value);
}

static int xdp_del(const char *map, const void *key)
{
	return target_bpf.del(map, key);
}

/* The packet as it comes in by the uplink, in its tunnel if it has one. */
static void wrap(const struct target_packet *p, struct target_packet *ret)
{
	union loom_addr dst = addr("192.0.2.1");
	__u8 *h = ret->data, *ip = h + 14;
	__u16 len = p->len + OUTER_LEN - 14;
	__u32 sum = 0, i;

	*ret = *p;
	if (!p->vni)
		return;
	memcpy(h + OUTER_LEN, p->data, p->len);
	ret->len += OUTER_LEN;
	memset(h, 0, OUTER_LEN);
	memcpy(h, hmac_a, 6);
	memcpy(h + 6, hop_mac, 6);
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

/* From whom and to whom it leaves; that is not the golden cases' to say. */
static int check_sent(const struct target_packet *p)
{
	if (memcmp(p->data, hop_mac, 6) || memcmp(p->data + 6, hmac_a, 6)) {
		fprintf(stderr, "sent with the wrong MACs\n");
		return -EPROTO;
	}
	return 0;
}

static int check_passed(const struct target_packet *in, const __u8 *out, __u32 len)
{
	if (in->len != len || memcmp(in->data, out, len)) {
		fprintf(stderr, "changed what was passed\n");
		return -EPROTO;
	}
	return 0;
}

static int xdp_run(enum loom_hook hook, struct target_packet *p, struct target_verdict *ret)
{
	static struct target_packet in;
	static __u8 out[TARGET_PKT_MAX];
	struct xdp_md md = { .ingress_ifindex = LINK_UPLINK };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in.data, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &md, .ctx_size_in = sizeof(md),
		    .repeat = 1);
	int err;

	if ((hook != LOOM_HOOK_FROM_NET && hook != LOOM_HOOK_FROM_OVERLAY) || p->len < 14)
		return target_bpf.run(hook, p, ret);
	wrap(p, &in);
	opts.data_size_in = md.data_end = in.len;
	err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.loom_xdp_uplink), &opts);
	if (err)
		return err;
	if (opts.retval == XDP_PASS) {
		err = check_passed(&in, out, opts.data_size_out);
		return err ? err : target_bpf.run(hook, p, ret);
	}
	if (opts.retval != XDP_TX)
		return -EPROTO;
	p->len = opts.data_size_out;
	memcpy(p->data, out, p->len);
	ret->reason = 0;
	ret->xdp = true;
	err = target_bpf_verdict(ret);
	return err ? err : check_sent(p);
}

static int xdp_gc(struct loom_gc_args *args)
{
	return target_bpf.gc(args);
}

static int xdp_event(struct loom_event *ret)
{
	return target_bpf.event(ret);
}

const struct target target_xdp = {
	.name = "xdp",
	.has_xdp = true,
	.start = xdp_start,
	.stop = xdp_stop,
	.reset = xdp_reset,
	.put = xdp_put,
	.get = xdp_get,
	.del = xdp_del,
	.run = xdp_run,
	.gc = xdp_gc,
	.event = xdp_event,
};
