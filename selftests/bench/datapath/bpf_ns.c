// SPDX-License-Identifier: Apache-2.0
/*
 * ns per packet by BPF_PROG_TEST_RUN, of an established flow, of one that begins (into a full LRU
 * table), and of one that policy denies and counts, beside a program that does one hash lookup and
 * a redirect. Both run inside the same frame (baseline.bpf.c), whose own cost is taken off. Medians
 * of 5 rounds that take turns; the spread (slowest less fastest) tells how far to trust them. With
 * --json as JSON.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/lib/pkt.h"
#include "bpf/loom_tc.skel.h"
#include "selftests/bench/datapath/baseline.h"
#include "selftests/bench/datapath/baseline.skel.h"
#include "selftests/bpf/packet.h"
#include "selftests/bpf/world.h"

#define ROUNDS 5
#define REPEAT 500000
#define OTHERS 10000 /* further flows in the tables */
#define EP_B   2     /* of world_build() */

static struct loom_tc *dp;
static struct baseline *base;

struct load {
	const char *name;
	enum who dst; /* NOBODY: the frame alone */
	int family;
	bool baseline;
	enum base_fresh fresh;
	bool denied;
	__u8 proto;
	double ns[ROUNDS];
	double median, spread;
};

static struct load loads[] = {
	{ .name = "frame alone", .family = 4, .proto = IPPROTO_TCP },
	{ .name = "baseline: lookup + redirect",
	  .dst = B,
	  .family = 4,
	  .baseline = true,
	  .proto = IPPROTO_TCP },
	{ .name = "same node, IPv4 TCP", .dst = B, .family = 4, .proto = IPPROTO_TCP },
	{ .name = "same node, IPv4 UDP", .dst = B, .family = 4, .proto = IPPROTO_UDP },
	{ .name = "same node, IPv6 TCP", .dst = B, .family = 6, .proto = IPPROTO_TCP },
	{ .name = "service, same node, IPv4 TCP", .dst = VIP, .family = 4, .proto = IPPROTO_TCP },
	{ .name = "service, same node, IPv6 TCP", .dst = VIP, .family = 6, .proto = IPPROTO_TCP },
	{ .name = "overlay, IPv4 TCP", .dst = C, .family = 4, .proto = IPPROTO_TCP },
	{ .name = "overlay, IPv6 TCP", .dst = C, .family = 6, .proto = IPPROTO_TCP },
	{ .name = "native, IPv4 TCP", .dst = D, .family = 4, .proto = IPPROTO_TCP },
	{ .name = "outside, masqueraded IPv4 TCP", .dst = OUT, .family = 4, .proto = IPPROTO_TCP },
	{ .name = "new flow, same node, IPv4 UDP",
	  .dst = B,
	  .family = 4,
	  .fresh = BASE_FRESH,
	  .proto = IPPROTO_UDP },
	{ .name = "new flow, overlay, IPv4 UDP",
	  .dst = C,
	  .family = 4,
	  .fresh = BASE_FRESH,
	  .proto = IPPROTO_UDP },
	{ .name = "denied, IPv4 UDP",
	  .dst = B,
	  .family = 4,
	  .fresh = BASE_FRESH,
	  .denied = true,
	  .proto = IPPROTO_UDP },
	{ .name = "denied, scan of ports, IPv4 UDP",
	  .dst = B,
	  .family = 4,
	  .fresh = BASE_SCAN,
	  .denied = true,
	  .proto = IPPROTO_UDP },
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

static void reset(void)
{
}

static int put(const char *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_object__find_map_fd_by_name(dp->obj, map), key, value, 0);
}

static const struct target live = { .name = "live", .put = put, .reset = reset };

static void packet_of(const struct load *l, struct target_packet *ret)
{
	struct packet p = { .src = world_addr(A, l->family),
			    .dst = world_addr(l->dst ? l->dst : B, l->family),
			    .proto = l->proto,
			    .ttl = 64,
			    .tcp_flags = 0x10,
			    .sport = 1000,
			    .dport = 80,
			    .payload = 64 };

	memcpy(p.smac, mac_a, 6);
	memcpy(p.dmac, hmac_a, 6);
	packet_build(&p, ret);
}

static int run(int prog, struct target_packet *p, __u32 repeat, __u32 *ret_ns, __u32 *ret_act)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->data, .data_size_in = p->len,
		    .repeat = repeat);
	int err = bpf_prog_test_run_opts(prog, &opts);

	*ret_ns = opts.duration;
	*ret_act = opts.retval;
	return err;
}

/* Makes all flows established, as the reply would. */
static int confirm_all(void)
{
	int from = bpf_map__fd(dp->maps.loom_ct_new), to = bpf_map__fd(dp->maps.loom_ct);
	struct loom_ctkey k;
	struct loom_ct v;

	while (!bpf_map_get_next_key(from, NULL, &k)) {
		if (bpf_map_lookup_elem(from, &k, &v))
			return -errno;
		v.flags |= LOOM_CT_REPLIED;
		if (bpf_map_update_elem(to, &k, &v, 0) || bpf_map_delete_elem(from, &k))
			return -errno;
	}
	return 0;
}

static void fill_tables(void)
{
	struct loom_ct v = { .out_a = LINK_B };
	struct loom_ctkey k = {};
	__u32 i;

	for (i = 0; i < OTHERS; i++) {
		k.a.w[0] = i + 1;
		bpf_map_update_elem(bpf_map__fd(dp->maps.loom_ct), &k, &v, 0);
		bpf_map_update_elem(bpf_map__fd(base->maps.base_table), &k, &v, 0);
	}
	k = (struct loom_ctkey){};
	k.a.w[2] = world_addr(A, 4).w[3];
	k.a.w[3] = world_addr(B, 4).w[3];
	bpf_map_update_elem(bpf_map__fd(base->maps.base_table), &k, &v, 0);
}

static int prepare(void)
{
	struct target_packet p;
	__u32 ns, act;
	unsigned int i;
	int err;

	world_build(&live, LOOM_HOOK_FROM_POD);
	fill_tables();
	for (i = 0; i < LOADS; i++) {
		if (!loads[i].dst || loads[i].baseline || loads[i].denied)
			continue;
		packet_of(&loads[i], &p);
		err = run(bpf_program__fd(dp->progs.loom_from_pod), &p, 1, &ns, &act);
		if (!err && act != TC_ACT_REDIRECT)
			err = -EPROTO;
		if (err) {
			fprintf(stderr, "%s: not forwarded (action %u, error %d)\n", loads[i].name,
				act, err);
			return err;
		}
	}
	return confirm_all();
}

/* Whether B has a policy, one that is not there and so lets nothing in. */
static void close_b(bool closed)
{
	struct loom_epol node = { .flags = closed ? LOOM_EPOL_ENFORCED : 0 };
	struct loom_epol pod = { .flags = LOOM_EPOL_KNOWN };
	__u32 ep;

	for (ep = 1; ep < 8; ep++)
		put("loom_epol", &ep, &pod);
	pod.policy_in = 7;
	ep = EP_B;
	put("loom_epol", &ep, &pod);
	ep = 0;
	put("loom_epol", &ep, &node);
}

static __u32 expected_action(const struct load *l)
{
	if (!l->dst)
		return TC_ACT_OK;
	return l->denied ? TC_ACT_SHOT : TC_ACT_REDIRECT;
}

static int measure(struct load *l, unsigned int round)
{
	__u32 zero = 0, fd, ns = 0, act = 0;
	struct base_header header = { .fresh = l->fresh, .flows = (round + 1) << 20 };
	struct target_packet p;
	int err;

	packet_of(l, &p);
	memcpy(header.bytes, p.data, HEADER_LEN);
	bpf_map_update_elem(bpf_map__fd(base->maps.base_header), &zero, &header, 0);
	fd = bpf_program__fd(l->baseline ? base->progs.base_peer : dp->progs.loom_from_pod);
	if (l->dst)
		bpf_map_update_elem(bpf_map__fd(base->maps.base_next), &zero, &fd, 0);
	else
		bpf_map_delete_elem(bpf_map__fd(base->maps.base_next), &zero);
	close_b(l->denied);
	err = run(bpf_program__fd(base->progs.base_frame), &p, REPEAT, &ns, &act);
	if (!err && act != expected_action(l))
		err = -EPROTO;
	l->ns[round] = ns;
	return err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void summarize(void)
{
	unsigned int i;

	for (i = 0; i < LOADS; i++) {
		qsort(loads[i].ns, ROUNDS, sizeof(double), compare);
		loads[i].median = loads[i].ns[ROUNDS / 2];
		loads[i].spread = loads[i].ns[ROUNDS - 1] - loads[i].ns[0];
	}
}

static void print_text(void)
{
	double frame = loads[0].median, baseline = loads[1].median;
	unsigned int i;

	printf("%-32s %8s %8s %10s\n", "", "ns", "spread", "over base");
	for (i = 1; i < LOADS; i++)
		printf("%-32s %8.0f %8.0f %+10.0f\n", loads[i].name, loads[i].median - frame,
		       loads[i].spread, loads[i].median - baseline);
}

static void print_json(void)
{
	double frame = loads[0].median, baseline = loads[1].median;
	unsigned int i;

	printf("[");
	for (i = 1; i < LOADS; i++)
		printf("%s{\"name\":\"%s\",\"ns\":%.0f,\"spread\":%.0f,\"over_baseline\":%.0f}",
		       i > 1 ? "," : "", loads[i].name, loads[i].median - frame, loads[i].spread,
		       loads[i].median - baseline);
	printf("]\n");
}

static int start(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	if (unshare(CLONE_NEWNET) || sched_setaffinity(0, sizeof(set), &set))
		return -errno;
	dp = loom_tc__open_and_load();
	base = baseline__open_and_load();
	return dp && base ? prepare() : -errno;
}

int main(int argc, char **argv)
{
	unsigned int round, i;
	int err = start();

	for (round = 0; !err && round < ROUNDS; round++) {
		for (i = 0; !err && i < LOADS; i++)
			err = measure(&loads[i], round);
	}
	if (err) {
		fprintf(stderr, "bpf_ns: %s\n", strerror(-err));
		return 1;
	}
	summarize();
	if (argc > 1 && !strcmp(argv[1], "--json"))
		print_json();
	else
		print_text();
	loom_tc__destroy(dp);
	baseline__destroy(base);
	return 0;
}
