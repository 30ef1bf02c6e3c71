// SPDX-License-Identifier: Apache-2.0
/* What explain says must be what the loaded programs do, and it must leave no trace of itself. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "bpf/lib/pkt.h"
#include "lib/bpf/names.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/ctl/fake_agent.h"
#include "selftests/unit/explain/tests.h"
#include "selftests/unit/explain/world.h"

static const struct fake_answer answers[] = {
	{ "/v1/nodes", 200,
	  "{\"nodes\":[{\"id\":1,\"name\":\"n1\",\"thisNode\":true,\"addresses\":[\"192.0.2.1\","
	  "\"2001:db8::1\"]},{\"id\":2,\"name\":\"n2\",\"addresses\":[\"192.0.2.2\"]}]}" },
	{ "/v1/pods", 200,
	  "{\"pods\":[{\"namespace\":\"default\",\"name\":\"a\",\"ips\":[\"10.1.1.11\","
	  "\"fd10:1::11\"],\"ep\":1},{\"namespace\":\"default\",\"name\":\"b\\u001b[31m\",\"ips\":"
	  "[\"10.1.1.12\",\"fd10:1::12\"],\"ep\":2}]}" },
	{ "/v1/services", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\",\"ports\":[{\"name\":\"http\","
	  "\"protocol\":\"TCP\",\"port\":81,\"number\":2,\"frontends\":[{\"kind\":\"ClusterIP\","
	  "\"address\":\"10.96.0.10\",\"port\":81}],\"backends\":[{\"address\":\"10.1.2.21\","
	  "\"port\":8080,\"pod\":\"default/c\"}]}]},{},7]" },
	{ "/v1/services/default/web", 200,
	  "[{\"namespace\":\"default\",\"name\":\"web\",\"ports\":[{\"name\":\"http\","
	  "\"protocol\":\"TCP\",\"port\":81,\"number\":2,\"frontends\":[{\"kind\":\"ClusterIP\","
	  "\"address\":\"10.96.0.10\",\"port\":81}]}]}]" },
	{ "/v1/policies/default/a", 200,
	  "[{\"endpoint\":1,\"reason\":\"closed: what\",\"egress\":{\"policy\":7,"
	  "\"policies\":[\"clusternetworkpolicy x\",\"networkpolicy default/p\","
	  "\"networkpolicy default/q\"],\"rules\":[{\"tier\":\"Admin\",\"order\":0,\"text\":"
	  "\"clusternetworkpolicy x, rule 0: pass on\"},{\"tier\":\"NetworkPolicy\",\"order\":0,"
	  "\"text\":\"networkpolicy default/p, rule 0: allow TCP 80\"},7,{\"tier\":"
	  "\"NetworkPolicy\",\"order\":1,\"text\":\"networkpolicy default/q, rule 0: allow TCP "
	  "90\"},"
	  "{\"tier\":\"Baseline\",\"order\":0,\"text\":\"clusternetworkpolicy z, rule 0: deny TCP "
	  "91\"}]}},{},7]" },
	{ "/v1/explain/where?address=10.1.2.22", 200, "{\"name\":\"default/far\"}" },
	{ "/v1/explain/where?pod=default/far", 200, "{\"addresses\":[\"10.1.2.22\"]}" },
	{ "/v1/explain", 200,
	  "{\"node\":\"n2\",\"verdict\":\"denied\",\"text\":\"denied by policy\",\"reason\":"
	  "\"policy\",\"because\":\"networkpolicy default/far isolates the pod\",\"steps\":["
	  "{\"step\":\"ingress\",\"text\":\"of\\u001b[31m\"}]}" },
	{},
};
static struct fake_agent agent;

static void must(int err)
{
	if (err)
		abort();
}

/* ---- the same as the programs ---- */

/* Word of the reason that explain gives; "" when the packet goes on. */
static const char *said_reason(const struct said *s)
{
	return json_object_get_string(json_field(s->result, "reason")) ?: "";
}

static void compare(const struct flow *f)
{
	struct target_verdict v;
	int reason = node_send(f, &v);
	struct said s = node_explain_flow(f);
	const char *want = reason > 0 ? loom_drop_name(reason) : "";
	bool sent = !reason && (v.kind == VERDICT_TUNNEL || v.kind == VERDICT_NEIGH);
	const char *hook =
		json_object_get_string(json_field(said_step_json(&s, "in", false), "hook"));
	int64_t after = json_object_get_int64(json_path(
		json_object_array_get_idx(json_field(s.result, "halves"), 0), "after.id"));

	if (reason < 0 || !s.result || strcmp(said_reason(&s), want) != 0 ||
	    s.code != (reason ? 1 : 0) || strcmp(hook ?: "", loom_hook_name(f->hook)) != 0 ||
	    (sent && v.node && after != v.node))
		fail_msg("%d -> %d, port %u, protocol %u, IPv%d by %s: the program says '%s', node "
			 "%u; explain %d:\n%s%s",
			 f->from, f->to, f->port, f->proto, f->family, loom_hook_name(f->hook),
			 want, v.node, s.code, s.out, s.complaint);
	said_release(&s);
}

static const struct {
	enum loom_hook hook;
	enum who from;
} senders[] = {
	{ LOOM_HOOK_FROM_POD, A }, { LOOM_HOOK_FROM_POD, B },	  { LOOM_HOOK_FROM_NET, OUT },
	{ LOOM_HOOK_FROM_NET, D }, { LOOM_HOOK_FROM_OVERLAY, C },
};
static const struct {
	enum who to;
	uint16_t port;
} places[] = {
	{ B, 0 },	 { B, 80 },	  { E, 80 },	   { C, 0 },	    { C, 80 },
	{ D, 443 },	 { NODE, 0 },	  { NODE2, 22 },   { NODE3, 22 },   { OUT, 0 },
	{ OUT, 443 },	 { PEERED, 443 }, { HOLE, 80 },	   { VIP, 80 },	    { VIP, 81 },
	{ VIP, 82 },	 { VIP, 83 },	  { VIP, 84 },	   { VIP, 86 },	    { VIP, 87 },
	{ VIP, 88 },	 { VIP, 89 },	  { VIP, 90 },	   { VIP2, 80 },    { EXT, 80 },
	{ EXT, 81 },	 { EXT, 82 },	  { EXT, 83 },	   { EXT, 84 },	    { GROUP, 80 },
	{ NODE, 30080 }, { NODE, 30081 }, { NODE, 30084 }, { NODE, 30087 },
};

/*
 * What comes from other nodes for others is none of this node's: explain says so at once. And what
 * the programs get comes in by the link of A always, so nobody else can be sent there.
 */
static bool comes_by(const struct flow *f)
{
	if (f->to == VIP && f->port == 89 && f->from != A)
		return false;
	return f->hook == LOOM_HOOK_FROM_POD || f->from == OUT || f->to == B || f->to == E ||
	       (f->to == NODE && f->hook == LOOM_HOOK_FROM_OVERLAY);
}

static void each_flow(void (*fn)(const struct flow *f))
{
	for (size_t i = 0; i < ARRAY_SIZE(senders); i++)
		for (size_t j = 0; j < ARRAY_SIZE(places); j++)
			for (int k = 0; k < 4; k++) {
				struct flow f = { .hook = senders[i].hook,
						  .from = senders[i].from,
						  .to = places[j].to,
						  .port = places[j].port,
						  .proto = k & 1 ? IPPROTO_UDP : IPPROTO_TCP,
						  .family = k & 2 ? 6 : 4 };

				if (f.from != f.to && comes_by(&f))
					fn(&f);
			}
}

static void explain_agrees_with_the_programs(void **state)
{
	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	each_flow(compare);
}

/* ---- policy ---- */

static uint32_t random_state;

static uint32_t dice(uint32_t n)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % n;
}

static uint32_t put_set(struct loom_polkey k, uint16_t flags, uint32_t first)
{
	struct loom_polset set = { .first = first, .count = dice(4), .flags = flags };

	for (uint32_t i = 0; i < set.count; i++) {
		uint32_t tier = dice(LOOM_TIERS), index = first + i;
		struct loom_polrule rule = {
			.lo = dice(2) ? 80 : 8080,
			.hi = dice(2) ? 8080 : 65535,
			.order = dice(6),
			.proto = dice(3) ? dice(2) ? IPPROTO_TCP : IPPROTO_UDP : 0,
			.verdict = tier << 4 | (tier == LOOM_TIER_NP ? 0 : dice(3)),
		};

		must(target_bpf.put("loom_polrule", &index, &rule));
	}
	must(target_bpf.put("loom_pol", &k, &set));
	return first + set.count;
}

/* Policies 1 to 6 with sets for any peer, identities 1 and 2, and class 1. */
static void put_policies(void)
{
	uint32_t rule = 1;

	for (uint32_t policy = 1; policy <= 6; policy++) {
		rule = put_set((struct loom_polkey){ policy, 0, LOOM_PEER_ANY }, dice(32), rule);
		for (uint32_t id = 1; id <= 2; id++)
			rule = put_set((struct loom_polkey){ policy, id, LOOM_PEER_IDENTITY }, 0,
				       rule);
		rule = put_set((struct loom_polkey){ policy, 1, LOOM_PEER_CLASS }, 0, rule);
	}
}

static void put_ident(enum who who, uint32_t identity)
{
	struct loom_ipkey k = { .addr = world_addr(who, 4) };

	if (identity)
		must(target_bpf.put("loom_ident", &k, &identity));
}

static void put_epol(uint32_t ep, struct loom_epol epol)
{
	must(target_bpf.put("loom_epol", &ep, &epol));
}

static void random_policies(void)
{
	struct loom_cidrkey class = { .prefixlen = 32 + 96 + 24, .addr = world_addr(OUT, 4) };
	uint32_t one = 1;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	put_policies();
	put_epol(0, (struct loom_epol){ .flags = LOOM_EPOL_ENFORCED });
	for (uint32_t ep = 1; ep <= 3; ep++)
		put_epol(ep, (struct loom_epol){ dice(8), dice(8), dice(3),
						 dice(8) ? LOOM_EPOL_KNOWN : 0 });
	put_ident(A, dice(3));
	put_ident(B, dice(3));
	put_ident(C, dice(3));
	class.addr.b[15] = 0;
	if (dice(2))
		must(target_bpf.put("loom_class", &class, &one));
}

/* The last judgement's word must be the run's. */
static void check_policy_steps(const struct flow *f)
{
	struct said s = node_explain_flow(f);
	struct json_object *step =
		said_step_json(&s, "ingress", true) ?: said_step_json(&s, "egress", true);
	const char *word = json_object_get_string(json_field(step, "verdict")) ?: "none";
	bool denied = strncmp(said_reason(&s), "policy", 6) == 0;

	if ((strcmp(word, "denied") == 0) != denied)
		fail_msg("the step says %s, the run '%s':\n%s", word, said_reason(&s), s.out);
	said_release(&s);
}

static void policy_is_told_as_it_was_judged(void **state)
{
	static const struct flow flows[] = {
		{ LOOM_HOOK_FROM_POD, A, B, 80, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_POD, B, E, 8080, IPPROTO_UDP, 4 },
		{ LOOM_HOOK_FROM_POD, A, C, 443, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_POD, A, OUT, 0, 0, 4 },
		{ LOOM_HOOK_FROM_POD, B, D, 80, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_POD, B, VIP, 80, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_POD, A, VIP, 89, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_OVERLAY, C, B, 8080, IPPROTO_TCP, 4 },
		{ LOOM_HOOK_FROM_NET, OUT, B, 80, IPPROTO_UDP, 4 },
		{ LOOM_HOOK_FROM_NET, OUT, NODE, 30080, IPPROTO_TCP, 4 },
	};

	for (random_state = 1; random_state < 60; random_state++) {
		uint32_t seed = random_state;

		random_policies();
		for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
			compare(&flows[i]);
			check_policy_steps(&flows[i]);
		}
		random_state = seed;
	}
}

/* ---- in words ---- */

static void assert_says(const struct said *s, const char *what)
{
	if (!strstr(s->out, what) && !strstr(s->complaint, what))
		fail_msg("'%s' is missing in:\n%s%s", what, s->out, s->complaint);
}

static void a_denial_names_pod_direction_and_policy(void **state)
{
	struct loom_polkey any = { 7, 0, LOOM_PEER_ANY };
	struct loom_polset set = { .first = 5, .count = 1, .flags = LOOM_POLSET_ISOLATES };
	struct loom_polrule rule = { 80, 90, 3, IPPROTO_TCP, LOOM_TIER_NP << 4 };
	uint32_t five = 5;
	struct said s;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	put_epol(0, (struct loom_epol){ .flags = LOOM_EPOL_ENFORCED });
	put_epol(1, (struct loom_epol){ .flags = LOOM_EPOL_KNOWN });
	put_epol(2, (struct loom_epol){ .policy_in = 7, .flags = LOOM_EPOL_KNOWN });
	must(target_bpf.put("loom_pol", &any, &set));
	must(target_bpf.put("loom_polrule", &five, &rule));

	s = node_explain(agent.socket, false, 0, "default/a", "10.1.1.12:443");
	assert_int_equal(s.code, 1);
	assert_says(&s, "egress   of 10.1.1.11 (default/a), to 10.1.1.12:443 (default/b?[31m): "
			"accepted: no policy selects the pod");
	assert_says(&s, "ingress  of 10.1.1.12:443 (default/b?[31m), from 10.1.1.11 (default/a): "
			"policy 7 denies it: a NetworkPolicy isolates the pod, and no rule allows");
	assert_says(&s, "denied on n1: denied by policy: a NetworkPolicy isolates the pod, and no "
			"rule allows this\n");
	said_release(&s);

	s = node_explain(agent.socket, false, 0, "default/a", "10.1.1.12:85");
	assert_int_equal(s.code, 0);
	assert_says(&s, "policy 7 accepts it: rule 5 (tier NetworkPolicy, order 3) for any peer, "
			"ports 80-90/TCP");
	assert_says(&s, "allowed on n1\n");
	said_release(&s);
}

/* A policy 7 or 8 for what A sends: a NetworkPolicy's rule of order 1, one of Baseline of order 0.
 */
static void put_egress(uint32_t number, uint16_t flags)
{
	struct loom_polkey any = { number, 0, LOOM_PEER_ANY };
	struct loom_polset set = { .first = 5, .count = 2, .flags = flags };
	struct loom_polrule rule = { 90, 90, 1, IPPROTO_TCP, LOOM_TIER_NP << 4 };
	struct loom_polrule base = { 91, 91, 0, IPPROTO_TCP,
				     LOOM_TIER_BASELINE << 4 | LOOM_POL_DENY };

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	put_epol(0, (struct loom_epol){ .flags = LOOM_EPOL_ENFORCED });
	put_epol(1, (struct loom_epol){ .policy_out = number, .flags = LOOM_EPOL_KNOWN });
	put_epol(2, (struct loom_epol){ .flags = LOOM_EPOL_KNOWN });
	must(target_bpf.put("loom_pol", &any, &set));
	must(target_bpf.put("loom_polrule", &(uint32_t){ 5 }, &rule));
	must(target_bpf.put("loom_polrule", &(uint32_t){ 6 }, &base));
}

static void the_objects_behind_a_number_are_named(void **state)
{
	static const struct {
		uint32_t number;
		uint16_t flags;
		const char *to, *what;
	} cases[] = {
		{ 7, LOOM_POLSET_ISOLATES, "10.1.1.12:90",
		  "policy 7 accepts it: networkpolicy default/q, rule 0: allow TCP 90 (tier "
		  "NetworkPolicy, order 1, for any peer, port 90/TCP)" },
		{ 7, LOOM_POLSET_ISOLATES, "10.1.1.12:91",
		  "policy 7 denies it: networkpolicy default/p, networkpolicy default/q isolate "
		  "the "
		  "pod, and no rule allows this" },
		{ 7, 0, "10.1.1.12:91",
		  "policy 7 denies it: clusternetworkpolicy z, rule 0: deny TCP 91 (tier "
		  "Baseline" },
		{ 7, 0, "10.1.1.12:92", "policy 7 accepts it: no rule is about this" },
		{ 7, LOOM_POLSET_ISOLATES | LOOM_POLSET_LOG_ONLY, "10.1.1.12:92",
		  "policy 7 denies it, log only, so it passes: networkpolicy default/p" },
		/* The agent has another number by now. */
		{ 8, LOOM_POLSET_ISOLATES, "10.1.1.12:90",
		  "policy 8 accepts it: rule 5 (tier NetworkPolicy, order 1)" },
	};
	struct said s;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_egress(cases[i].number, cases[i].flags);
		s = node_explain(agent.socket, false, 0, "default/a", cases[i].to);
		assert_says(&s, cases[i].what);
		said_release(&s);
	}
	put_egress(7, LOOM_POLSET_SELECTS | LOOM_POLSET_STRICT);
	s = node_explain(agent.socket, false, 0, "default/a", "10.1.2.21:90");
	assert_int_equal(s.code, 1);
	assert_says(&s, "denies it: the peer is of the cluster, but nobody knows who");
	said_release(&s);
	put_epol(1, (struct loom_epol){});
	s = node_explain(agent.socket, false, 0, "default/a", "10.1.1.12:90");
	assert_int_equal(s.code, 1);
	assert_says(&s, "denied: the pod's policy is not known yet: closed: what");
	said_release(&s);
}

static void a_service_is_told_with_backend_and_node(void **state)
{
	struct said s;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	s = node_explain(agent.socket, false, 0, "default/a", "10.96.0.10:81");
	assert_int_equal(s.code, 0);
	assert_says(&s, "backend 10.1.2.21:8080 (default/c), its only backend");
	assert_says(&s, "to 10.1.2.21:8080 (default/c) on node n2, through the tunnel");
	assert_says(&s, "on node n2: netloom explain 10.1.1.11 10.1.2.21:8080/TCP");
	said_release(&s);
}

static void what_can_t_be_told_is_said(void **state)
{
	static const struct {
		const char *from, *to, *what;
		int code;
	} cases[] = {
		{ "default/a", "default/nobody", "is not on this node, and the agent", 2 },
		{ "n9", "default/a", "there is no node 'n9'", 2 },
		{ "default/a", "fd10:1::12", "'default/a'", 0 },
		{ "192.0.2.2", "fd10:1::12", "no addresses of the same family", 2 },
		{ "10.1.1.99", "default/a", "no pod of this node has the address 10.1.1.99", 2 },
		{ "10.1.77.1", "default/a", "but nobody's", 2 },
		{ "10.1.2.21", "10.1.3.31:80", "neither sender nor destination are here", 3 },
		{ "default/a", "default/a:80", "it is for the sender itself", 0 },
	};

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct said s = node_explain(agent.socket, false, 0, cases[i].from, cases[i].to);

		if (cases[i].code)
			assert_says(&s, cases[i].what);
		if (s.code != cases[i].code)
			fail_msg("%s -> %s: %d\n%s%s", cases[i].from, cases[i].to, s.code, s.out,
				 s.complaint);
		said_release(&s);
	}
}

/* The node before knows this one's range, and not which of its addresses have a pod. */
static void what_the_node_before_sends_here_comes_by(void **state)
{
	static const enum who senders_there[] = { C, NODE2 };

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	for (size_t i = 0; i < ARRAY_SIZE(senders_there); i++) {
		struct flow f = {
			LOOM_HOOK_FROM_OVERLAY, senders_there[i], HOLE, 80, IPPROTO_TCP, 4
		};
		struct target_verdict v;
		_json_ *unasked = node_explain_half(&f, false);
		_json_ *half = node_explain_half(&f, true);
		int reason = node_send(&f, &v);

		assert_string_equal(json_object_get_string(json_field(unasked, "verdict")),
				    "unseen");
		assert_int_equal(reason, LOOM_DROP_NO_ROUTE);
		assert_string_equal(json_object_get_string(json_field(half, "verdict")), "dropped");
		assert_string_equal(json_object_get_string(json_field(half, "reason")), "no_route");
	}
}

static void names_need_the_agent_and_addresses_do_not(void **state)
{
	struct said s = node_explain("/nonexistent/s", false, 0, "default/a", "10.1.1.12");

	assert_int_equal(s.code, 3);
	assert_says(&s, "addresses work without it");
	said_release(&s);
	s = node_explain("/nonexistent/s", false, 0, "10.1.1.11", "10.1.1.12");
	assert_int_equal(s.code, 0);
	assert_says(&s, "allowed on this node");
	said_release(&s);
}

static void the_other_node_is_asked_through_the_agent(void **state)
{
	struct said s;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	s = node_explain_way(agent.socket, false, "default/a", "default/far:80");
	assert_int_equal(s.code, 1);
	assert_says(&s, "on n1:\n 1  in ");
	assert_says(&s, "\n\non n2:\n 4  ingress  of?[31m\n");
	assert_says(&s, "to 10.1.2.22:80 (default/far) on node n2");
	assert_says(&s, "\ndenied on n2: denied by policy: networkpolicy default/far isolates");
	said_release(&s);
	s = node_explain_way(agent.socket, true, "default/a", "10.1.2.22:80");
	assert_int_equal(json_object_array_length(json_field(s.result, "halves")), 2);
	assert_string_equal(json_object_get_string(json_field(s.result, "verdict")), "denied");
	assert_string_equal(json_object_get_string(json_path(s.result, "to.asked")), "10.1.2.22");
	said_release(&s);
}

static void what_nobody_can_be_asked_is_not_known(void **state)
{
	struct said s;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	s = node_explain_way("/nonexistent/s", false, "10.1.1.11", "10.1.2.22:80");
	assert_int_equal(s.code, 3);
	assert_says(&s, "not known: allowed on this node\n");
	assert_says(&s, "the name of node 2 is not known");
	assert_says(&s, "on node 2: netloom explain 10.1.1.11 10.1.2.22:80/TCP");
	said_release(&s);
	s = node_explain_way("/nonexistent/s", false, "10.1.1.11", "10.1.1.12:80");
	assert_int_equal(s.code, 0);
	said_release(&s);
}

/* ---- without a trace ---- */

static int count_entries(const char *map)
{
	return map_count(target_bpf_map_fd(map));
}

static void nothing_is_written(void **state)
{
	static const char *const maps[] = { "loom_ct", "loom_ct_new", "loom_aff", "loom_frag" };
	struct flow f = { LOOM_HOOK_FROM_POD, A, VIP, 91, IPPROTO_TCP, 4 };
	struct loom_state before, after;
	uint32_t zero = 0;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	must(target_bpf.get("loom_state", &zero, &before));
	for (int i = 0; i < 20; i++) {
		struct said s = node_explain_flow(&f);

		assert_int_equal(s.code, 0);
		f.to = i % 2 ? VIP : OUT;
		said_release(&s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		assert_int_equal(count_entries(maps[i]), 0);
	must(target_bpf.get("loom_state", &zero, &after));
	assert_memory_equal(&before, &after, sizeof(before));
	f.to = VIP;
	compare(&f);
	assert_int_not_equal(count_entries("loom_ct_new"), 0);
}

static void a_flow_that_there_is_can_be_asked_for(void **state)
{
	struct flow f = { LOOM_HOOK_FROM_POD, A, VIP, 81, IPPROTO_TCP, 4 };
	struct target_verdict v;
	struct loom_ctkey key;
	char sport[8];
	struct said s;
	int port;

	world_build(&target_bpf, LOOM_HOOK_FROM_POD);
	assert_int_equal(node_send(&f, &v), 0);
	assert_int_equal(count_entries("loom_ct_new"), 2);
	must(bpf_map_get_next_key(target_bpf_map_fd("loom_ct_new"), NULL, &key));
	port = ntohs(ntohs(key.pa) == 81 || ntohs(key.pa) == 8080 ? key.pb : key.pa);
	snprintf(sport, sizeof(sport), "%d", port);

	s = node_explain(agent.socket, true, port, "default/a", "10.96.0.10:81");
	assert_int_equal(s.code, 0);
	assert_non_null(strstr(said_step(&s, "flow"), "known, not answered yet"));
	assert_non_null(strstr(said_step(&s, "flow"), sport));
	assert_non_null(strstr(said_step(&s, "service"), "10.1.2.21:8080"));
	said_release(&s);

	s = node_explain(agent.socket, true, 1, "default/a", "10.1.1.12:81");
	assert_int_equal(s.code, 0);
	assert_non_null(strstr(said_step(&s, "flow"), "a new one"));
	said_release(&s);
}

static int setup(void **state)
{
	int err = node_start();

	if (err) {
		print_error("needs root: %s\n", strerror(-err));
		return -1;
	}
	return fake_agent_start(&agent, answers);
}

static int teardown(void **state)
{
	fake_agent_stop(&agent);
	node_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_read_as_written),
		cmocka_unit_test(what_is_read_is_fetched_once_and_recorded),
		cmocka_unit_test(what_is_written_stays_in_the_overlay),
		cmocka_unit_test(a_map_that_can_t_be_read_is_an_error_and_not_empty),
		cmocka_unit_test(native_maps_come_back_as_they_were),
		cmocka_unit_test(explain_agrees_with_the_programs),
		cmocka_unit_test(policy_is_told_as_it_was_judged),
		cmocka_unit_test(a_denial_names_pod_direction_and_policy),
		cmocka_unit_test(the_objects_behind_a_number_are_named),
		cmocka_unit_test(a_service_is_told_with_backend_and_node),
		cmocka_unit_test(what_can_t_be_told_is_said),
		cmocka_unit_test(what_the_node_before_sends_here_comes_by),
		cmocka_unit_test(names_need_the_agent_and_addresses_do_not),
		cmocka_unit_test(the_other_node_is_asked_through_the_agent),
		cmocka_unit_test(what_nobody_can_be_asked_is_not_known),
		cmocka_unit_test(nothing_is_written),
		cmocka_unit_test(a_flow_that_there_is_can_be_asked_for),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
