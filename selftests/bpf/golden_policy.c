// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/* Policy: which flows may be, and what becomes of those that are there when it changes. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "selftests/bpf/golden.h"

enum { EP_A = 1, EP_B = 2, EP_E = 3 };
enum { ID_A = 101, ID_C = 102, ID_NODE2 = 103 };

/* A rule of a policy; no tier: the end of the list. */
struct rule {
	enum loom_pol_peer kind;
	__u32 peer; /* identity, or class */
	enum loom_pol_tier tier;
	enum loom_pol_action action;
	__u16 order, lo, hi;
	__u8 proto;
};

static __u32 next_rule;

static void must(int err)
{
	if (err)
		abort();
}

static void set_flags(const struct target *t, __u32 ep, __u32 in, __u32 out, __u32 flags)
{
	struct loom_epol e = { .policy_in = in, .policy_out = out, .flags = flags };

	must(t->put("loom_epol", &ep, &e));
}

static void know(const struct target *t, __u32 ep, __u32 in, __u32 out)
{
	set_flags(t, ep, in, out, LOOM_EPOL_KNOWN);
}

static void identify(const struct target *t, enum who who, __u32 identity)
{
	for (int family = 4; family <= 6; family += 2) {
		struct loom_ipkey k = { .addr = world_addr(who, family) };

		must(t->put("loom_ident", &k, &identity));
	}
}

static void classify(const struct target *t, enum who who, __u32 class)
{
	for (int family = 4; family <= 6; family += 2) {
		struct loom_cidrkey k = { .prefixlen = 160, .addr = world_addr(who, family) };

		must(t->put("loom_class", &k, &class));
	}
}

static void bump(const struct target *t)
{
	struct loom_state st;
	__u32 zero = 0;

	must(t->get("loom_state", &zero, &st));
	st.policy_gen++;
	must(t->put("loom_state", &zero, &st));
}

/* A world in which all pods are known and nothing is denied. */
static void begin(const struct target *t, enum loom_hook hook)
{
	world_build(t, hook);
	next_rule = 1;
	set_flags(t, 0, 0, 0, LOOM_EPOL_ENFORCED);
	know(t, EP_A, 0, 0);
	know(t, EP_B, 0, 0);
	know(t, EP_E, 0, 0);
	identify(t, A, ID_A);
	identify(t, C, ID_C);
	identify(t, NODE2, ID_NODE2);
}

/* The rules of one set, in their order. */
static void put_set(const struct target *t, __u32 policy, const struct rule *rules, unsigned int n,
		    enum loom_pol_peer kind, __u32 peer, __u16 flags)
{
	struct loom_polkey k = { policy, peer, kind };
	struct loom_polset set = { .first = next_rule, .flags = flags };

	for (unsigned int i = 0; i < n; i++) {
		const struct rule *r = &rules[i];
		struct loom_polrule rule = { r->lo, r->hi ?: 0xffff, r->order, r->proto,
					     r->tier << 4 | r->action };

		if (r->kind != kind || r->peer != peer)
			continue;
		must(t->put("loom_polrule", &next_rule, &rule));
		next_rule++;
		set.count++;
	}
	must(t->put("loom_pol", &k, &set));
}

static void put_policy(const struct target *t, __u32 policy, __u16 flags, const struct rule *rules,
		       unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (rules[i].kind == LOOM_PEER_IDENTITY)
			flags |= LOOM_POLSET_SELECTS;
		if (rules[i].kind == LOOM_PEER_CLASS)
			flags |= LOOM_POLSET_CLASSES;
		if (rules[i].kind != LOOM_PEER_ANY)
			put_set(t, policy, rules, n, rules[i].kind, rules[i].peer, 0);
	}
	put_set(t, policy, rules, n, LOOM_PEER_ANY, 0, flags);
}

#define POLICY(t, number, flags, ...)                                      \
	put_policy(t, number, flags, (const struct rule[]){ __VA_ARGS__ }, \
		   sizeof((const struct rule[]){ __VA_ARGS__ }) / sizeof(struct rule))
#define NOTHING                            \
	{                                  \
		.kind = LOOM_PEER_CLASS, 0 \
	}

/* Reason for which a packet ends, or 0. `in` has no addresses yet. */
static int send_packet(const struct target *t, enum loom_hook hook, enum who src, enum who dst,
		       struct packet in, int family)
{
	struct target_packet bytes;
	struct target_verdict v = {};
	struct loom_event ev;

	in.src = world_addr(src, family);
	in.dst = world_addr(dst, family);
	in.ttl = 64;
	memcpy(in.smac, src == B ? mac_b : mac_a, 6);
	memcpy(in.dmac, src == B ? hmac_b : hmac_a, 6);
	world_set_link(t, hook, src);
	packet_build(&in, &bytes);
	if (hook == LOOM_HOOK_FROM_OVERLAY) {
		bytes.vni = LOOM_DEFAULT_VNI;
		bytes.outer_src = world_addr(NODE2, 4);
	}
	assert_int_equal(t->run(hook, &bytes, &v), 0);
	t->event(&ev);
	return v.reason;
}

static int send_tcp(const struct target *t, enum loom_hook hook, enum who src, __u16 sport,
		    enum who dst, __u16 dport, __u8 flags, int family)
{
	struct packet in = { .proto = IPPROTO_TCP,
			     .tcp_flags = flags,
			     .sport = sport,
			     .dport = dport,
			     .payload = 8 };

	return send_packet(t, hook, src, dst, in, family);
}

#define SYN 0x02
#define ACK 0x10

static int from_pod(const struct target *t, enum who src, enum who dst, __u16 dport, int family)
{
	static __u16 sport = 20000;

	return send_tcp(t, LOOM_HOOK_FROM_POD, src, sport++, dst, dport, SYN, family);
}

static void pods_without_policy_are_open(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	assert_int_equal(from_pod(t, A, B, 80, family), 0);
	assert_int_equal(from_pod(t, A, C, 80, family), 0);
	assert_int_equal(from_pod(t, A, OUT, 80, family), 0);
}

static void a_pod_is_closed_until_its_policy_is_known(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	set_flags(t, EP_B, 0, 0, 0);
	assert_int_equal(from_pod(t, A, B, 80, family), LOOM_DROP_POLICY_PENDING);
	assert_int_equal(from_pod(t, B, C, 80, family), LOOM_DROP_POLICY_PENDING);
	set_flags(t, 0, 0, 0, 0);
	assert_int_equal(from_pod(t, A, B, 80, family), 0);
}

static void a_policy_that_is_not_there_denies(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_B, 77, 0);
	assert_int_equal(from_pod(t, A, B, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, B, C, 80, family), 0);
}

static void rules_are_of_peers_ports_and_protocols(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_B, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_ANY, .tier = LOOM_TIER_NP, .lo = 53, .hi = 53, .proto = 17 },
	       { .kind = LOOM_PEER_ANY, .tier = LOOM_TIER_NP, .lo = 80, .hi = 89, .proto = 6 },
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = ID_A,
		 .tier = LOOM_TIER_NP,
		 .lo = 443,
		 .hi = 443,
		 .proto = 6 },
	       { .kind = LOOM_PEER_CLASS, .peer = 9, .tier = LOOM_TIER_NP });
	assert_int_equal(from_pod(t, A, B, 79, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 80, family), 0);
	assert_int_equal(from_pod(t, A, B, 89, family), 0);
	assert_int_equal(from_pod(t, A, B, 90, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 53, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 443, family), 0);
	assert_int_equal(from_pod(t, E, B, 443, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, E, B, 80, family), 0);
	classify(t, E, 9);
	assert_int_equal(from_pod(t, E, B, 443, family), 0);
}

static void tiers_decide_in_their_order(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_A, 0, 6);
	POLICY(t, 6, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = ID_C,
		 .tier = LOOM_TIER_ADMIN,
		 .order = 1,
		 .action = LOOM_POL_ACCEPT,
		 .lo = 80,
		 .hi = 80,
		 .proto = 6 },
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_ADMIN,
		 .order = 2,
		 .action = LOOM_POL_DENY,
		 .lo = 80,
		 .hi = 82,
		 .proto = 6 },
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = ID_C,
		 .tier = LOOM_TIER_ADMIN,
		 .order = 3,
		 .action = LOOM_POL_ACCEPT },
	       { .kind = LOOM_PEER_ANY, .tier = LOOM_TIER_NP, .lo = 81, .hi = 90, .proto = 6 });
	assert_int_equal(from_pod(t, A, C, 80, family), 0);
	assert_int_equal(from_pod(t, A, C, 81, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, C, 100, family), 0);
	assert_int_equal(from_pod(t, A, B, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 82, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 83, family), 0);
	assert_int_equal(from_pod(t, A, B, 100, family), LOOM_DROP_POLICY);
}

static void pass_leaves_it_to_the_tiers_below(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_A, 0, 7);
	POLICY(t, 7, 0,
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_ADMIN,
		 .order = 1,
		 .action = LOOM_POL_PASS,
		 .lo = 80,
		 .hi = 80,
		 .proto = 6 },
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_ADMIN,
		 .order = 2,
		 .action = LOOM_POL_ACCEPT,
		 .lo = 80,
		 .hi = 81,
		 .proto = 6 },
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_BASELINE,
		 .order = 1,
		 .action = LOOM_POL_DENY,
		 .lo = 80,
		 .hi = 82,
		 .proto = 6 });
	assert_int_equal(from_pod(t, A, B, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 81, family), 0);
	assert_int_equal(from_pod(t, A, B, 82, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, B, 83, family), 0);
}

static void who_is_not_known_might_be_denied(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_A, 0, 8);
	POLICY(t, 8, LOOM_POLSET_STRICT,
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = 999,
		 .tier = LOOM_TIER_ADMIN,
		 .action = LOOM_POL_DENY });
	assert_int_equal(from_pod(t, A, C, 80, family), 0);
	assert_int_equal(from_pod(t, A, D, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, E, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, OUT, 80, family), 0);
}

static void what_is_logged_passes(const struct target *t, int family)
{
	struct loom_counter c = {};
	__u32 index = LOOM_DROP_POLICY_LOGGED * LOOM_HOOK_MAX + LOOM_HOOK_FROM_POD;

	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_A, 0, 8);
	POLICY(t, 8, LOOM_POLSET_ISOLATES | LOOM_POLSET_LOG_ONLY, NOTHING);
	assert_int_equal(from_pod(t, A, B, 80, family), 0);
	assert_int_equal(t->get("loom_metrics", &index, &c), 0);
	assert_int_equal(c.packets, 1);
}

/* B takes flows from A alone. */
static void only_a_may_reach_b(const struct target *t)
{
	know(t, EP_B, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_IDENTITY, .peer = ID_A, .tier = LOOM_TIER_NP });
}

static void from_other_nodes_the_client_is_judged(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_OVERLAY);
	only_a_may_reach_b(t);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_OVERLAY, C, 1, B, 80, SYN, family),
			 LOOM_DROP_POLICY);
	identify(t, C, ID_A);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_OVERLAY, C, 1, B, 80, SYN, family), 0);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_NET, OUT, 1, B, 80, SYN, family),
			 LOOM_DROP_POLICY);
}

static void the_nodes_own_host_may_always(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_HOST);
	only_a_may_reach_b(t);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_HOST, NODE, 1, B, 80, SYN, family), 0);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_HOST, OUT, 2, B, 80, SYN, family),
			 LOOM_DROP_POLICY);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_NET, NODE, 3, B, 80, SYN, family),
			 LOOM_DROP_POLICY);
	set_flags(t, 0, 0, 0, LOOM_EPOL_ENFORCED | LOOM_EPOL_NOT_HOST);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_HOST, NODE, 4, B, 80, SYN, family),
			 LOOM_DROP_POLICY);
}

static void services_are_judged_by_the_backend(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_A, 0, 9);
	POLICY(t, 9, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = ID_C,
		 .tier = LOOM_TIER_NP,
		 .lo = 8080,
		 .hi = 8080,
		 .proto = 6 });
	assert_int_equal(from_pod(t, A, VIP, 81, family), 0);
	assert_int_equal(from_pod(t, A, VIP, 80, family), LOOM_DROP_POLICY);
	assert_int_equal(from_pod(t, A, C, 81, family), LOOM_DROP_POLICY);
	know(t, EP_A, 0, 0);
	know(t, EP_E, 9, 0);
	assert_int_equal(from_pod(t, A, VIP, 80, family), LOOM_DROP_POLICY);
	identify(t, A, ID_C);
	assert_int_equal(from_pod(t, A, VIP, 80, family), 0);
}

/* A packet of the one flow from B:1000 to E:8080. */
static int talk(const struct target *t, enum who src, enum who dst, __u8 flags, int family)
{
	return send_tcp(t, LOOM_HOOK_FROM_POD, src, src == B ? 1000 : 8080, dst,
			dst == B ? 1000 : 8080, flags, family);
}

static void a_change_holds_for_live_flows_both_ways(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	identify(t, B, ID_A);
	know(t, EP_E, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_IDENTITY, .peer = ID_A, .tier = LOOM_TIER_NP });
	assert_int_equal(talk(t, B, E, SYN, family), 0);
	assert_int_equal(talk(t, E, B, SYN | ACK, family), 0);
	assert_int_equal(talk(t, B, E, ACK, family), 0);
	bump(t);
	assert_int_equal(talk(t, E, B, ACK, family), 0);
	identify(t, B, 999);
	assert_int_equal(talk(t, B, E, ACK, family), 0);
	bump(t);
	assert_int_equal(talk(t, E, B, ACK, family), LOOM_DROP_POLICY);
	assert_int_equal(talk(t, B, E, ACK, family), LOOM_DROP_POLICY);
	identify(t, B, ID_A);
	assert_int_equal(talk(t, B, E, ACK, family), 0);
	assert_int_equal(talk(t, E, B, ACK, family), 0);
}

/* B asks VIP:80, which is E:8080. */
static void a_change_holds_for_flows_through_services(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 80, SYN, family), 0);
	assert_int_equal(talk(t, E, B, SYN | ACK, family), 0);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 80, ACK, family), 0);
	bump(t);
	assert_int_equal(talk(t, E, B, ACK, family), 0);
	know(t, EP_E, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES, NOTHING);
	bump(t);
	assert_int_equal(talk(t, E, B, ACK, family), LOOM_DROP_POLICY);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_POD, B, 1000, VIP, 80, ACK, family),
			 LOOM_DROP_POLICY);
	assert_int_equal(send_tcp(t, LOOM_HOOK_FROM_POD, B, 1001, VIP, 80, SYN, family),
			 LOOM_DROP_POLICY);
}

enum chunk { DATA, INIT };

static int send_sctp(const struct target *t, enum loom_hook hook, enum who src, __u16 sport,
		     enum who dst, __u16 dport, enum chunk chunk, int family)
{
	struct packet in = { .proto = IPPROTO_SCTP,
			     .sctp_init = chunk == INIT,
			     .sport = sport,
			     .dport = dport,
			     .payload = 20 };

	return send_packet(t, hook, src, dst, in, family);
}

/* Who asks for an association with B at that port: a pod here, one of another node, the outside. */
static void expect_inits(const struct target *t, __u16 dport, int reason, int family)
{
	static __u16 sport = 30000;

	assert_int_equal(send_sctp(t, LOOM_HOOK_FROM_POD, A, sport++, B, dport, INIT, family),
			 reason);
	assert_int_equal(send_sctp(t, LOOM_HOOK_FROM_OVERLAY, C, sport++, B, dport, INIT, family),
			 reason);
	assert_int_equal(send_sctp(t, LOOM_HOOK_FROM_NET, OUT, sport++, B, dport, INIT, family),
			 reason);
}

static void sctp_has_rules_of_its_own(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	know(t, EP_B, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_NP,
		 .lo = 80,
		 .hi = 81,
		 .proto = IPPROTO_SCTP },
	       { .kind = LOOM_PEER_ANY,
		 .tier = LOOM_TIER_NP,
		 .lo = 90,
		 .hi = 90,
		 .proto = IPPROTO_TCP });
	expect_inits(t, 80, 0, family);
	expect_inits(t, 81, 0, family);
	expect_inits(t, 82, LOOM_DROP_POLICY, family);
	expect_inits(t, 90, LOOM_DROP_POLICY, family);
	assert_int_equal(from_pod(t, A, B, 90, family), 0);
	assert_int_equal(from_pod(t, A, B, 80, family), LOOM_DROP_POLICY);
}

/* A packet of the association from B:1000 to E:8080. */
static int chat(const struct target *t, enum who src, enum chunk chunk, int family)
{
	return src == B ? send_sctp(t, LOOM_HOOK_FROM_POD, B, 1000, E, 8080, chunk, family)
			: send_sctp(t, LOOM_HOOK_FROM_POD, E, 8080, B, 1000, chunk, family);
}

static void an_association_ends_with_its_policy(const struct target *t, int family)
{
	begin(t, LOOM_HOOK_FROM_POD);
	identify(t, B, ID_A);
	know(t, EP_E, 5, 0);
	POLICY(t, 5, LOOM_POLSET_ISOLATES,
	       { .kind = LOOM_PEER_IDENTITY,
		 .peer = ID_A,
		 .tier = LOOM_TIER_NP,
		 .lo = 8080,
		 .hi = 8080,
		 .proto = IPPROTO_SCTP });
	assert_int_equal(chat(t, B, INIT, family), 0);
	assert_int_equal(chat(t, E, DATA, family), 0);
	assert_int_equal(chat(t, B, DATA, family), 0);
	POLICY(t, 6, LOOM_POLSET_ISOLATES, NOTHING);
	know(t, EP_E, 6, 0);
	bump(t);
	assert_int_equal(chat(t, B, DATA, family), LOOM_DROP_POLICY);
	assert_int_equal(chat(t, E, DATA, family), LOOM_DROP_POLICY);
	assert_int_equal(chat(t, B, INIT, family), LOOM_DROP_POLICY);
	know(t, EP_E, 5, 0);
	bump(t);
	assert_int_equal(chat(t, E, DATA, family), 0);
	assert_int_equal(chat(t, B, INIT, family), 0);
	assert_int_equal(chat(t, B, DATA, family), 0);
}

const struct golden_check golden_policy_checks[] = {
	{ "pods without policy are open", pods_without_policy_are_open },
	{ "a pod is closed until its policy is known", a_pod_is_closed_until_its_policy_is_known },
	{ "a policy that is not there denies", a_policy_that_is_not_there_denies },
	{ "rules are of peers, ports and protocols", rules_are_of_peers_ports_and_protocols },
	{ "tiers decide in their order", tiers_decide_in_their_order },
	{ "pass leaves it to the tiers below", pass_leaves_it_to_the_tiers_below },
	{ "who is not known might be denied", who_is_not_known_might_be_denied },
	{ "what is logged passes", what_is_logged_passes },
	{ "from other nodes the client is judged", from_other_nodes_the_client_is_judged },
	{ "the node's own host may always reach its pods", the_nodes_own_host_may_always },
	{ "services are judged by the backend", services_are_judged_by_the_backend },
	{ "a change holds for live flows, both ways", a_change_holds_for_live_flows_both_ways },
	{ "a change holds for flows through services", a_change_holds_for_flows_through_services },
	{ "SCTP has rules of its own", sctp_has_rules_of_its_own },
	{ "an association ends with its policy", an_association_ends_with_its_policy },
};
const unsigned int golden_policy_check_count =
	sizeof(golden_policy_checks) / sizeof(golden_policy_checks[0]);
