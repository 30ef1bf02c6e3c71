// SPDX-License-Identifier: Apache-2.0
/*
 * Objects as large as the API server takes them, made to keep the agent's loop: what one of them
 * costs grows with its size and with the peers that there are, not with both at once.
 */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "agent/modules/policy/reach.h"
#include "agent/modules/policy/rules.h"
#include "lib/json/json.h"

#define LARGEST (1500 * 1024) /* of etcd */
/* CPU time. Where it is quadratic it is more than twice that, else a tenth. */
#define BOUND_S 1.5

static struct {
	FILE *f;
	char *text;
	size_t len;
} spec;

static void begin(const char *head)
{
	spec.f = open_memstream(&spec.text, &spec.len);
	fputs(head, spec.f);
}

static void end(const char *tail)
{
	fputs(tail, spec.f);
	fclose(spec.f);
}

static double seconds_since(clock_t start)
{
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void assert_is_cheap(const char *name)
{
	clock_t start;

	apply(name, spec.text);
	free(spec.text);
	start = clock();
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_true(seconds_since(start) < BOUND_S);
}

/* Each with an identity of its own, on other nodes. */
static void add_remote_pods(int n, const char *ports)
{
	char key[32];

	apply("looks", "{\"podSelector\":{\"matchLabels\":{\"app\":\"nobody\"}}}");
	for (int i = 0; i < n; i++) {
		_json_ *pod = json_of("{\"metadata\":{\"labels\":{\"app\":\"r%d\"}},\"spec\":{"
				      "\"containers\":[{\"ports\":[%s]}]},\"status\":{\"podIP\":"
				      "\"10.100.%d.%d\"}}",
				      i, ports, i / 200, i % 200 + 1);

		snprintf(key, sizeof(key), "x/r%d", i);
		assert_int_equal(world_set_pod(c.world, key, pod, NULL), 0);
	}
	cluster_settle(&c);
}

static void all_ports_one_by_one(void **state)
{
	const union loom_addr r7 = ipv4("10.100.0.8"), outside = ipv4("192.0.2.1");

	add_pod("b", "b");
	add_remote_pods(1500, "");
	begin("{\"podSelector\":{},\"ingress\":[{\"from\":[{\"namespaceSelector\":{}}],\"ports\":"
	      "[{\"port\":7,\"protocol\":\"UDP\"}");
	for (int i = 65535; i; i--)
		if (i != 443)
			fprintf(spec.f, ",{\"port\":%d}", i);
	fputs("]}", spec.f);
	/* What one pod may, the next may not. */
	for (int i = 0; i < 1500; i++)
		fprintf(spec.f,
			",{\"from\":[{\"podSelector\":{\"matchLabels\":{\"app\":\"r%d\"}}}],"
			"\"ports\":[{\"port\":%d,\"protocol\":\"SCTP\"}]}",
			i, i + 1);
	end("]}");
	assert_is_cheap("ports");
	assert_true(cluster_ingress(&c, "x/b", &r7, TCP, 1));
	assert_true(cluster_ingress(&c, "x/b", &r7, TCP, 65535));
	assert_true(cluster_ingress(&c, "x/b", &r7, IPPROTO_UDP, 7));
	assert_false(cluster_ingress(&c, "x/b", &r7, TCP, 443));
	assert_true(cluster_ingress(&c, "x/b", &r7, IPPROTO_SCTP, 8));
	assert_false(cluster_ingress(&c, "x/b", &r7, IPPROTO_SCTP, 9));
	assert_false(cluster_ingress(&c, "x/b", &r7, IPPROTO_UDP, 8));
	assert_false(cluster_ingress(&c, "x/b", &outside, TCP, 1));
}

static void a_rule_for_each_port(void **state)
{
	const union loom_addr r7 = ipv4("10.100.0.8"), r8 = ipv4("10.100.0.9");

	add_pod("b", "b");
	add_remote_pods(2000, "");
	begin("{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{"
	      "\"app\":\"r7\"}}}],\"ports\":[{\"port\":7,\"protocol\":\"UDP\"}]}");
	for (int i = 1; ftell(spec.f) < LARGEST; i++)
		fprintf(spec.f,
			",{\"from\":[{\"namespaceSelector\":{}}],\"ports\":[{\"port\":%d}]}", i);
	end("]}");
	assert_is_cheap("rules");
	assert_true(cluster_ingress(&c, "x/b", &r7, TCP, 20000));
	assert_true(cluster_ingress(&c, "x/b", &r8, TCP, 20000));
	assert_false(cluster_ingress(&c, "x/b", &r8, TCP, 65535));
	assert_true(cluster_ingress(&c, "x/b", &r7, IPPROTO_UDP, 7));
	assert_false(cluster_ingress(&c, "x/b", &r8, IPPROTO_UDP, 7));
}

static void blocks_around_pods_with_named_ports(void **state)
{
	const union loom_addr r7 = ipv4("10.100.0.8"), r8 = ipv4("10.100.0.9");

	add_pod("b", "b");
	add_remote_pods(4000, "{\"name\":\"http\",\"containerPort\":80}");
	begin("{\"podSelector\":{},\"policyTypes\":[\"Egress\"],\"egress\":[{\"ports\":[{\"port\":"
	      "\"http\"}],\"to\":[{\"ipBlock\":{\"cidr\":\"10.100.0.8/32\"}}");
	for (int i = 0; i < POLICY_MAX_PREFIXES - 1; i++)
		fprintf(spec.f, ",{\"ipBlock\":{\"cidr\":\"11.%d.%d.0/24\"}}", i / 256, i % 256);
	end("]}]}");
	assert_is_cheap("blocks");
	assert_true(cluster_egress(&c, "x/b", &r7, TCP, 80));
	assert_false(cluster_egress(&c, "x/b", &r7, TCP, 81));
	assert_false(cluster_egress(&c, "x/b", &r8, TCP, 80));
}

static void prefixes_within_what_thousands_of_rules_name(void **state)
{
	const union loom_addr in = ipv4("11.2.7.7"), out = ipv4("12.2.7.7");

	add_pod("b", "b");
	begin("{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":20000}],\"from\":["
	      "{\"ipBlock\":{\"cidr\":\"11.0.0.0/24\"}}");
	for (int i = 1; i < 8000; i++)
		fprintf(spec.f, ",{\"ipBlock\":{\"cidr\":\"11.%d.%d.0/24\"}}", i / 256, i % 256);
	fputs("]}", spec.f);
	for (int i = 1; i <= 8000; i++)
		fprintf(spec.f,
			",{\"from\":[{\"ipBlock\":{\"cidr\":\"0.0.0.0/0\"}}],\"ports\":["
			"{\"port\":%d}]}",
			i);
	end("]}");
	assert_is_cheap("prefixes");
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 20000));
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 8000));
	assert_false(cluster_ingress(&c, "x/b", &in, TCP, 8001));
	assert_false(cluster_ingress(&c, "x/b", &out, TCP, 20000));
	assert_true(cluster_ingress(&c, "x/b", &out, TCP, 8000));
}

/* `n` rules of `ports` ports, about 11.0.0.0/8 without `excepts` prefixes that no other has. */
static void excepts_of_rules(int n, int excepts, int ports)
{
	begin("{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":60000}]}");
	for (int i = 0; i < n; i++) {
		fputs(",{\"from\":[{\"ipBlock\":{\"cidr\":\"11.0.0.0/8\",\"except\":["
		      "\"11.255.0.0/16\"",
		      spec.f);
		for (int k = i * excepts; k < (i + 1) * excepts; k++)
			fprintf(spec.f, ",\"11.%d.%d.0/24\"", k / 256, k % 256);
		fputs("]}}],\"ports\":[{\"port\":1}", spec.f);
		for (int k = 1; k < ports; k++)
			fprintf(spec.f, ",{\"port\":%d}", k * 2 + 1);
		fputs("]}", spec.f);
	}
	end("]}");
}

static void excepts_within_what_many_rules_name(void **state)
{
	const union loom_addr in = ipv4("11.200.7.7"), between = ipv4("11.0.7.7");
	const struct policy_entry *entry;

	add_pod("b", "b");
	/* As many as somebody may want. */
	excepts_of_rules(50, 20, 20);
	assert_is_cheap("some");
	assert_true(cluster_ingress(&c, "x/b", &in, TCP, 39));
	assert_true(cluster_ingress(&c, "x/b", &between, TCP, 39));
	assert_false(cluster_ingress(&c, "x/b", &in, TCP, 41));
	world_set_policy(c.world, "x/some", NULL, NULL);
	excepts_of_rules(100, 100, 240);
	assert_is_cheap("many");
	entry = entry_of("networkpolicy x/many");
	assert_non_null(entry->unfit);
	assert_non_null(strstr(entry->unfit, "too many excepts within CIDRs of too many rules"));
	assert_false(cluster_ingress(&c, "x/b", &in, TCP, 60000));
}

/* Each has too many ports for one peer, and names thousands of others. */
static int count_unfit(const char *why)
{
	char name[32];
	int n = 0;

	for (int i = 0; i < 24; i++) {
		snprintf(name, sizeof(name), "networkpolicy x/long%d", i);
		n += strstr(entry_of(name)->unfit, why) != NULL;
	}
	return n;
}

static void policies_that_are_long_to_try(void **state)
{
	char name[16];

	add_pod("b", "b");
	add_remote_pods(1, "");
	for (int i = 0; i < 24; i++) {
		begin("{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":"
		      "{\"matchLabels\":{\"app\":\"r0\"}}}],\"ports\":[{\"port\":1}");
		for (int k = 1; k < 300; k++)
			fprintf(spec.f, ",{\"port\":%d}", k * 2 + 1);
		fputs("]},{\"from\":[{\"ipBlock\":{\"cidr\":\"11.0.0.0/24\"}}", spec.f);
		for (int k = 1; k < 6000; k++)
			fprintf(spec.f, ",{\"ipBlock\":{\"cidr\":\"11.%d.%d.0/24\"}}", k / 256,
				k % 256);
		end("]}]}");
		snprintf(name, sizeof(name), "long%d", i);
		apply(name, spec.text);
		free(spec.text);
	}
	assert_int_equal(world_commit(c.world, c.now), 0);
	assert_in_range(count_unfit(" is not tried yet"), 1, 23);
	for (int i = 0; i < 24; i++)
		cluster_settle(&c);
	assert_int_equal(count_unfit(" does not fit"), 24);
}

static void a_pod_of_thousands_of_named_ports(void **state)
{
	_json_ *pod = NULL;
	clock_t start;

	begin("{\"metadata\":{\"labels\":{}},\"spec\":{\"containers\":[{\"ports\":["
	      "{\"name\":\"web\",\"containerPort\":80}");
	for (int i = 0; ftell(spec.f) < LARGEST; i++)
		fprintf(spec.f, ",{\"name\":\"%x\",\"containerPort\":1}", i);
	end(",{\"name\":\"web\",\"containerPort\":81}]}]},\"status\":{\"podIP\":\"10.1.0.2\"}}");
	pod = json_of("%s", spec.text);
	free(spec.text);
	add_pod("b", "b");
	start = clock();
	for (int i = 0; i < 8; i++)
		assert_int_equal(world_set_pod(c.world, "x/b", pod, NULL), 0);
	assert_true(seconds_since(start) < BOUND_S);
	/* Of two of one name the first counts. */
	apply("web", "{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":\"web\"}]}]}");
	cluster_settle(&c);
	assert_true(cluster_ingress(&c, "x/b", addr_of("x/b"), TCP, 80));
	assert_false(cluster_ingress(&c, "x/b", addr_of("x/b"), TCP, 81));
}

static void a_node_of_thousands_of_addresses(void **state)
{
	_json_ *few = json_of("{\"status\":{\"addresses\":[{\"address\":\"192.0.2.1\"},"
			      "{\"address\":\"n\"},{\"address\":\"192.0.2.2\"}]}}");
	_json_ *node = NULL;
	struct err e = {};
	clock_t start;

	begin("{\"metadata\":{\"labels\":{\"zone\":\"z\"}},\"status\":{\"addresses\":["
	      "{\"address\":\"192.0.2.1\"}");
	for (int i = 0; ftell(spec.f) < LARGEST; i++)
		fprintf(spec.f, ",{\"address\":\"10.%d.%d.%d\"}", i / 65536, i / 256 % 256,
			i % 256);
	end("]}}");
	node = json_of("%s", spec.text);
	free(spec.text);
	assert_int_equal(world_set_node(c.world, "n", few, NULL), 0);
	start = clock();
	assert_int_equal(world_set_node(c.world, "n", node, &e), -E2BIG);
	assert_true(seconds_since(start) < BOUND_S);
	assert_non_null(strstr(e.msg, "node n: status.addresses: has 5"));
	/* It is as it was. */
	assert_int_equal(c.world->nodes->labels->n, 0);
	assert_int_equal(c.world->nodes->owner.addrs.n, 2);
}

/* ---- spans of blocks ---- */

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

/* Of few addresses, with the ends of both families among them. */
static struct prefix random_prefix(const struct prefix *within)
{
	static const char *const bases[] = { "0.0.0.0", "255.255.255.240", "::", "10.0.0.0",
					     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0" };
	unsigned int least = within ? within->len + 1 : 120;
	struct prefix p = { .len = least + random_below(129 - least) };

	if (within)
		p.addr = within->addr;
	else
		assert_int_equal(addr_parse(bases[random_below(5)], &p.addr, NULL), 0);
	for (unsigned int bit = least - 1; bit < p.len; bit++)
		p.addr.b[bit / 8] ^= random_below(2) ? 0x80 >> bit % 8 : 0;
	if (!within && random_below(10) == 0)
		p.len = addr_is_v4(&p.addr) ? 96 : 0;
	addr_mask(&p.addr, p.len);
	return p;
}

static bool some_block_has(const struct rule *rule, const union loom_addr *addr)
{
	for (size_t i = 0; i < rule->n_blocks; i++) {
		const struct block *b = &rule->blocks[i];
		bool has = prefix_contains(&b->cidr, addr);

		for (size_t k = 0; k < b->n_except; k++)
			has &= !prefix_contains(&b->except[k], addr);
		if (has)
			return true;
	}
	return false;
}

static void spans_have_what_the_blocks_have(void **state)
{
	for (int i = 0; i < 3000; i++) {
		struct block blocks[4] = {};
		struct prefix except[4][4];
		struct rule rule = { .blocks = blocks, .n_blocks = 1 + random_below(4) };

		for (size_t k = 0; k < rule.n_blocks; k++) {
			blocks[k].cidr = random_prefix(NULL);
			blocks[k].except = except[k];
			while (blocks[k].cidr.len < 128 && blocks[k].n_except < random_below(4)) {
				struct prefix p = random_prefix(&blocks[k].cidr);

				if (prefix_contains(&blocks[k].cidr, &p.addr))
					except[k][blocks[k].n_except++] = p;
			}
		}
		assert_int_equal(rule_find_spans(&rule), 0);
		for (int k = 0; k < 100; k++) {
			union loom_addr addr = random_prefix(NULL).addr;

			assert_int_equal(rule_reaches(&rule, &addr), some_block_has(&rule, &addr));
		}
		free(rule.spans);
	}
}

/* ---- many rules ---- */

static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

/* Of the np tier, which accepts; every tenth of an administrator's. */
static struct loom_polrule random_rule(uint16_t order)
{
	bool admin = random_below(10) == 0;
	struct loom_polrule r = {
		.order = order,
		.proto = random_below(3000) ? protos[random_below(3)] : 0,
		.lo = random_below(400) * 5,
		.verdict = admin ? LOOM_TIER_ADMIN << 4 | random_below(3)
				 : LOOM_TIER_NP << 4 | LOOM_POL_ACCEPT,
	};

	if (random_below(300) == 0)
		r.lo = 65535 - random_below(200);
	r.hi = MIN(r.lo + random_below(random_below(20) ? 8 : 200), 65535u);
	if (!r.proto)
		r.lo = r.hi = 0;
	return r;
}

/* The verdict of a tier there; -1: none. */
static int decision(const struct loom_polrule *v, size_t n, unsigned int tier, uint8_t proto,
		    uint16_t port)
{
	const struct loom_polrule *best = NULL;

	for (size_t i = 0; i < n; i++) {
		bool is_about =
			!v[i].proto || (v[i].proto == proto && v[i].lo <= port && port <= v[i].hi);

		if (v[i].verdict >> 4 == tier && is_about && (!best || v[i].order < best->order))
			best = &v[i];
	}
	return best ? best->verdict : -1;
}

static void rules_of_any_number_decide_as_one_by_one(void **state)
{
	_cleanup_(freep) struct loom_polrule *all = calloc(4000, sizeof(*all));
	struct rules rules = {};

	for (int round = 0; round < 40; round++) {
		size_t n = 100 + random_below(3900);

		for (size_t i = 0; i < n; i++) {
			all[i] = random_rule(i);
			assert_int_equal(rules_add_new(&rules, &all[i]), 0);
		}
		/* They may be more than a set holds: then all are there still. */
		assert_in_range(-rules_settle(&rules), 0, E2BIG);
		for (int i = 0; i < 300; i++) {
			uint16_t port = i % 10 ? random_below(2010) : 65535 - random_below(210);
			uint8_t proto = protos[i % 3];
			unsigned int tier = i % 2 ? LOOM_TIER_NP : LOOM_TIER_ADMIN;

			assert_int_equal(decision(all, n, tier, proto, port),
					 decision(rules.v, rules.n, tier, proto, port));
		}
		rules.n = 0;
	}
	rules_fini(&rules);
}

static void peers_that_no_two_rules_choose_alike(void **state)
{
	const union loom_addr r7 = ipv4("10.100.0.8");

	add_pod("b", "b");
	add_remote_pods(2000, "");
	begin("{\"podSelector\":{},\"ingress\":[{\"ports\":[{\"port\":1}]}");
	for (int i = 0; i < 80; i++) {
		fputs(",{\"from\":[{\"podSelector\":{\"matchExpressions\":[{\"key\":\"app\","
		      "\"operator\":\"In\",\"values\":[\"r7\"",
		      spec.f);
		for (int k = 0; k < 2000; k++)
			if (k != 7 && random_below(2))
				fprintf(spec.f, ",\"r%d\"", k);
		fprintf(spec.f, "]}]}}],\"ports\":[{\"port\":%d}", i * 2 + 1001);
		for (int k = 1; k < 170; k++)
			fprintf(spec.f, ",{\"port\":%d}", k * 2 + 1);
		fputs("]}", spec.f);
	}
	end("]}");
	assert_is_cheap("halves");
	assert_true(cluster_ingress(&c, "x/b", &r7, TCP, 1159));
	assert_true(cluster_ingress(&c, "x/b", &r7, TCP, 339));
	assert_false(cluster_ingress(&c, "x/b", &r7, TCP, 340));
	assert_false(cluster_ingress(&c, "x/b", &r7, TCP, 1161));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(all_ports_one_by_one),
		TEST(a_rule_for_each_port),
		TEST(blocks_around_pods_with_named_ports),
		TEST(prefixes_within_what_thousands_of_rules_name),
		TEST(excepts_within_what_many_rules_name),
		TEST(policies_that_are_long_to_try),
		TEST(a_pod_of_thousands_of_named_ports),
		TEST(a_node_of_thousands_of_addresses),
		TEST(peers_that_no_two_rules_choose_alike),
		cmocka_unit_test(rules_of_any_number_decide_as_one_by_one),
		cmocka_unit_test(spans_have_what_the_blocks_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
