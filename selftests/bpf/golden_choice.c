// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "selftests/bpf/golden.h"

#define FLOWS 64

/* Runs the packet from `src`, which is what has become of it then. The reason of its drop, or 0. */
static int sent(const struct target *t, enum loom_hook hook, enum who src, struct packet *p)
{
	struct target_verdict v = {};
	struct target_packet bytes;
	struct loom_event ev;

	memcpy(p->smac, mac_b, 6);
	memcpy(p->dmac, hmac_b, 6);
	world_set_link(t, hook, src);
	packet_build(p, &bytes);
	assert_int_equal(t->run(hook, &bytes, &v), 0);
	t->event(&ev);
	assert_int_equal(v.kind == VERDICT_DROP, v.reason != 0);
	if (!v.reason)
		assert_int_equal(packet_parse(&bytes, p), 0);
	return v.reason;
}

/* Whom the first packet of a flow goes to; the packet must not be dropped. */
static union loom_addr backend_of(const struct target *t, enum loom_hook hook, enum who src,
				  __u16 sport, enum who dst, __u16 dport, int family)
{
	struct packet p = { .src = world_addr(src, family),
			    .dst = world_addr(dst, family),
			    .proto = IPPROTO_UDP,
			    .ttl = 64,
			    .sport = sport,
			    .dport = dport,
			    .payload = 8 };

	assert_int_equal(sent(t, hook, src, &p), 0);
	return p.dst;
}

static int same(union loom_addr a, union loom_addr b)
{
	return !memcmp(&a, &b, sizeof(a));
}

/* How many of FLOWS new flows of B to VIP:91 go to `backend`. */
static int flows_to(const struct target *t, union loom_addr backend, int family)
{
	int i, n = 0;

	for (i = 0; i < FLOWS; i++)
		n += same(backend, backend_of(t, LOOM_HOOK_FROM_POD, B, 2000 + i, VIP, 91, family));
	return n;
}

/* The one affinity of B. */
static struct loom_affkey affinity(const struct target *t, int family, struct loom_aff *ret)
{
	struct loom_affkey k = { .client = world_addr(B, family) };

	for (k.service = 1; k.service < 4096; k.service++) {
		if (!t->get("loom_aff", &k, ret))
			return k;
	}
	fail_msg("no affinity");
	return k;
}

static void keeps_its_backend(const struct target *t, int family)
{
	union loom_addr first;

	world_build(t, LOOM_HOOK_FROM_POD);
	first = backend_of(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 91, family);
	assert_int_equal(flows_to(t, first, family), FLOWS);
}

static __u64 tick(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000000000ull + ts.tv_nsec) >> LOOM_TICK_SHIFT;
}

/*
 * Moves B's affinity back by so many ticks before each of FLOWS flows, or ahead of the clock as
 * another CPU may be: how many changed backend. But for those before which the machine stood still,
 * so that the clock has gone on by itself.
 */
static int changes_when_aged(const struct target *t, int family, __s32 ticks)
{
	__u64 before = tick(), now;
	union loom_addr last = backend_of(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 91, family), next;
	struct loom_affkey k;
	struct loom_aff aff;
	int i, n = 0;

	for (i = 0; i < FLOWS; i++, before = now) {
		k = affinity(t, family, &aff);
		aff.seen -= ticks;
		assert_int_equal(t->put("loom_aff", &k, &aff), 0);
		now = tick();
		next = backend_of(t, LOOM_HOOK_FROM_POD, B, 3000 + i, VIP, 91, family);
		n += !same(last, next) && tick() - before <= 1;
		last = next;
	}
	return n;
}

/* 60 s are 55.9 ticks, of which one may pass on the way. */
static void forgets_in_time(const struct target *t, int family)
{
	world_build(t, LOOM_HOOK_FROM_POD);
	assert_int_equal(changes_when_aged(t, family, 53), 0);
	world_build(t, LOOM_HOOK_FROM_POD);
	assert_int_equal(changes_when_aged(t, family, -2), 0);
	world_build(t, LOOM_HOOK_FROM_POD);
	assert_true(changes_when_aged(t, family, 58) > 0);
}

static enum who who_has(union loom_addr a, int family)
{
	return same(a, world_addr(C, family)) ? C : same(a, world_addr(D, family)) ? D : E;
}

static void leaves_what_takes_no_flows(const struct target *t, int family)
{
	union loom_addr first;
	struct loom_affkey k;
	struct loom_aff aff;

	world_build(t, LOOM_HOOK_FROM_POD);
	first = backend_of(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 91, family);
	world_set_backend(t, who_has(first, family), LOOM_BACKEND_GONE | LOOM_BACKEND_PRESENT);
	assert_int_equal(flows_to(t, first, family), 0);
	/* The number has been given to another backend since. */
	world_build(t, LOOM_HOOK_FROM_POD);
	first = backend_of(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 91, family);
	k = affinity(t, family, &aff);
	aff.gen--;
	assert_int_equal(t->put("loom_aff", &k, &aff), 0);
	backend_of(t, LOOM_HOOK_FROM_POD, B, 1001, VIP, 91, family);
	affinity(t, family, &aff);
	assert_int_equal(aff.gen, 7);
}

/* This node is NODE2 from now on. */
static void become_node2(const struct target *t)
{
	struct loom_ep host = { .flags = LOOM_EP_HOST };
	int family;

	for (family = 4; family <= 6; family += 2) {
		struct loom_ipkey k = { .addr = world_addr(NODE2, family) };

		host.ep = LOOM_VIP_NODE_FIRST + (family == 6);
		assert_int_equal(t->put("loom_ep", &k, &host), 0);
	}
}

static void is_the_same_on_all_nodes(const struct target *t, int family)
{
	union loom_addr ext[FLOWS], port[FLOWS];
	int i, elsewhere = 0;

	world_build(t, LOOM_HOOK_FROM_NET);
	for (i = 0; i < FLOWS; i++) {
		ext[i] = backend_of(t, LOOM_HOOK_FROM_NET, OUT, 5000 + i, EXT, 87, family);
		port[i] = backend_of(t, LOOM_HOOK_FROM_NET, OUT, 5000 + i, NODE, 30092, family);
		elsewhere += !same(ext[i], ext[0]);
	}
	assert_in_range(elsewhere, FLOWS / 4, FLOWS);
	world_build(t, LOOM_HOOK_FROM_NET);
	become_node2(t);
	for (i = 0; i < FLOWS; i++) {
		assert_true(same(
			ext[i], backend_of(t, LOOM_HOOK_FROM_NET, OUT, 5000 + i, EXT, 87, family)));
		assert_true(same(port[i], backend_of(t, LOOM_HOOK_FROM_NET, OUT, 5000 + i, NODE2,
						     30092, family)));
	}
}

/* ---- the source port ---- */

/* Flows that need a port of the node's, and whom they reach from it. */
static const struct way {
	enum loom_hook hook;
	enum who src, dst, to;
	__u16 dport, to_port;
	int none; /* reason of the drop when there is none */
} to_service = { .hook = LOOM_HOOK_FROM_NET,
		 .src = OUT,
		 .dst = NODE,
		 .to = C,
		 .dport = 30081,
		 .to_port = 8080,
		 .none = LOOM_DROP_SVC_PORTS },
  to_outside = { .hook = LOOM_HOOK_FROM_POD,
		 .src = B,
		 .dst = OUT,
		 .to = OUT,
		 .dport = 443,
		 .to_port = 443,
		 .none = LOOM_DROP_NAT_PORTS };

/* The port that a SYN gets, or the negative reason. */
static int port_of(const struct target *t, const struct way *w, int family, __u16 sport)
{
	struct packet p = { .src = world_addr(w->src, family),
			    .dst = world_addr(w->dst, family),
			    .proto = IPPROTO_TCP,
			    .tcp_flags = 2,
			    .ttl = 64,
			    .sport = sport,
			    .dport = w->dport };
	int reason = sent(t, w->hook, w->src, &p);

	return reason ? -reason : p.sport;
}

static struct loom_ctkey tcp_key(int family, enum who who, __u16 sport, enum who other, __u16 dport)
{
	union loom_addr a = world_addr(who, family), b = world_addr(other, family);
	int swap = memcmp(&a, &b, sizeof(a)) > 0;

	return (struct loom_ctkey){ .a = swap ? b : a,
				    .b = swap ? a : b,
				    .pa = htons(swap ? dport : sport),
				    .pb = htons(swap ? sport : dport),
				    .proto = IPPROTO_TCP };
}

/* All ports that OUT's flow from port 7 could have are those of its flow from port 8, answered. */
static void take_all_ports(const struct target *t, int family)
{
	struct loom_ctkey front = tcp_key(family, OUT, 7, NODE, 30081), back;
	struct loom_ct v;
	int i, port;

	for (i = 0; i < 32; i++) {
		port = port_of(t, &to_service, family, 7);
		assert_true(port > 0);
		back = tcp_key(family, NODE, port, C, 8080);
		assert_int_equal(t->get("loom_ct_new", &back, &v), 0);
		v.xport2 = htons(8);
		v.flags |= LOOM_CT_REPLIED;
		assert_int_equal(t->put("loom_ct_new", &back, &v), 0);
		assert_int_equal(t->del("loom_ct_new", &front), 0);
	}
}

static void takes_ports_of_half_open_flows_only(const struct target *t, int family)
{
	struct loom_ctkey other = tcp_key(family, OUT, 8, NODE, 30081);
	struct loom_ct v;

	world_build(t, LOOM_HOOK_FROM_NET);
	assert_true(port_of(t, &to_service, family, 8) > 0);
	assert_int_equal(t->get("loom_ct_new", &other, &v), 0);
	take_all_ports(t, family);
	v.tcp_a = v.tcp_b = 0x12; /* its client has gone on: it is to be confirmed */
	assert_int_equal(t->put("loom_ct_new", &other, &v), 0);
	assert_int_equal(port_of(t, &to_service, family, 7), -LOOM_DROP_SVC_PORTS);
	v.tcp_a = v.tcp_b = 0x02;
	assert_int_equal(t->put("loom_ct_new", &other, &v), 0);
	assert_true(port_of(t, &to_service, family, 7) > 0);
	assert_int_not_equal(t->get("loom_ct_new", &other, &v), 0);
}

/* All ports that the flow from port 7 could have are those of other connections, in this state. */
static void ports_are_of(const struct target *t, const struct way *w, int family, __u32 flags,
			 int idle)
{
	struct loom_ctkey front = tcp_key(family, w->src, 7, w->dst, w->dport), back;
	struct loom_ct v;
	int i, port;

	world_build(t, w->hook);
	for (i = 0; i < 32; i++) {
		port = port_of(t, w, family, 7);
		assert_true(port > 0);
		back = tcp_key(family, NODE, port, w->to, w->to_port);
		assert_int_equal(t->get("loom_ct_new", &back, &v), 0);
		assert_int_equal(t->del("loom_ct_new", &back), 0);
		assert_int_equal(t->del("loom_ct_new", &front), 0);
		/* The port of its client, of a service's flow and of a masqueraded one. */
		*(w->none == LOOM_DROP_SVC_PORTS ? &v.xport2 : &v.xport) = htons(8);
		v.flags |= LOOM_CT_REPLIED | flags;
		v.seen -= idle;
		assert_int_equal(t->put("loom_ct", &back, &v), 0);
	}
}

static void takes_ports_of_ended_connections(const struct target *t, int family)
{
	const struct way *const ways[] = { &to_service, &to_outside };
	struct loom_ctkey back;
	struct loom_ct v;
	int i, port;

	for (i = 0; i < 2; i++) {
		ports_are_of(t, ways[i], family, 0, 100);
		assert_int_equal(port_of(t, ways[i], family, 7), -ways[i]->none);
		/* Seen just now, however slow the machine is. */
		ports_are_of(t, ways[i], family, LOOM_CT_CLOSING, -100);
		assert_int_equal(port_of(t, ways[i], family, 7), -ways[i]->none);
		ports_are_of(t, ways[i], family, LOOM_CT_CLOSING, 4);
		port = port_of(t, ways[i], family, 7);
		assert_true(port > 0);
		back = tcp_key(family, NODE, port, ways[i]->to, ways[i]->to_port);
		assert_int_not_equal(t->get("loom_ct", &back, &v), 0);
		assert_int_equal(t->get("loom_ct_new", &back, &v), 0);
	}
}

const struct golden_check golden_checks[] = {
	{ "a client with affinity keeps its backend", keeps_its_backend },
	{ "affinity ends when its time is over", forgets_in_time },
	{ "affinity ends with its backend", leaves_what_takes_no_flows },
	{ "all nodes choose the same backend for a client outside", is_the_same_on_all_nodes },
	{ "where all ports are taken, a half-open flow gives up its own",
	  takes_ports_of_half_open_flows_only },
	{ "where all ports are taken, a connection that has ended gives up its own",
	  takes_ports_of_ended_connections },
};
const unsigned int golden_check_count = sizeof(golden_checks) / sizeof(golden_checks[0]);
