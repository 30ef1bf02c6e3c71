// SPDX-License-Identifier: Apache-2.0
/*
 * Random clusters, and what happens to them, against the oracle. A failure names seed and world;
 * the same seed makes the same worlds: SEED=… test_policy_oracle. FLOWS=… makes it longer.
 */
#include "selftests/unit/policy/cluster.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"
#include "selftests/unit/policy/generator.h"

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
	struct random random;
	struct model model;
	struct cluster cluster;
	uint64_t seed;
	size_t world, step, flows, denied, looks;
	struct watched watched[WATCHED];
	bool disturbs; /* the change closes pods for a while, as it has to */
};

static const char *key_of(struct json_object *obj, char *buf, size_t len)
{
	const char *ns = "", *name = "";

	json_opt_str(obj, "metadata.namespace", &ns, NULL);
	json_opt_str(obj, "metadata.name", &name, NULL);
	snprintf(buf, len, "%s%s%s", ns, *ns ? "/" : "", name);
	return buf;
}

typedef int (*set_fn)(struct world *w, const char *key, struct json_object *obj, struct err *e);

/* The object, or its end: the key is that of what was there. Takes `now`. */
static void replace(struct run *run, set_fn set, struct json_object **at, struct json_object *now)
{
	struct err e = {};
	char key[64];

	if (!now && !*at)
		return;
	key_of(now ?: *at, key, sizeof(key));
	if (set(run->cluster.world, key, now, &e) < 0)
		fail_msg("seed %llu world %zu: %s: %s", (unsigned long long)run->seed, run->world,
			 e.msg, json_text(now));
	json_object_put(*at);
	*at = now;
}

/* All pods are local; those of the host's network have no endpoint. */
static void set_endpoint(struct run *run, size_t i)
{
	struct json_object *pod = run->model.pods[i];
	struct cluster *c = &run->cluster;
	bool host = false;

	memset(&c->pods[i + 1], 0, sizeof(c->pods[0]));
	world_del_endpoint(c->world, i + 1);
	if (!pod)
		return;
	json_opt_bool(pod, "spec.hostNetwork", &host, NULL);
	key_of(pod, c->pods[i + 1].key, sizeof(c->pods[0].key));
	c->pods[i + 1].host_network = host;
	if (!host)
		assert_int_equal(
			world_set_endpoint(c->world, i + 1, c->pods[i + 1].key, "", NULL, 0), 0);
}

static void set_pod(struct run *run, size_t i, struct json_object *pod)
{
	replace(run, world_set_pod, &run->model.pods[i], pod);
	set_endpoint(run, i);
}

static void fill(struct run *run)
{
	struct random *r = &run->random;
	struct model *m = &run->model;

	for (size_t i = 0; i < MODEL_SPACES; i++)
		replace(run, world_set_namespace, &m->spaces[i], random_space(r, i));
	for (size_t i = 0; i < MODEL_NODES; i++)
		replace(run, world_set_node, &m->nodes[i], random_node(r, i));
	for (size_t i = 0; i < MODEL_PODS; i++)
		set_pod(run, i, random_pod(r, i));
	for (size_t i = 0; i < MODEL_POLICIES; i++)
		replace(run, world_set_policy, &m->policies[i], random_policy(r, i));
	for (size_t i = 0; i < MODEL_POLICIES; i++)
		replace(run, world_set_cluster_policy, &m->cluster[i], random_cluster_policy(r, i));
}

/* Everything again to a new world over the same maps. */
static void restart(struct run *run)
{
	struct world *w;
	struct model *m = &run->model;
	char key[64];

	cluster_restart(&run->cluster);
	w = run->cluster.world;
	for (size_t i = 0; i < MODEL_POLICIES; i++) {
		if (m->policies[i])
			world_set_policy(w, key_of(m->policies[i], key, sizeof(key)),
					 m->policies[i], NULL);
		if (m->cluster[i])
			world_set_cluster_policy(w, key_of(m->cluster[i], key, sizeof(key)),
						 m->cluster[i], NULL);
	}
	for (size_t i = 0; i < MODEL_PODS; i++)
		if (m->pods[i])
			world_set_pod(w, key_of(m->pods[i], key, sizeof(key)), m->pods[i], NULL);
	for (size_t i = 0; i < MODEL_NODES; i++)
		world_set_node(w, key_of(m->nodes[i], key, sizeof(key)), m->nodes[i], NULL);
	for (size_t i = 0; i < MODEL_SPACES; i++)
		world_set_namespace(w, key_of(m->spaces[i], key, sizeof(key)), m->spaces[i], NULL);
	for (size_t i = 0; i < MODEL_PODS; i++)
		set_endpoint(run, i);
}

static void change(struct run *run)
{
	struct random *r = &run->random;
	struct model *m = &run->model;
	size_t pod = random_below(r, MODEL_PODS), policy = random_below(r, MODEL_POLICIES);

	uint32_t what = random_below(r, 8);

	/* Labels of many pods at once, pods whose endpoint is made anew, and a new agent that finds
	 * other identities. */
	run->disturbs = what == 0 || (what >= 2 && what <= 4) || what == 7;
	switch (what) {
	case 0:
		pod = random_below(r, MODEL_SPACES);
		replace(run, world_set_namespace, &m->spaces[pod], random_space(r, pod));
		break;
	case 1:
		pod = random_below(r, MODEL_NODES);
		replace(run, world_set_node, &m->nodes[pod], random_node(r, pod));
		break;
	case 2:
		set_pod(run, pod, m->pods[pod] ? NULL : random_pod(r, pod));
		break;
	case 3:
	case 4:
		set_pod(run, pod, random_pod(r, pod));
		break;
	case 5:
		replace(run, world_set_policy, &m->policies[policy], random_policy(r, policy));
		break;
	case 6:
		replace(run, world_set_cluster_policy, &m->cluster[policy],
			random_cluster_policy(r, policy));
		break;
	default:
		restart(run);
	}
}

/* SHOW=1: the world that a failure was in. */
static void show(const struct run *run)
{
	struct json_object *const *all = (struct json_object *const *)&run->model;

	for (size_t i = 0; i < sizeof(run->model) / sizeof(*all); i++)
		if (all[i])
			printf("%s\n", json_text(all[i]));
}

static void one_flow(struct run *run)
{
	struct random *r = &run->random;
	size_t i = random_below(r, MODEL_PODS);
	bool ingress = random_below(r, 2), want, got;
	char key[64], addr[ADDR_STRLEN];
	union loom_addr peer;
	uint16_t port;
	uint8_t proto;

	random_addr(r, &peer);
	random_port(r, &proto, &port);
	if (!oracle_counts(run->model.pods[i]))
		return;
	key_of(run->model.pods[i], key, sizeof(key));
	want = oracle_allows(&run->model, run->model.pods[i], ingress, &peer, proto, port);
	got = (ingress ? cluster_ingress : cluster_egress)(&run->cluster, key, &peer, proto, port);
	if (got != want && getenv("SHOW"))
		show(run);
	if (got != want)
		fail_msg("seed %llu, world %zu, step %zu: %s of %s, peer %s, protocol %u, port %u: "
			 "%d, the oracle says %d",
			 (unsigned long long)run->seed, run->world, run->step,
			 ingress ? "ingress" : "egress", key, addr_format(&peer, addr), proto, port,
			 got, want);
	run->flows++;
	run->denied += !want;
}

/* ---- while it changes ---- */

static bool ask(const struct run *run, const struct watched *f)
{
	const struct cluster *c = &run->cluster;
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

		if (f->before != f->after || (f->before && run->disturbs))
			continue;
		now = ask(run, f);
		run->looks++;
		if (now != f->before)
			fail_msg("seed %llu, world %zu, step %zu: %s of pod %zu, peer %s, protocol "
				 "%u, "
				 "port %u: %s for a moment",
				 (unsigned long long)run->seed, run->world, run->step,
				 f->ingress ? "ingress" : "egress", f->pod,
				 addr_format(&f->peer, addr), f->proto, f->port,
				 now ? "open" : "denied");
	}
}

static void watch(struct run *run)
{
	for (size_t i = 0; i < WATCHED; i++) {
		struct watched *f = &run->watched[i];

		f->pod = random_below(&run->random, MODEL_PODS);
		f->ingress = random_below(&run->random, 2);
		random_addr(&run->random, &f->peer);
		random_port(&run->random, &f->proto, &f->port);
		f->before = oracle_counts(run->model.pods[f->pod]) && ask(run, f);
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
		if (oracle_counts(run->model.pods[i]))
			each_addr(run->model.pods[i], wire);
}

static void settle(struct run *run)
{
	wire_pods(run);
	for (size_t i = 0; i < WATCHED; i++) {
		struct watched *f = &run->watched[i];
		struct json_object *pod = run->model.pods[f->pod];

		f->after = oracle_counts(pod) &&
			   oracle_allows(&run->model, pod, f->ingress, &f->peer, f->proto, f->port);
		/* One without an address of its own is nobody's. */
		if (!oracle_counts(pod))
			f->after = !f->before;
	}
	run->cluster.native.written = run->step ? on_written : NULL;
	run->cluster.native.arg = run;
	cluster_settle(&run->cluster);
	run->cluster.native.written = NULL;
}

static void forget(struct run *run)
{
	struct json_object **all = (struct json_object **)&run->model;

	cluster_fini(&run->cluster);
	for (size_t i = 0; i < sizeof(run->model) / sizeof(*all); i++)
		json_object_put(all[i]);
	run->model = (struct model){};
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void the_maps_say_what_the_objects_say(void **state)
{
	struct timespec ts;
	struct run run = {};
	uint64_t flows = number("FLOWS", FLOWS);

	clock_gettime(CLOCK_REALTIME, &ts);
	run.seed = number("SEED", ts.tv_sec * 1000000007ull + ts.tv_nsec) ?: 1;
	run.random.state = run.seed;
	printf("seed %llu\n", (unsigned long long)run.seed);
	for (; run.flows < flows; run.world++) {
		cluster_init(&run.cluster);
		fill(&run);
		for (run.step = 0; run.step < STEPS; run.step++) {
			settle(&run);
			for (int i = 0; i < FLOWS_OF_STEP; i++)
				one_flow(&run);
			watch(&run);
			change(&run);
		}
		forget(&run);
	}
	printf("%zu flows in %zu worlds, %zu denied; %zu looks between writes\n", run.flows,
	       run.world, run.denied, run.looks);
	assert_true(run.denied > run.flows / 10 && run.denied < run.flows * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_maps_say_what_the_objects_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
