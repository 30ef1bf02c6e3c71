// SPDX-License-Identifier: Apache-2.0
/*
 * ns a verdict of policy (policy_judge() of bpf/lib/policy.h) by BPF_PROG_TEST_RUN, with many other
 * policies, identities and prefixes in the maps. A new flow between two pods of a node asks for two
 * of these, one established for none. The frame's own cost is taken off. Medians of 5 rounds that
 * take turns, with the spread. With --json as JSON.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/loom_config.h"
#include "shared/loom_maps.h"
/* After the types of its .rodata. */
#include "selftests/bench/datapath/verdict.skel.h"

#define ROUNDS	   5
#define REPEAT	   500000
#define IDENTITIES 10000
#define CLASSES	   10000
#define OTHERS	   10000 /* policies beside those that are asked for */
#define PORT	   8080

struct ask {
	union loom_addr peer;
	__u32 policy;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

/* What a policy has, and so what a verdict looks at. */
struct load {
	const char *name;
	unsigned int any, identity, class; /* rules of the set; the last one matches */
	double ns[ROUNDS];
	double median, spread;
};

static struct load loads[] = {
	{ .name = "frame alone" },
	{ .name = "rules of any peer: 1", .any = 1 },
	{ .name = "rules of any peer: 16", .any = 16 },
	{ .name = "rules of any peer: 256", .any = LOOM_POLSET_MAX },
	{ .name = "of the peer's identity, 1", .identity = 1 },
	{ .name = "of the peer's class, 1", .class = 1 },
	{ .name = "of all three, 4 each", .any = 4, .identity = 4, .class = 4 },
};
#define LOADS (sizeof(loads) / sizeof(loads[0]))

static struct verdict *bpf;
static __u32 next_rule;

static void must(int err)
{
	if (!err)
		return;
	perror("policy_ns");
	exit(1);
}

static int put(struct bpf_map *map, const void *key, const void *value)
{
	return bpf_map_update_elem(bpf_map__fd(map), key, value, 0);
}

static void put_set(__u32 policy, __u32 kind, __u32 peer, unsigned int n, __u16 flags)
{
	struct loom_polkey k = { policy, peer, kind };
	struct loom_polset set = { .first = next_rule, .count = n, .flags = flags };

	for (unsigned int i = 0; i < n; i++, next_rule++) {
		struct loom_polrule r = { .lo = PORT + n - 1 - i,
					  .hi = PORT + n - 1 - i,
					  .proto = IPPROTO_TCP,
					  .verdict = LOOM_TIER_NP << 4 | LOOM_POL_ACCEPT };

		must(put(bpf->maps.loom_polrule, &next_rule, &r));
	}
	must(put(bpf->maps.loom_pol, &k, &set));
}

static union loom_addr address(__u32 base, __u32 i)
{
	union loom_addr a = {};

	a.w[2] = LOOM_V4_MARK;
	a.w[3] = htonl(base + i);
	return a;
}

static void fill(void)
{
	for (__u32 i = 0; i < IDENTITIES; i++) {
		struct loom_ipkey k = { .addr = address(10u << 24, i) };
		__u32 identity = i + 1;

		must(put(bpf->maps.loom_ident, &k, &identity));
	}
	for (__u32 i = 0; i < CLASSES; i++) {
		struct loom_cidrkey k = { .prefixlen = 32 + 96 + 28,
					  .addr = address(10u << 24, i << 4) };
		__u32 class = i + 1;

		must(put(bpf->maps.loom_class, &k, &class));
	}
	for (__u32 i = 0; i < OTHERS; i++)
		put_set(1000 + i, LOOM_PEER_ANY, 0, 1, 0);
	for (__u32 i = 1; i < LOADS; i++) {
		struct load *l = &loads[i];

		if (l->identity)
			put_set(i, LOOM_PEER_IDENTITY, 5001, l->identity, 0);
		if (l->class)
			put_set(i, LOOM_PEER_CLASS, (5000 >> 4) + 1, l->class, 0);
		put_set(i, LOOM_PEER_ANY, 0, l->any,
			LOOM_POLSET_ISOLATES | (l->identity ? LOOM_POLSET_SELECTS : 0) |
				(l->class ? LOOM_POLSET_CLASSES : 0));
	}
}

static void measure(unsigned int load, unsigned int round)
{
	struct ask ask = { .peer = address(10u << 24, 5000),
			   .policy = load,
			   .port = htons(PORT),
			   .proto = IPPROTO_TCP };
	char packet[64] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = REPEAT);
	__u32 zero = 0;

	must(put(bpf->maps.verdict_ask, &zero, &ask));
	must(bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.verdict), &opts));
	if (opts.retval) {
		fprintf(stderr, "policy_ns: '%s' does not pass\n", loads[load].name);
		exit(1);
	}
	loads[load].ns[round] = opts.duration;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(bool json)
{
	for (unsigned int i = 0; i < LOADS; i++) {
		qsort(loads[i].ns, ROUNDS, sizeof(double), compare);
		loads[i].median = loads[i].ns[ROUNDS / 2];
		loads[i].spread = loads[i].ns[ROUNDS - 1] - loads[i].ns[0];
	}
	printf(json ? "[" : "%-32s %8s %8s\n", "", "ns", "spread");
	for (unsigned int i = 1; i < LOADS; i++)
		printf(json ? "%s{\"name\":\"%s\",\"ns\":%.0f,\"spread\":%.0f}"
			    : "%s%-32s %8.0f %8.0f\n",
		       json && i > 1 ? "," : "", loads[i].name, loads[i].median - loads[0].median,
		       loads[i].spread);
	printf(json ? "]\n" : "");
}

int main(int argc, char **argv)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	must(sched_setaffinity(0, sizeof(set), &set));
	bpf = verdict__open_and_load();
	must(!bpf);
	fill();
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int i = 0; i < LOADS; i++)
			measure(i, round);
	print(argc > 1 && !strcmp(argv[1], "--json"));
	verdict__destroy(bpf);
	return 0;
}
