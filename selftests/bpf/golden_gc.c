// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* What the collector makes of entries that conversations alone can't bring about. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "selftests/bpf/golden.h"

/* A datagram; the packet must not be dropped. */
static void send_udp(const struct target *t, int family, enum loom_hook hook, enum who src,
		     __u16 sport, enum who dst, __u16 dport)
{
	struct packet in = { .src = world_addr(src, family),
			     .dst = world_addr(dst, family),
			     .proto = IPPROTO_UDP,
			     .ttl = 64,
			     .sport = sport,
			     .dport = dport,
			     .payload = 8 };
	struct target_verdict v = {};
	struct target_packet bytes;

	memcpy(in.smac, mac_b, 6);
	memcpy(in.dmac, hmac_b, 6);
	world_set_link(t, hook, src);
	packet_build(&in, &bytes);
	if (hook == LOOM_HOOK_FROM_OVERLAY) {
		bytes.vni = LOOM_DEFAULT_VNI;
		bytes.outer_src = world_addr(NODE2, 4);
	}
	assert_int_equal(t->run(hook, &bytes, &v), 0);
	if (v.kind == VERDICT_DROP)
		fail_msg("dropped from hook %d: reason %d", hook, v.reason);
}

/* An established flow of B through VIP:81 to C. */
static void build_flow(const struct target *t, int family)
{
	world_build(t, LOOM_HOOK_FROM_POD);
	send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, VIP, 81);
	send_udp(t, family, LOOM_HOOK_FROM_OVERLAY, C, 8080, B, 1000);
}

/* B's addresses are lower than the others'. */
static struct loom_ctkey key_of(int family, enum who other, __u16 port)
{
	union loom_addr b = world_addr(B, family), o = world_addr(other, family);
	int swap = memcmp(&b, &o, sizeof(b)) > 0;

	return (struct loom_ctkey){ .a = swap ? o : b,
				    .b = swap ? b : o,
				    .pa = htons(swap ? port : 1000),
				    .pb = htons(swap ? 1000 : port),
				    .proto = IPPROTO_UDP };
}

/* That half of the flow has been idle for so much longer. */
static void age(const struct target *t, int family, enum who other, __u16 port, __u32 seconds)
{
	struct loom_ctkey k = key_of(family, other, port);
	struct loom_ct v;

	assert_int_equal(t->get("loom_ct", &k, &v), 0);
	v.seen -= seconds;
	assert_int_equal(t->put("loom_ct", &k, &v), 0);
}

static __u32 collect(const struct target *t, __u32 mode)
{
	struct loom_gc_args args = { .mode = mode };

	assert_int_equal(t->gc(&args), 0);
	assert_int_equal(args.error, 0);
	assert_int_equal(args.marked, 0);
	return args.deleted + args.new_deleted;
}

static void keeps_what_half_is_busy(const struct target *t, int family)
{
	build_flow(t, family);
	age(t, family, VIP, 81, 500);
	assert_int_equal(collect(t, LOOM_GC_IDLE), 0);
	build_flow(t, family);
	age(t, family, C, 8080, 500);
	assert_int_equal(collect(t, LOOM_GC_IDLE), 0);
	age(t, family, VIP, 81, 500);
	assert_int_equal(collect(t, LOOM_GC_IDLE), 2);
}

static void takes_a_half_alone(const struct target *t, int family)
{
	struct loom_ctkey k = key_of(family, C, 8080);

	build_flow(t, family);
	assert_int_equal(t->del("loom_ct", &k), 0);
	assert_int_equal(collect(t, LOOM_GC_IDLE), 0);
	age(t, family, VIP, 81, 500);
	assert_int_equal(collect(t, LOOM_GC_IDLE), 1);
}

/* Number of the backend that the flow's entry names. */
static __u32 backend_of_flow(const struct target *t, int family, struct loom_backend *ret)
{
	struct loom_ctkey k = key_of(family, VIP, 81);
	struct loom_ct v;

	assert_int_equal(t->get("loom_ct", &k, &v), 0);
	assert_int_equal(t->get("loom_backend", &v.backend, ret), 0);
	return v.backend;
}

static void ends_flows_of_a_number_given_away(const struct target *t, int family)
{
	struct loom_backend b;
	__u32 number;

	build_flow(t, family);
	assert_int_equal(collect(t, LOOM_GC_SERVICES), 0);
	number = backend_of_flow(t, family, &b);
	b.addr = world_addr(D, family);
	assert_int_equal(t->put("loom_backend", &number, &b), 0);
	assert_int_equal(collect(t, LOOM_GC_SERVICES), 2);
	build_flow(t, family);
	number = backend_of_flow(t, family, &b);
	b.port = htons(8081);
	assert_int_equal(t->put("loom_backend", &number, &b), 0);
	assert_int_equal(collect(t, LOOM_GC_SERVICES), 2);
}

static void ends_flows_older_than_their_service(const struct target *t, int family)
{
	struct loom_svckey k = { .addr = world_addr(C, family),
				 .port = htons(53),
				 .proto = IPPROTO_UDP };
	struct loom_svc svc = { .service = 4000 };

	world_build(t, LOOM_HOOK_FROM_POD);
	send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, C, 53);
	send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, D, 53);
	send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, VIP, 80);
	assert_int_equal(collect(t, LOOM_GC_SERVICES), 0);
	assert_int_equal(t->put("loom_svc", &k, &svc), 0);
	assert_int_equal(collect(t, LOOM_GC_SERVICES), 1);
	assert_int_equal(t->del("loom_svc", &k), 0);
}

/* A frontend on every address of every node, at port 30053. */
static void put_node_front(const struct target *t, int family, __u32 flags)
{
	struct loom_svckey k = { .port = htons(30053), .proto = IPPROTO_UDP };
	struct loom_svc svc = { .service = 4000, .flags = flags };
	__u32 word = LOOM_PORTS_FRONT * LOOM_PORTS_WORDS + 30053 / 64;
	__u64 bits = flags ? 1ull << 30053 % 64 : 0;

	if (family == 4)
		k.addr.w[2] = LOOM_V4_MARK;
	assert_int_equal(t->put("loom_ports", &word, &bits), 0);
	assert_int_equal(flags ? t->put("loom_svc", &k, &svc) : t->del("loom_svc", &k), 0);
}

static void ends_flows_older_than_their_nodeport(const struct target *t, int family)
{
	static const struct {
		__u32 flags, ended;
	} cases[] = { { LOOM_SVC_NODEPORT, 2 }, { LOOM_SVC_HOSTPORT, 1 } };
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_build(t, LOOM_HOOK_FROM_POD);
		send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, NODE, 30053);
		send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, NODE2, 30053);
		send_udp(t, family, LOOM_HOOK_FROM_POD, B, 1000, C, 30053);
		assert_int_equal(collect(t, LOOM_GC_SERVICES), 0);
		put_node_front(t, family, cases[i].flags);
		assert_int_equal(collect(t, LOOM_GC_SERVICES), cases[i].ended);
		put_node_front(t, family, 0);
	}
}

const struct golden_check golden_gc_checks[] = {
	{ "the collector keeps a service's flow while one of its halves is busy",
	  keeps_what_half_is_busy },
	{ "the collector takes a half whose other one is lost", takes_a_half_alone },
	{ "flows end when their backend's number stands for another one",
	  ends_flows_of_a_number_given_away },
	{ "datagrams that pass a service by, because they are older, are to find it",
	  ends_flows_older_than_their_service },
	{ "and so are those that pass a NodePort or hostPort by",
	  ends_flows_older_than_their_nodeport },
};
const unsigned int golden_gc_check_count = sizeof(golden_gc_checks) / sizeof(golden_gc_checks[0]);
