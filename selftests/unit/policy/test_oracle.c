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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_maps_say_what_the_objects_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
