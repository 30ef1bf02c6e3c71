// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Policy: what is judged anew although its tuple is known, and what a denial tells. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "selftests/bpf/golden_steps.h"

enum { EP_A = 1, EP_B = 2, EP_E = 3 };
enum { CLOSED = 7 }; /* a policy that isolates and accepts nothing */

static void must(int err)
{
	if (err)
		abort();
}

static void set_policies(const struct target *t, __u32 ep, __u32 in, __u32 out)
{
	struct loom_epol e = { .policy_in = in, .policy_out = out, .flags = LOOM_EPOL_KNOWN };

	must(t->put("loom_epol", &ep, &e));
}

static void bump(const struct target *t)
{
	struct loom_state st;
	__u32 zero = 0;

	must(t->get("loom_state", &zero, &st));
	st.policy_gen++;
	must(t->put("loom_state", &zero, &st));
}

/* All pods are known and open; CLOSED is there for those that get it. */
static void begin(const struct target *t, enum loom_hook hook)
{
	struct loom_epol enforced = { .flags = LOOM_EPOL_ENFORCED };
	struct loom_polkey any = { .policy = CLOSED, .kind = LOOM_PEER_ANY };
	struct loom_polset none = { .flags = LOOM_POLSET_ISOLATES };
	__u32 zero = 0;

	world_build(t, hook);
	must(t->put("loom_pol", &any, &none));
	must(t->put("loom_epol", &zero, &enforced));
	set_policies(t, EP_A, 0, 0);
	set_policies(t, EP_B, 0, 0);
	set_policies(t, EP_E, 0, 0);
}

static __u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static enum verdict_kind last_kind;
static struct target_packet last_bytes; /* as it left */

/* What becomes of one packet: 0 or the reason for which it ends. */
static int send_step(const struct target *t, int family, const struct golden_step *s)
{
	struct packet in = { .src = world_addr(s->src, family),
			     .dst = world_addr(s->dst, family),
			     .proto = s->proto,
			     .tcp_flags = s->tcp_flags,
			     .icmp_type = s->icmp_type,
			     .shape = s->shape,
			     .ttl = 64,
			     .sport = s->sport,
			     .dport = s->dport,
			     .payload = 8,
			     .quote_src = world_addr(s->quote_src, family),
			     .quote_dst = world_addr(s->quote_dst, family),
			     .quote_proto = s->quote_proto,
			     .quote_sport = s->quote_sport,
			     .quote_dport = s->quote_dport };
	struct target_verdict v = {};

	memcpy(in.smac, s->src == B ? mac_b : mac_a, 6);
	memcpy(in.dmac, s->src == B ? hmac_b : hmac_a, 6);
	world_set_link(t, s->hook, s->src);
	packet_build(&in, &last_bytes);
	if (s->hook == LOOM_HOOK_FROM_OVERLAY) {
		last_bytes.vni = LOOM_DEFAULT_VNI;
		last_bytes.outer_src = world_addr(NODE2, 4);
	}
	assert_int_equal(t->run(s->hook, &last_bytes, &v), 0);
	last_kind = v.kind;
	return v.reason;
}

/* The port, or identifier, that masquerade gives the flow which the packet begins. */
static __u16 masqueraded(const struct target *t, int family, const struct golden_step *s)
{
	struct packet out;

	assert_int_equal(send_step(t, family, s), 0);
	assert_int_equal(packet_parse(&last_bytes, &out), 0);
	return out.sport;
}

#define SEND(...)	  send_step(t, family, &(const struct golden_step){ __VA_ARGS__ })
#define PASSES(...)	  assert_int_equal(SEND(__VA_ARGS__), 0)
#define ENDS(reason, ...) assert_int_equal(SEND(__VA_ARGS__), LOOM_DROP_##reason)

/* ---- an ended connection's ports ---- */

/* B's connection to port 80 of E, which E has ended; with `third` B's ACK before. */
static void end_by_server(const struct target *t, int family, int third)
{
	PASSES(TCP(POD, B, 1000, E, 80, SYN));
	PASSES(TCP(POD, E, 80, B, 1000, SYNACK));
	if (third)
		PASSES(TCP(POD, B, 1000, E, 80, ACK));
	PASSES(TCP(POD, E, 80, B, 1000, FINACK));
}

static void a_syn_from_the_servers_side_is_judged(const struct target *t, int family)
{
	for (int third = 0; third <= 1; third++) {
		begin(t, LOOM_HOOK_FROM_POD);
		set_policies(t, EP_B, CLOSED, 0);
		end_by_server(t, family, third);
		ENDS(POLICY, TCP(POD, E, 80, B, 1000, SYN));
		/* Nor has it spoilt anything for who may. */
		PASSES(TCP(POD, B, 1000, E, 80, SYN));
		PASSES(TCP(POD, E, 80, B, 1000, SYNACK));
		set_policies(t, EP_B, 0, 0);
		set_policies(t, EP_E, 0, CLOSED);
		bump(t);
		PASSES(TCP(POD, E, 80, B, 1000, FINACK));
		ENDS(POLICY, TCP(POD, E, 80, B, 1000, SYN));
	}
}

static void a_syn_from_the_servers_side_that_may_begins_a_flow(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	end_by_server(t, family, 1);
	PASSES(TCP(POD, E, 80, B, 1000, SYN));
	PASSES(TCP(POD, B, 1000, E, 80, SYNACK));
	PASSES(TCP(POD, E, 80, B, 1000, ACK));
	set_policies(t, EP_B, CLOSED, 0);
	bump(t);
	ENDS(POLICY, TCP(POD, B, 1000, E, 80, ACK));
}

/* The generation has not moved on for it: policies of B changed while none of its flows was live.
 */
static void a_connection_on_the_same_ports_is_judged_as_it_begins(const struct target *t,
								  int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	end_by_server(t, family, 1);
	PASSES(TCP(POD, B, 1000, E, 80, FINACK));
	set_policies(t, EP_E, CLOSED, 0);
	ENDS(POLICY, TCP(POD, B, 1000, E, 80, SYN));
}

static void nobody_begins_by_the_address_of_masquerade(const struct target *t, int family)
{
	__u16 port;

	begin(t, LOOM_HOOK_FROM_POD);
	port = masqueraded(t, family,
			   &(const struct golden_step){ TCP(POD, B, 1000, OUT, 80, SYN) });
	PASSES(TCP(NET, OUT, 80, NODE, port, SYNACK));
	PASSES(TCP(POD, B, 1000, OUT, 80, ACK));
	PASSES(TCP(NET, OUT, 80, NODE, port, FINACK));
	ENDS(CT_INVALID, TCP(NET, OUT, 80, NODE, port, SYN));
	PASSES(TCP(POD, B, 1000, OUT, 80, SYN));
	PASSES(TCP(NET, OUT, 80, NODE, port, SYNACK));
}

/* ---- changes while a packet is on its way ---- */

struct change {
	const struct target *t;
	int asked;
};

static void close_b(void *arg)
{
	struct change *c = arg;

	set_policies(c->t, EP_B, CLOSED, 0);
	bump(c->t);
	c->asked++;
}

/*
 * The policy changes between the look at it and the note of which generation the verdict is. Where
 * nothing can come in between, this is what any change is.
 */
static void a_verdict_is_never_newer_than_the_look(const struct target *t, int family)
{
	struct loom_polkey any = { .policy = CLOSED + 1, .kind = LOOM_PEER_ANY };
	struct loom_polset open = {};
	struct change c = { .t = t };

	begin(t, LOOM_HOOK_FROM_POD);
	must(t->put("loom_pol", &any, &open));
	set_policies(t, EP_B, CLOSED + 1, 0);
	PASSES(UDP(POD, E, 1000, B, 80));
	PASSES(UDP(POD, B, 80, E, 1000));
	bump(t);
	if (t->meanwhile)
		t->meanwhile("loom_pol", close_b, &c);
	PASSES(UDP(POD, E, 1000, B, 80));
	if (!t->meanwhile)
		close_b(&c);
	assert_int_equal(c.asked, 1);
	ENDS(POLICY, UDP(POD, E, 1000, B, 80));
	ENDS(POLICY, UDP(POD, B, 80, E, 1000));
}

struct move {
	const struct target *t;
	int family, asked;
};

/* C is behind NODE3 from now on, and a packet on another CPU asks for its way at once. */
static void move_c(void *arg)
{
	struct loom_remote there = { .node = 3 };
	struct move *m = arg;
	const struct target *t = m->t;
	int family = m->family;
	struct loom_ipkey c = { .addr = world_addr(C, family) };

	must(t->put("loom_ip", &c, &there));
	world_bump_route_gen(t);
	PASSES(UDP(POD, B, 1000, C, 53));
	assert_int_equal(last_kind, VERDICT_NEIGH);
	m->asked++;
}

static void a_way_is_never_newer_than_the_look(const struct target *t, int family)
{
	struct move m = { .t = t, .family = family };

	world_build(t, LOOM_HOOK_FROM_POD);
	PASSES(UDP(POD, B, 1000, C, 53));
	PASSES(UDP(OVL, C, 53, B, 1000));
	world_bump_route_gen(t);
	if (t->meanwhile)
		t->meanwhile("loom_ip", move_c, &m);
	PASSES(UDP(POD, B, 1000, C, 53));
	assert_int_equal(last_kind, VERDICT_TUNNEL);
	if (!t->meanwhile)
		move_c(&m);
	assert_int_equal(m.asked, 1);
	PASSES(UDP(POD, B, 1000, C, 53));
	assert_int_equal(last_kind, VERDICT_NEIGH);
}

static void lose_c(void *arg)
{
	struct loom_gc_args args = { .mode = LOOM_GC_SERVICES };
	struct move *m = arg;

	world_set_backend(m->t, C, LOOM_BACKEND_PRESENT | LOOM_BACKEND_GONE);
	must(m->t->gc(&args));
	assert_int_equal(args.marked, 2);
	m->asked++;
}

static void a_connection_ends_although_a_packet_asks_for_its_way(const struct target *t, int family)
{
	struct move m = { .t = t, .family = family };

	world_build(t, LOOM_HOOK_FROM_POD);
	PASSES(TCP(POD, B, 1000, VIP, 81, SYN));
	PASSES(TCP(OVL, C, 8080, B, 1000, SYNACK));
	PASSES(TCP(POD, B, 1000, VIP, 81, ACK));
	world_bump_route_gen(t);
	if (t->meanwhile)
		t->meanwhile("loom_ip", lose_c, &m);
	PASSES(TCP(POD, B, 1000, VIP, 81, ACK));
	if (!t->meanwhile)
		lose_c(&m);
	assert_int_equal(m.asked, 1);
	(void)SEND(TCP(POD, B, 1000, VIP, 81, ACK));
	assert_int_equal(last_kind, VERDICT_REDIRECT); /* its reset */
}

/* ---- who asks by ICMP ---- */

/* A message that is neither echo nor error. */
#define TIMESTAMP(h, s, d) .hook = h, .proto = IPPROTO_ICMP, .icmp_type = 13, .src = s, .dst = d
#define PING_ERROR(h, s, d, qs, qd, id) \
	QUOTING(h, s, d, PACKET_ERROR_TTL, qs, id, qd, 0), .quote_proto = IPPROTO_ICMP

static void who_answers_pings_may_not_ask_with_their_number(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	set_policies(t, EP_B, CLOSED, 0);
	PASSES(ECHO(POD, B, E, 7));
	ENDS(POLICY, ECHO(POD, E, B, 7));
	PASSES(REPLY(POD, E, B, 7));
	ENDS(POLICY, ECHO(POD, E, B, 7));
	ENDS(CT_INVALID, REPLY(POD, B, E, 7));
	/* Not by any other message of ICMP either. */
	ENDS(CT_INVALID, TIMESTAMP(POD, E, B));
	PASSES(ECHO(POD, B, E, 0));
	ENDS(CT_INVALID, TIMESTAMP(POD, E, B));
	PASSES(ECHO(POD, B, E, 7));
}

static void two_who_ask_each_other_are_both_answered(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	PASSES(ECHO(POD, B, E, 7));
	PASSES(ECHO(POD, E, B, 7));
	PASSES(REPLY(POD, E, B, 7));
	PASSES(REPLY(POD, B, E, 7));
	set_policies(t, EP_B, CLOSED, 0);
	bump(t);
	PASSES(ECHO(POD, B, E, 7));
	PASSES(REPLY(POD, E, B, 7));
	ENDS(POLICY, ECHO(POD, E, B, 7));
	ENDS(POLICY, REPLY(POD, B, E, 7));
}

static void fragments_of_pings_are_of_who_asks(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	set_policies(t, EP_B, CLOSED, 0);
	PASSES(ECHO(POD, B, E, 7), .shape = PACKET_FIRST_FRAG);
	PASSES(ECHO(POD, B, E, 0), .shape = PACKET_LATER_FRAG);
	PASSES(REPLY(POD, E, B, 7), .shape = PACKET_FIRST_FRAG);
	PASSES(REPLY(POD, E, B, 0), .shape = PACKET_LATER_FRAG);
	ENDS(POLICY, ECHO(POD, E, B, 7), .shape = PACKET_FIRST_FRAG);
}

static void errors_about_pings_go_to_who_asks(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	ENDS(ICMP_UNRELATED, PING_ERROR(POD, E, B, B, E, 7));
	PASSES(ECHO(POD, B, E, 7));
	PASSES(PING_ERROR(POD, E, B, B, E, 7));
	ENDS(ICMP_UNRELATED, PING_ERROR(POD, B, E, E, B, 7));
	ENDS(ICMP_UNRELATED, PING_ERROR(POD, E, B, B, E, 8));
	set_policies(t, EP_B, 0, CLOSED);
	bump(t);
	ENDS(POLICY, PING_ERROR(POD, E, B, B, E, 7));
}

static void masqueraded_pings_are_answered_and_nobody_pings_back(const struct target *t, int family)
{
	__u16 id;

	begin(t, LOOM_HOOK_FROM_POD);
	id = masqueraded(t, family, &(const struct golden_step){ ECHO(POD, B, OUT, 7) });
	PASSES(REPLY(NET, OUT, NODE, id));
	PASSES(ECHO(POD, B, OUT, 7));
	PASSES(PING_ERROR(NET, PEERED, NODE, NODE, OUT, id));
	assert_int_equal(last_kind, VERDICT_PEER);
	/* That is for the node itself. */
	PASSES(ECHO(NET, OUT, NODE, id));
	assert_int_equal(last_kind, VERDICT_STACK);
}

/* ---- what a denial tells ---- */

static void told(const struct target *t, int family, __u32 judged, int ingress, enum who peer,
		 __u16 port, __u8 proto)
{
	union loom_addr want = world_addr(peer, family);
	struct loom_event ev;

	assert_int_equal(t->event(&ev), 0);
	assert_int_equal(ev.judged, judged);
	assert_int_equal(ev.ingress, ingress);
	assert_memory_equal(&ev.peer, &want, sizeof(want));
	assert_int_equal(ntohs(ev.port), port);
	assert_int_equal(ev.flow_proto, proto);
}

static void a_denial_tells_pod_peer_direction_and_port(const struct target *t, int family)
{
	struct loom_event ev;

	begin(t, LOOM_HOOK_FROM_POD);
	PASSES(TCP(POD, B, 1000, E, 80, SYN));
	set_policies(t, EP_B, 0, CLOSED);
	bump(t);
	ENDS(POLICY, TCP(POD, B, 1001, E, 81, SYN));
	told(t, family, EP_B, 0, E, 81, IPPROTO_TCP);
	/* The answer is of a flow that may be no more. */
	ENDS(POLICY, TCP(POD, E, 80, B, 1000, SYNACK));
	told(t, family, EP_B, 0, E, 80, IPPROTO_TCP);
	ENDS(POLICY, ERROR(POD, E, B, B, 1000, E, 80), .quote_proto = IPPROTO_TCP);
	told(t, family, EP_B, 0, E, 80, IPPROTO_TCP);
	ENDS(POLICY, TCP(POD, B, 1002, VIP, 80, SYN));
	told(t, family, EP_B, 0, E, 8080, IPPROTO_TCP);
	set_policies(t, EP_B, 0, 0);
	set_policies(t, EP_E, CLOSED, 0);
	ENDS(POLICY, TCP(POD, B, 1003, VIP, 80, SYN));
	told(t, family, EP_E, 1, B, 8080, IPPROTO_TCP);
	ENDS(POLICY, UDP(OVL, C, 1004, E, 53));
	told(t, family, EP_E, 1, C, 53, IPPROTO_UDP);
	ENDS(NO_ROUTE, UDP(OVL, C, 1004, D, 53));
	assert_int_equal(t->event(&ev), 0);
	assert_int_equal(ev.judged, 0);
	assert_int_equal(ev.port, 0);
}

/* ---- what is counted by name ---- */

struct denial {
	__u32 ep;
	int ingress;
	enum who peer;
	__u16 port;
	__u8 proto;
};

/* Packets that were denied so; 0: there is no entry. */
static __u64 denied(const struct target *t, int family, __u8 reason, const struct denial *want)
{
	struct loom_deniedkey k = { .peer = world_addr(want->peer, family),
				    .ep = want->ep,
				    .port = htons(want->port),
				    .proto = want->proto,
				    .ingress = want->ingress,
				    .reason = reason };
	struct loom_denied d = {};

	if (t->get("loom_denied", &k, &d))
		return 0;
	assert_in_range(d.packets, 1, 100);
	assert_in_range(now_ns() - d.last_ns, 0, 10 * 1000000000ull);
	return d.packets;
}

#define COUNTED(reason, ...) (int)denied(t, family, reason, &(const struct denial){ __VA_ARGS__ })
#define DENIED(...)	     COUNTED(LOOM_DROP_POLICY, __VA_ARGS__)

static void expect_sums(const struct target *t, __u32 ep, __u64 in, __u64 out)
{
	struct loom_epstats s;

	assert_int_equal(t->get("loom_epstats", &ep, &s), 0);
	assert_int_equal(s.deny_in_packets, in);
	assert_int_equal(s.deny_out_packets, out);
}

static void denials_are_counted_by_name(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	set_policies(t, EP_E, CLOSED, 0);
	/* Each from another port, or sent again. */
	ENDS(POLICY, TCP(POD, B, 1000, E, 80, SYN));
	ENDS(POLICY, TCP(POD, B, 1000, E, 80, SYN));
	ENDS(POLICY, TCP(POD, B, 1001, E, 80, SYN));
	assert_int_equal(DENIED(EP_E, 1, B, 80, IPPROTO_TCP), 3);
	ENDS(POLICY, TCP(POD, B, 1000, E, 81, SYN));
	ENDS(POLICY, UDP(POD, B, 1000, E, 80));
	ENDS(POLICY, UDP(OVL, C, 1000, E, 80));
	ENDS(POLICY, ECHO(POD, B, E, 7));
	ENDS(POLICY, ECHO(POD, B, E, 8));
	assert_int_equal(DENIED(EP_E, 1, B, 80, IPPROTO_TCP), 3);
	assert_int_equal(DENIED(EP_E, 1, B, 81, IPPROTO_TCP), 1);
	assert_int_equal(DENIED(EP_E, 1, B, 80, IPPROTO_UDP), 1);
	assert_int_equal(DENIED(EP_E, 1, C, 80, IPPROTO_UDP), 1);
	assert_int_equal(DENIED(EP_E, 1, B, 0, family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6), 2);
	expect_sums(t, EP_E, 8, 0);
	expect_sums(t, EP_B, 0, 0);
}

static void denials_are_of_the_flow_and_not_of_the_packet(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	PASSES(TCP(POD, B, 1000, E, 80, SYN));
	set_policies(t, EP_B, 0, CLOSED);
	bump(t);
	ENDS(POLICY, TCP(POD, E, 80, B, 1000, SYNACK));
	ENDS(POLICY, TCP(POD, B, 1000, E, 80, SYN));
	ENDS(POLICY, ERROR(POD, E, B, B, 1000, E, 80), .quote_proto = IPPROTO_TCP);
	assert_int_equal(DENIED(EP_B, 0, E, 80, IPPROTO_TCP), 3);
	ENDS(POLICY, TCP(POD, B, 1002, VIP, 80, SYN));
	assert_int_equal(DENIED(EP_B, 0, E, 8080, IPPROTO_TCP), 1);
	assert_int_equal(DENIED(EP_B, 0, VIP, 80, IPPROTO_TCP), 0);
	expect_sums(t, EP_B, 0, 4);
	expect_sums(t, EP_E, 0, 0);
}

static void what_passes_is_not_counted_as_denied(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	set_policies(t, EP_B, CLOSED, 0);
	PASSES(TCP(POD, B, 1000, E, 80, SYN));
	PASSES(TCP(POD, E, 80, B, 1000, SYNACK));
	ENDS(NO_ROUTE, UDP(OVL, C, 1004, D, 53));
	for (__u8 reason = 1; reason < LOOM_DROP_MAX; reason++) {
		assert_int_equal(COUNTED(reason, EP_E, 1, B, 80, IPPROTO_TCP), 0);
		assert_int_equal(COUNTED(reason, EP_B, 0, E, 80, IPPROTO_TCP), 0);
		assert_int_equal(COUNTED(reason, EP_B, 1, E, 1000, IPPROTO_TCP), 0);
	}
	expect_sums(t, EP_B, 0, 0);
	expect_sums(t, EP_E, 0, 0);
}

static void what_is_logged_or_waits_is_told_apart(const struct target *t, int family)
{
	struct loom_polkey any = { .policy = CLOSED + 1, .kind = LOOM_PEER_ANY };
	struct loom_polset log = { .flags = LOOM_POLSET_ISOLATES | LOOM_POLSET_LOG_ONLY };
	struct loom_epol unknown = {};
	__u32 ep = EP_E;

	begin(t, LOOM_HOOK_FROM_POD);
	must(t->put("loom_pol", &any, &log));
	set_policies(t, EP_E, CLOSED + 1, 0);
	PASSES(TCP(POD, B, 1000, E, 80, SYN));
	PASSES(TCP(POD, E, 80, B, 1000, SYNACK));
	PASSES(TCP(POD, B, 1000, E, 80, ACK));
	assert_int_equal(COUNTED(LOOM_DROP_POLICY_LOGGED, EP_E, 1, B, 80, IPPROTO_TCP), 1);
	expect_sums(t, EP_E, 0, 0);
	must(t->put("loom_epol", &ep, &unknown));
	ENDS(POLICY_PENDING, TCP(POD, B, 1001, E, 80, SYN));
	assert_int_equal(COUNTED(LOOM_DROP_POLICY_PENDING, EP_E, 1, B, 80, IPPROTO_TCP), 1);
	assert_int_equal(COUNTED(LOOM_DROP_POLICY_LOGGED, EP_E, 1, B, 80, IPPROTO_TCP), 1);
	assert_int_equal(DENIED(EP_E, 1, B, 80, IPPROTO_TCP), 0);
	expect_sums(t, EP_E, 1, 0);
}

const struct golden_check golden_judge_checks[] = {
	{ "a SYN from the server's side is judged", a_syn_from_the_servers_side_is_judged },
	{ "a SYN from the server's side that may begins a flow of its own",
	  a_syn_from_the_servers_side_that_may_begins_a_flow },
	{ "a connection on the ports of an ended one is judged as it begins",
	  a_connection_on_the_same_ports_is_judged_as_it_begins },
	{ "nobody outside begins a connection by the address of masquerade",
	  nobody_begins_by_the_address_of_masquerade },
	{ "a verdict is never newer than the look at the policy",
	  a_verdict_is_never_newer_than_the_look },
	{ "a way is never newer than the look at the routes", a_way_is_never_newer_than_the_look },
	{ "a connection whose backend goes ends although a packet asks for its way just then",
	  a_connection_ends_although_a_packet_asks_for_its_way },
	{ "who answers pings may not ask with their number",
	  who_answers_pings_may_not_ask_with_their_number },
	{ "two who ask each other with one number are both answered",
	  two_who_ask_each_other_are_both_answered },
	{ "fragments of pings are of who asks", fragments_of_pings_are_of_who_asks },
	{ "errors about pings go to who asks", errors_about_pings_go_to_who_asks },
	{ "a denial tells pod, peer, direction and port",
	  a_denial_tells_pod_peer_direction_and_port },
	{ "denials are counted by pod, peer and port, and by no source port",
	  denials_are_counted_by_name },
	{ "denials are counted of the flow, and not of the packet",
	  denials_are_of_the_flow_and_not_of_the_packet },
	{ "what passes is not counted as denied", what_passes_is_not_counted_as_denied },
	{ "what is logged, or waits for its policy, is counted apart",
	  what_is_logged_or_waits_is_told_apart },
	{ "masqueraded pings are answered, and nobody pings back",
	  masqueraded_pings_are_answered_and_nobody_pings_back },
};
const unsigned int golden_judge_check_count =
	sizeof(golden_judge_checks) / sizeof(golden_judge_checks[0]);
