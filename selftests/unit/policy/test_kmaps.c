// SPDX-License-Identifier: Apache-2.0
/* The compiler over the kernel's own maps, of this test: what is written is found by the next run,
 * prefixes that nest included, and nothing of it stays when it is not wanted. Needs root. */
#include "agent/modules/policy/kmaps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/policy/world.h"
#include "lib/json/json.h"

static struct kmaps kmaps;
static unsigned int bumps;

static int bump(void *arg)
{
	bumps++;
	return 0;
}

static int make_maps(void **state)
{
	static const struct {
		enum bpf_map_type type;
		uint32_t key, value, n, flags;
	} maps[POLMAPS] = {
		[POLMAP_EPOL] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct loom_epol), 16, 0 },
		[POLMAP_IDENT] = { BPF_MAP_TYPE_HASH, sizeof(struct loom_ipkey), 4, 64, 0 },
		[POLMAP_CLASS] = { BPF_MAP_TYPE_LPM_TRIE, sizeof(struct loom_cidrkey), 4, 64,
				   BPF_F_NO_PREALLOC },
		[POLMAP_POL] = { BPF_MAP_TYPE_HASH, sizeof(struct loom_polkey),
				 sizeof(struct loom_polset), 256, 0 },
		[POLMAP_RULE] = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct loom_polrule), 256, 0 },
	};

	for (int i = 0; i < POLMAPS; i++) {
		LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = maps[i].flags);

		kmaps.fds[i] = bpf_map_create(maps[i].type, "t_policy", maps[i].key, maps[i].value,
					      maps[i].n, &opts);
		if (kmaps.fds[i] < 0 && errno == EPERM)
			return 0;
		assert_true(kmaps.fds[i] >= 0);
	}
	kmaps.bump = bump;
	return 0;
}

static int close_maps(void **state)
{
	for (int i = 0; i < POLMAPS; i++)
		closep(&kmaps.fds[i]);
	return 0;
}

static struct world *start(void)
{
	const struct polmaps maps = {
		.ops = &kmaps_ops,
		.arg = &kmaps,
		.max_sets = 256,
		.max_rules = 256,
		.max_classes = 64,
		.max_idents = 64,
		.max_eps = 16,
	};
	struct world *w = NULL;

	assert_int_equal(world_new(&maps, &w), 0);
	assert_int_equal(world_adopt(w), 0);
	return w;
}

typedef int (*set_fn)(struct world *w, const char *key, struct json_object *obj, struct err *e);

static void set(struct world *w, set_fn fn, const char *key, const char *text)
{
	_json_ *obj = NULL;
	struct err e = {};

	assert_int_equal(json_parse(text, strlen(text), &obj, NULL), 0);
	if (fn(w, key, obj, &e) < 0)
		fail_msg("%s", e.msg);
}

static void fill(struct world *w)
{
	set(w, world_set_namespace, "x", "{\"metadata\":{}}");
	set(w, world_set_pod, "x/a",
	    "{\"metadata\":{\"labels\":{\"app\":\"a\"}},\"status\":{\"podIP\":\"10.1.0.1\"}}");
	set(w, world_set_pod, "x/b",
	    "{\"metadata\":{\"labels\":{\"app\":\"b\"}},\"status\":{\"podIP\":\"10.1.0.2\"}}");
	set(w, world_set_policy, "x/np",
	    "{\"spec\":{\"podSelector\":{},\"ingress\":[{\"from\":[{\"podSelector\":{"
	    "\"matchLabels\":{\"app\":\"a\"}}},{\"ipBlock\":{\"cidr\":\"10.0.0.0/8\",\"except\":["
	    "\"10.0.0.0/16\",\"10.0.0.0/24\"]}},{\"ipBlock\":{\"cidr\":\"::/0\"}}]}]}}");
	assert_int_equal(world_set_endpoint(w, 1, "x/a", "", NULL, 0), 0);
	assert_int_equal(world_set_endpoint(w, 2, "x/b", "", NULL, 0), 0);
}

static void settle(struct world *w)
{
	uint64_t now = 1000;

	assert_int_equal(world_commit(w, now), 0);
	for (int i = 0; i < 3; i++) {
		now += REAP_AFTER_MS;
		if (world_reap(w, now))
			assert_int_equal(world_commit(w, now), 0);
	}
}

static int count_one(const void *key, void *ctx)
{
	++*(int *)ctx;
	return 0;
}

static int count(enum polmap map)
{
	int n = 0;

	assert_int_equal(kmaps_ops.each(&kmaps, map, count_one, &n), 0);
	return n;
}

static struct loom_epol epol(uint32_t ep)
{
	struct loom_epol e;

	assert_int_equal(kmaps_ops.lookup(&kmaps, POLMAP_EPOL, &ep, &e), 0);
	return e;
}

static int number_once(const void *key, void *ctx)
{
	uint32_t number = 0, *seen = ctx;

	assert_int_equal(kmaps_ops.lookup(&kmaps, POLMAP_CLASS, key, &number), 0);
	assert_true(number < 32);
	assert_false(*seen >> number & 1);
	*seen |= 1u << number;
	return 0;
}

static void the_next_run_finds_what_this_one_wrote(void **state)
{
	struct loom_epol before;
	struct world *w;
	int sets;

	if (kmaps.fds[0] < 0)
		skip();
	w = start();
	fill(w);
	settle(w);
	before = epol(1);
	sets = count(POLMAP_POL);
	/* Four prefixes, and 0.0.0.0/0, which ::/0 needs beside it. */
	assert_int_equal(count(POLMAP_CLASS), 5);
	assert_int_equal(count(POLMAP_IDENT), 2);
	assert_int_equal(epol(0).flags, LOOM_EPOL_ENFORCED);
	for (int run = 0; run < 2; run++) {
		uint32_t seen = 0;

		world_free(w);
		w = start();
		fill(w);
		settle(w);
		assert_int_equal(count(POLMAP_POL), sets);
		assert_int_equal(count(POLMAP_CLASS), 5);
		assert_int_equal(kmaps_ops.each(&kmaps, POLMAP_CLASS, number_once, &seen), 0);
		assert_int_equal(epol(1).identity, before.identity);
		assert_int_not_equal(epol(1).policy_in, before.policy_in);
	}
	/* A run for which there is nothing any more. */
	world_free(w);
	w = start();
	settle(w);
	assert_int_equal(count(POLMAP_POL) + count(POLMAP_CLASS) + count(POLMAP_IDENT), 0);
	assert_int_equal(epol(0).flags, 0);
	assert_true(bumps > 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_run_finds_what_this_one_wrote),
	};

	return cmocka_run_group_tests(tests, make_maps, close_maps);
}
