// SPDX-License-Identifier: Apache-2.0
/*
 * Random clusters, and what happens to them, against the oracle. A failure names seed and world;
 * the same seed makes the same worlds: SEED=… test_policy_oracle. FLOWS=… makes it longer, SHOW=1
 * prints the objects that a failure was among.
 */
#include "selftests/unit/policy/history.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"

#define FLOWS	      120000
#define STEPS	      6 /* changes that a world sees */
#define FLOWS_OF_STEP 40

#define ROOM_WORLDS 300

#define WATCHED 12

/* A flow that is looked at after each write of a step. */
struct watched {
	size_t pod;
	bool ingress, before, after;
	union loom_addr peer;
	uint8_t proto;
	uint16_t port;
};

struct run {
	struct history h;
	size_t flows, denied, looks;
	struct watched watched[WATCHED];
	bool fails; /* some writes do */
};

/* All pods are local; those of the host's network have no endpoint. */
static void set_endpoint(struct history *h, size_t i)
{
	struct json_object *pod = h->model.pods[i];
	struct cluster *c = &h->cluster;
	bool host = false;

	memset(&c->pods[i + 1], 0, sizeof(c->pods[0]));
	world_del_endpoint(c->world, i + 1);
	if (!pod)
		return;
	json_opt_bool(pod, "spec.hostNetwork", &host, NULL);
	history_key(pod, c->pods[i + 1].key, sizeof(c->pods[0].key));
	c->pods[i + 1].host_network = host;
	if (!host)
		assert_int_equal(
			world_set_endpoint(c->world, i + 1, c->pods[i + 1].key, "", NULL, 0), 0);
}

static void one_flow(struct run *run)
{
	struct random *r = &run->h.random;
	size_t i = random_below(r, MODEL_PODS);
	bool ingress = random_below(r, 2), want, got;
	char key[64], addr[ADDR_STRLEN];
	union loom_addr peer;
	uint16_t port;
	uint8_t proto;

	random_addr(r, &peer);
	random_port(r, &proto, &port);
	if (!oracle_counts(run->h.model.pods[i]))
		return;
	history_key(run->h.model.pods[i], key, sizeof(key));
	want = oracle_allows(&run->h.model, run->h.model.pods[i], ingress, &peer, proto, port);
	got = (ingress ? cluster_ingress : cluster_egress)(&run->h.cluster, key, &peer, proto,
							   port);
	if (got != want && getenv("SHOW"))
		history_show(&run->h);
	if (got != want)
		fail_msg("seed %llu, world %zu, step %zu: %s of %s, peer %s, protocol %u, port %u: "
			 "%d, the oracle says %d",
			 (unsigned long long)run->h.seed, run->h.world, run->h.step,
			 ingress ? "ingress" : "egress", key, addr_format(&peer, addr), proto, port,
			 got, want);
	run->flows++;
	run->denied += !want;
}

/* ---- while it changes ---- */

static bool ask(const struct run *run, const struct watched *f)
{
	const struct cluster *c = &run->h.cluster;
	const char *key = c->pods[f->pod + 1].key;

	if (!*key)
		return false;
	return (f->ingress ? cluster_ingress : cluster_egress)(c, key, &f->peer, f->proto, f->port);
}

/* What is denied before and after is never open; what is open before and after never denied. */
static void on_written(void *arg)
{
	struct run *run = arg;
	char addr[ADDR_STRLEN];

	for (size_t i = 0; i < WATCHED; i++) {
		const struct watched *f = &run->watched[i];
		bool now;

		if (f->before != f->after || (f->before && run->h.disturbs))
			continue;
		now = ask(run, f);
		run->looks++;
		if (now != f->before)
			fail_msg("seed %llu, world %zu, step %zu: %s of pod %zu, peer %s, protocol "
				 "%u, "
				 "port %u: %s for a moment",
				 (unsigned long long)run->h.seed, run->h.world, run->h.step,
				 f->ingress ? "ingress" : "egress", f->pod,
				 addr_format(&f->peer, addr), f->proto, f->port,
				 now ? "open" : "denied");
	}
}

static void watch(struct run *run)
{
	for (size_t i = 0; i < WATCHED; i++) {
		struct watched *f = &run->watched[i];

		f->pod = random_below(&run->h.random, MODEL_PODS);
		f->ingress = random_below(&run->h.random, 2);
		random_addr(&run->h.random, &f->peer);
		random_port(&run->h.random, &f->proto, &f->port);
		f->before = oracle_counts(run->h.model.pods[f->pod]) && ask(run, f);
	}
}

static void each_addr(struct json_object *pod, void (*fn)(const struct loom_ipkey *key))
{
	struct json_object *list = json_path(pod, "status.podIPs");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct loom_ipkey key = {};
		const char *ip = "";

		json_opt_str(json_object_array_get_idx(list, i), "ip", &ip, NULL);
		if (addr_parse(ip, &key.addr, NULL) == 0)
			fn(&key);
	}
}

static void wire(const struct loom_ipkey *key)
{
	nmap_update(native_map("loom_ep"), key, &(struct loom_ep){ .ep = 1 }, 0);
}

/* The data plane knows which addresses are the cluster's, whoever they are. */
static void wire_pods(struct run *run)
{
	nmap_clear(native_map("loom_ep"));
	for (size_t i = 0; i < MODEL_PODS; i++)
		if (oracle_counts(run->h.model.pods[i]))
			each_addr(run->h.model.pods[i], wire);
}

static void settle(struct run *run)
{
	wire_pods(run);
	for (size_t i = 0; i < WATCHED; i++) {
		struct watched *f = &run->watched[i];
		struct json_object *pod = run->h.model.pods[f->pod];

		f->after = oracle_counts(pod) && oracle_allows(&run->h.model, pod, f->ingress,
							       &f->peer, f->proto, f->port);
		/* One without an address of its own is nobody's. */
		if (!oracle_counts(pod))
			f->after = !f->before;
	}
	run->h.cluster.native.written = run->h.step ? on_written : NULL;
	run->h.cluster.native.arg = run;
	cluster_settle(&run->h.cluster);
	run->h.cluster.native.written = NULL;
}

static void the_maps_say_what_the_objects_say(void **state)
{
	struct run run = {};
	uint64_t flows = history_number("FLOWS", FLOWS);

	history_start(&run.h, set_endpoint);
	for (; run.flows < flows; run.h.world++) {
		cluster_init(&run.h.cluster);
		history_fill(&run.h);
		for (run.h.step = 0; run.h.step < STEPS; run.h.step++) {
			settle(&run);
			for (int i = 0; i < FLOWS_OF_STEP; i++)
				one_flow(&run);
			watch(&run);
			history_change(&run.h);
		}
		history_forget(&run.h);
	}
	printf("%zu flows in %zu worlds, %zu denied; %zu looks between writes\n", run.flows,
	       run.h.world, run.denied, run.looks);
	assert_true(run.denied > run.flows / 10 && run.denied < run.flows * 9 / 10);
}

/* ---- little room ---- */

static uint32_t sets_about(const struct rulesets *s, const struct identity *id)
{
	uint32_t n = 0;

	for (const struct ruleset *r = s->all; r; r = r->hh.next)
		n += !r->left && setmap_find(&r->ident_sets, id->number);
	return n;
}

static void assert_counted(const struct rulesets *s)
{
	uint32_t sets = 0, idle = 0, idle_sets = 0;

	for (uint32_t i = 0; i < s->ids->n_slots; i++)
		if (s->ids->slots[i] && s->ids->slots[i]->number)
			assert_int_equal(s->ids->slots[i]->n_sets, sets_about(s, s->ids->slots[i]));

	for (const struct ruleset *r = s->all; r; r = r->hh.next) {
		uint32_t n = ruleset_sets(r);

		sets += n;
		idle += !r->refs && !r->held;
		idle_sets += r->refs ? 0 : n;
	}
	assert_int_equal(sets, s->n_sets);
	assert_int_equal(idle, s->n_idle);
	assert_int_equal(idle_sets, s->n_idle_sets);
}

/* All that is known is in force. */
static bool is_whole(const struct world *w)
{
	for (const struct policy_entry *e = w->policies; e; e = e->hh.next)
		if (e->unfit || e->problem)
			return false;
	for (uint32_t i = 0; i < w->ids.n_slots; i++) {
		const struct identity *id = w->ids.slots[i];

		if (id && id->refs && (id->starved || id->homeless))
			return false;
	}
	return true;
}

/* Prefixes and addresses that nobody knows of. */
static void assert_nothing_is_left_over(const struct world *w)
{
	assert_int_equal(native_maps_count(POLMAP_CLASS), w->sets.classes.n);
	assert_int_equal(native_maps_count(POLMAP_IDENT), w->n_written);
}

static void ask_flows(struct run *run)
{
	wire_pods(run);
	for (int i = 0; i < FLOWS_OF_STEP; i++)
		one_flow(run);
}

static void limit(struct run *run, uint32_t sets, uint32_t classes)
{
	run->h.cluster.world->maps.max_sets = sets;
	run->h.cluster.world->maps.max_classes = classes;
}

/* One of the next writes, maybe. */
static void let_a_write_fail(struct run *run)
{
	struct native_maps *m = &run->h.cluster.native;

	if (run->fails && random_below(&run->h.random, 3) == 0)
		m->fail_at = m->writes + 1 + random_below(&run->h.random, 20);
}

static void commit_or_fail(struct run *run)
{
	struct cluster *c = &run->h.cluster;
	int err = world_commit(c->world, c->now);

	assert_true(err == 0 || c->native.fail_at);
	c->native.fail_at = 0;
}

/* Any part of what would happen until all is settled. */
static void go_on_a_little(struct run *run)
{
	struct cluster *c = &run->h.cluster;

	switch (random_below(&run->h.random, 3)) {
	case 0:
		cluster_settle(c);
		break;
	case 1:
		c->now += random_below(&run->h.random, 2 * REAP_AFTER_MS);
		let_a_write_fail(run);
		world_reap(c->world, c->now);
		__attribute__((fallthrough));
	default:
		let_a_write_fail(run);
		commit_or_fail(run);
	}
}

/* What goes leaves room: then what was refused is tried again. */
static void let_something_go(struct run *run)
{
	_json_ *policy = json_of("{\"metadata\":{\"name\":\"z\",\"namespace\":\"zz\"},"
				 "\"spec\":{\"podSelector\":{},\"ingress\":[{}]}}");
	_json_ *pod = json_of("{\"metadata\":{\"name\":\"z\",\"namespace\":\"zz\"},"
			      "\"status\":{\"podIPs\":[{\"ip\":\"10.250.0.1\"}]}}");
	struct cluster *c = &run->h.cluster;
	uint32_t ep = MODEL_PODS + 2;

	cluster_namespace(c, "zz", NULL);
	assert_int_equal(world_set_policy(c->world, "zz/z", policy, NULL), 0);
	assert_int_equal(world_set_pod(c->world, "zz/z", pod, NULL), 0);
	assert_int_equal(world_set_endpoint(c->world, ep, "zz/z", "", NULL, 0), 0);
	cluster_settle(c);
	world_set_policy(c->world, "zz/z", NULL, NULL);
	world_set_pod(c->world, "zz/z", NULL, NULL);
	world_del_endpoint(c->world, ep);
	cluster_settle(c);
	cluster_settle(c);
}

static void live_with_little_room(bool fails)
{
	struct run run = { .fails = fails };
	size_t whole = 0;

	history_start(&run.h, set_endpoint);
	for (; run.h.world < ROOM_WORLDS; run.h.world++) {
		struct random *r = &run.h.random;

		cluster_init(&run.h.cluster);
		limit(&run, 2 + random_below(r, 60), 2 + random_below(r, 20));
		history_fill(&run.h);
		for (run.h.step = 0; run.h.step < 3 * STEPS; run.h.step++) {
			go_on_a_little(&run);
			assert_counted(&run.h.cluster.world->sets);
			assert_true(fails || native_maps_count(POLMAP_POL) <=
						     2 * run.h.cluster.world->maps.max_sets);
			history_change(&run.h);
		}
		cluster_settle(&run.h.cluster);
		cluster_settle(&run.h.cluster);
		assert_counted(&run.h.cluster.world->sets);
		if (is_whole(run.h.cluster.world))
			ask_flows(&run);
		whole += is_whole(run.h.cluster.world);
		limit(&run, 10000, 10000);
		let_something_go(&run);
		assert_counted(&run.h.cluster.world->sets);
		assert_nothing_is_left_over(run.h.cluster.world);
		if (!is_whole(run.h.cluster.world))
			fail_msg("seed %llu, world %zu: not whole, with room for all: %s",
				 (unsigned long long)run.h.seed, run.h.world,
				 run.h.cluster.problem);
		ask_flows(&run);
		history_forget(&run.h);
	}
	printf("%zu flows; room was short in %zu of %zu worlds\n", run.flows, run.h.world - whole,
	       run.h.world);
	assert_in_range(whole, ROOM_WORLDS / 10, ROOM_WORLDS * 9 / 10);
}

static void where_room_is_short_nothing_is_lost(void **state)
{
	live_with_little_room(false);
}

static void where_writes_fail_nothing_is_lost(void **state)
{
	live_with_little_room(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_maps_say_what_the_objects_say),
		cmocka_unit_test(where_room_is_short_nothing_is_lost),
		cmocka_unit_test(where_writes_fail_nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
