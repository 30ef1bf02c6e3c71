// SPDX-License-Identifier: Apache-2.0
/*
 * The XDP program on packets of established flows, beside a program that swaps the MACs and sends
 * the packet back. Two figures each. ns: of the program alone, by BPF_PROG_TEST_RUN, the frame's
 * own (xdp_frame.bpf.c) taken off. Rate: packets a second of CPU time of one core that makes them,
 * runs the program, sends them over a veth and drops them at its other end
 * (BPF_F_TEST_XDP_LIVE_FRAMES). Medians of 5 rounds that take turns; the ratio to the reflector is
 * taken within each round. With --json as JSON.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bpf/lib/pkt.h"
#include "bpf/loom_xdp.skel.h"
#include "selftests/bench/datapath/xdp_frame.skel.h"
#include "selftests/bpf/packet.h"
#include "selftests/bpf/uplink.h"

#define ROUNDS	    5
#define REPEAT	    500000
#define LIVE_REPEAT (1 << 21) /* ending a run takes about 20 ms */
#define OTHERS	    10000     /* further flows in the table */
#define HEADER_LEN  128
#define TRIES	    4

static struct loom_xdp *dp;
static struct xdp_frame *frame;

enum kind { FRAME, REFLECT, REQUEST, ANSWER };

struct load {
	const char *name;
	enum kind kind;
	int family;
	enum who backend; /* C: behind the overlay, D: natively */
	struct target_packet packet;
	double ns[ROUNDS], rate[ROUNDS], ratio[ROUNDS];
};

static struct load loads[] = {
	{ .name = "frame alone", .kind = FRAME },
	{ .name = "reflector", .kind = REFLECT },
	{ .name = "request, native, IPv4", .kind = REQUEST, .family = 4, .backend = D },
	{ .name = "answer, native, IPv4", .kind = ANSWER, .family = 4, .backend = D },
	{ .name = "request, native, IPv6", .kind = REQUEST, .family = 6, .backend = D },
	{ .name = "answer, native, IPv6", .kind = ANSWER, .family = 6, .backend = D },
	{ .name = "request, overlay, IPv4", .kind = REQUEST, .family = 4, .backend = C },
	{ .name = "answer, overlay, IPv4", .kind = ANSWER, .family = 4, .backend = C },
	{ .name = "request, overlay, IPv6", .kind = REQUEST, .family = 6, .backend = C },
	{ .name = "answer, overlay, IPv6", .kind = ANSWER, .family = 6, .backend = C },
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

/* ---- the world ---- */

static void reset(void)
{
}

static int put(const char *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(dp->obj, map), key, value, 0);
}

static int get(const char *map, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(bpf_object__find_map_fd_by_name(dp->obj, map), key, ret_value);
}

static const struct target live = { .name = "live", .put = put, .get = get, .reset = reset };

static void fill_table(void)
{
	struct loom_ctkey k = {};
	struct loom_ct v = {};
	__u32 i;

	for (i = 0; i < OTHERS; i++) {
		k.a.w[0] = i + 1;
		bpf_map_update_elem(bpf_map__fd(dp->maps.loom_ct), &k, &v, 0);
	}
}

/* Packets of the hook xdp_uplink that were sent so far. */
static unsigned long long sent(void)
{
	__u32 key = LOOM_DROP_FORWARDED * LOOM_HOOK_MAX + LOOM_HOOK_XDP_UPLINK;
	int i, cpus = libbpf_num_possible_cpus();
	struct loom_counter c[cpus];
	unsigned long long n = 0;

	if (get("loom_metrics", &key, c))
		return 0;
	for (i = 0; i < cpus; i++)
		n += c[i].packets;
	return n;
}

/* ---- packets ---- */

static void request(const struct load *l, struct target_packet *ret)
{
	struct packet p = { .src = world_addr(OUT, l->family),
			    .dst = world_addr(NODE, l->family),
			    .proto = IPPROTO_UDP,
			    .ttl = 64,
			    .sport = 1000,
			    .dport = l->backend == C ? 30081 : 30082,
			    .payload = 96 };

	memcpy(p.dmac, hmac_a, 6);
	memcpy(p.smac, uplink_hop_mac, 6);
	packet_build(&p, ret);
	ret->vni = 0;
}

/* What the backend answers to that request as it has left: the overlay's header is cut off. */
static int answer(const struct load *l, const struct target_packet *left, struct target_packet *ret)
{
	struct target_packet inner = *left;
	struct packet out;

	if (l->backend == C) {
		inner.len -= TUNNEL_OUTER_LEN;
		memmove(inner.data, inner.data + TUNNEL_OUTER_LEN, inner.len);
	}
	if (packet_parse(&inner, &out))
		return -EPROTO;
	struct packet p = { .src = out.dst,
			    .dst = out.src,
			    .proto = IPPROTO_UDP,
			    .ttl = 64,
			    .sport = out.dport,
			    .dport = out.sport,
			    .payload = 96 };

	memcpy(p.dmac, hmac_a, 6);
	memcpy(p.smac, uplink_hop_mac, 6);
	packet_build(&p, &inner);
	inner.vni = l->backend == C ? LOOM_DEFAULT_VNI : 0;
	inner.outer_src = world_addr(NODE2, 4);
	uplink_wrap(&inner, ret);
	return 0;
}

/* ---- runs ---- */

static int run(int prog, struct target_packet *p, __u32 repeat, __u32 flags,
	       struct target_packet *out, __u32 *ret_ns, __u32 *ret_act)
{
	struct xdp_md md = { .data_end = p->len, .ingress_ifindex = LINK_UPLINK };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len,
		    .ctx_in = &md, .ctx_size_in = sizeof(md), .repeat = repeat, .flags = flags);
	int err;

	if (out) {
		opts.data_out = out->data;
		opts.data_size_out = sizeof(out->data);
	}
	err = bpf_prog_test_run_opts(prog, &opts);
	*ret_ns = opts.duration;
	*ret_act = opts.retval;
	if (out)
		out->len = opts.data_size_out;
	return err;
}

/* The first packets of the load's flow, so that it is established; its packet to l->packet. */
static int establish(struct load *l)
{
	int prog = bpf_program__fd(dp->progs.loom_xdp_uplink), err;
	struct target_packet out;
	__u32 ns, act = 0;

	l->backend = l->backend ?: D;
	l->family = l->family ?: 4;
	request(l, &l->packet);
	if (l->kind == FRAME || l->kind == REFLECT)
		return 0;
	err = run(prog, &l->packet, 1, 0, &out, &ns, &act);
	if (err || act != XDP_TX)
		return err ?: -EPROTO;
	struct target_packet back;

	err = answer(l, &out, &back);
	if (!err)
		err = run(prog, &back, 1, 0, &out, &ns, &act);
	if (err || act != XDP_TX)
		return err ?: -EPROTO;
	if (l->kind == ANSWER)
		l->packet = back;
	return 0;
}

static int enter_frame(const struct load *l)
{
	struct {
		__u64 len;
		__u8 header[HEADER_LEN];
	} value = { .len = l->packet.len };
	__u32 zero = 0, fd;

	memcpy(value.header, l->packet.data, HEADER_LEN);
	if (bpf_map_update_elem(bpf_map__fd(frame->maps.frame_packet), &zero, &value, 0))
		return -errno;
	bpf_map_delete_elem(bpf_map__fd(frame->maps.frame_next), &zero);
	if (l->kind == FRAME)
		return 0;
	fd = bpf_program__fd(l->kind == REFLECT ? frame->progs.xdp_reflect
						: dp->progs.loom_xdp_uplink);
	return bpf_map_update_elem(bpf_map__fd(frame->maps.frame_next), &zero, &fd, 0);
}

static double cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int measure_once(struct load *l, unsigned int round)
{
	__u32 ns, act, prog = bpf_program__fd(frame->progs.xdp_frame);
	unsigned long long want = REPEAT, before = sent();
	double start;
	int err = run(prog, &l->packet, REPEAT, 0, NULL, &ns, &act);

	l->ns[round] = ns;
	if (!err && act != (l->kind == FRAME ? XDP_PASS : XDP_TX))
		err = -EAGAIN;
	if (!err && l->kind != FRAME) {
		start = cpu_time();
		err = run(prog, &l->packet, LIVE_REPEAT, BPF_F_TEST_XDP_LIVE_FRAMES, NULL, &ns,
			  &act);
		l->rate[round] = LIVE_REPEAT / (cpu_time() - start);
		want += LIVE_REPEAT;
	}
	if (!err && (l->kind == REQUEST || l->kind == ANSWER) && sent() - before != want)
		err = -EAGAIN;
	return err;
}

/*
 * Flows go on as if tc had just seen them. An entry that is written moves to the head of its
 * bucket, so those that are written already are met again, and left alone.
 */
static void touch_all(void)
{
	struct loom_ctkey k, *last = NULL;
	int fd = bpf_map__fd(dp->maps.loom_ct);
	struct timespec ts;
	struct loom_ct v;
	__u32 tick;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	tick = (ts.tv_sec * 1000000000ull + ts.tv_nsec) >> LOOM_TICK_SHIFT;
	while (!bpf_map_get_next_key(fd, last, &k)) {
		last = &k;
		if (bpf_map_lookup_elem(fd, &k, &v) || !v.seen || v.seen == tick)
			continue;
		v.seen = tick;
		bpf_map_update_elem(fd, &k, &v, BPF_EXIST);
	}
}

/* Once in 34 s packets are passed on until tc has seen one, which is not here. */
static int measure(struct load *l, unsigned int round)
{
	int err = enter_frame(l), i;

	for (i = 0; !err && i < TRIES; i++) {
		err = measure_once(l, round);
		if (err != -EAGAIN)
			return err;
		touch_all();
		err = 0;
	}
	return err ?: -EAGAIN;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static void print_one(const struct load *l, double ns, double mpps, double ratio, bool json)
{
	double least = l->ratio[0], most = l->ratio[ROUNDS - 1];

	if (json)
		printf("{\"name\":\"%s\",\"ns\":%.0f,\"mpps\":%.2f,\"ratio\":%.2f,\"least\":%.2f,"
		       "\"most\":%.2f}",
		       l->name, ns, mpps, ratio, least, most);
	else
		printf("%-26s %8.0f %8.2f %10.2f (%.2f - %.2f)\n", l->name, ns, mpps, ratio, least,
		       most);
}

static void print_all(bool json)
{
	double base = median(loads[0].ns), ratio;
	unsigned int i, round;

	for (i = 1; i < LOADS; i++)
		for (round = 0; round < ROUNDS; round++)
			loads[i].ratio[round] = loads[i].rate[round] / loads[1].rate[round];
	if (json)
		printf("[");
	else
		printf("%-26s %8s %8s %10s\n", "", "ns", "Mpps", "/reflector");
	for (i = 1; i < LOADS; i++) {
		if (json && i > 1)
			printf(",");
		ratio = median(loads[i].ratio);
		print_one(&loads[i], median(loads[i].ns) - base, median(loads[i].rate) / 1e6, ratio,
			  json);
	}
	if (json)
		printf("]\n");
}

static int start(void)
{
	cpu_set_t set;
	unsigned int i;
	int err;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (unshare(CLONE_NEWNET) || sched_setaffinity(0, sizeof(set), &set))
		return -errno;
	dp = loom_xdp__open_and_load();
	frame = xdp_frame__open_and_load();
	if (!dp || !frame)
		return -errno;
	err = uplink_build();
	if (!err)
		err = bpf_xdp_attach(LINK_UPLINK, bpf_program__fd(dp->progs.loom_xdp_uplink),
				     XDP_FLAGS_DRV_MODE, NULL);
	if (!err)
		err = bpf_xdp_attach(LINK_WIRE, bpf_program__fd(frame->progs.xdp_sink),
				     XDP_FLAGS_DRV_MODE, NULL);
	if (err)
		return err;
	world_build(&live, LOOM_HOOK_FROM_NET);
	world_tunnel_directly(&live);
	world_natively(&live);
	fill_table();
	for (i = 0; !err && i < LOADS; i++)
		err = establish(&loads[i]);
	return err;
}

int main(int argc, char **argv)
{
	unsigned int round, i;
	int err = start();

	for (round = 0; !err && round < ROUNDS; round++) {
		for (i = 0; !err && i < LOADS; i++)
			err = measure(&loads[i], round);
	}
	if (err)
		fprintf(stderr, "xdp_ns: %s\n", strerror(-err));
	else
		print_all(argc > 1 && !strcmp(argv[1], "--json"));
	loom_xdp__destroy(dp);
	xdp_frame__destroy(frame);
	return err ? 1 : 0;
}
