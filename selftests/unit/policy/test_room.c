// SPDX-License-Identifier: Apache-2.0
/*
 * Policies that wait for room: what is idle holds it, until it goes or comes back. Time goes by as
 * in policy.c, which commits after world_reap() where that wants it.
 */
#include "selftests/unit/policy/namespace_x.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"

#define PREFIXES 20 /* more than the maps of these tests have */

static void commit(void)
{
	assert_int_equal(world_commit(c.world, c.now), 0);
}

/* Until the next reaping, and with it. True: there is more to come. */
static bool go_on(void)
{
	bool more;

	c.now += REAP_AFTER_MS + 50;
	more = world_reap(c.world, c.now);
	if (c.world->wants_commit)
		commit();
	return more;
}

/* About pods with `app`, and too large. */
static void apply_prefixes(const char *name, const char *app, enum direction dir)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, "{\"podSelector\":{\"matchLabels\":{\"app\":\"%s\"}},\"policyTypes\":[\"%s\"],",
		app, dir == DIR_IN ? "Ingress" : "Egress");
	fputs(dir == DIR_IN ? "\"ingress\":[{\"from\":[" : "\"egress\":[{\"to\":[", f);
	for (int i = 0; i < PREFIXES; i++)
		fprintf(f, "%s{\"ipBlock\":{\"cidr\":\"10.%d.%d.0/24\"}}", i ? "," : "", 80 + dir,
			i);
	fputs("]}]}", f);
	fclose(f);
	apply(name, text);
	free(text);
}

static void apply_one_prefix(const char *name, const char *app)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"podSelector\":{\"matchLabels\":{\"app\":\"%s\"}},\"policyTypes\":[\"Egress\"],"
		 "\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.77.0.0/16\"}}]}]}",
		 app);
	apply(name, text);
}

/* A pod that leaves an identity behind, idle. */
static void let_a_guest_go(void)
{
	add_pod("guest", "guest");
	commit();
	cluster_pod_gone(&c, "x/guest");
	commit();
}

static bool is_open(const char *key)
{
	return epol(cluster_ep(&c, key)).flags & LOOM_EPOL_KNOWN;
}

static void start(void)
{
	add_pod("a", "a");
	apply("only-a", ONLY_A);
	apply_one_prefix("egress", "a");
	cluster_settle(&c);
	c.world->maps.max_classes = 10;
}

static void what_waits_keeps_its_text_of_before_whatever_else_changes(void **state)
{
	const union loom_addr there = ipv4("10.77.3.1");

	start();
	let_a_guest_go();
	apply_prefixes("egress", "a", DIR_OUT);
	commit();
	assert_true(c.world->some_wait);
	add_pod("b", "b");
	c.now += 10;
	commit();
	for (int i = 0; i < 20 && go_on(); i++)
		assert_true(cluster_egress(&c, "x/a", &there, TCP, 80));
	assert_non_null(entry_of("networkpolicy x/egress")->unfit);
	assert_true(cluster_egress(&c, "x/a", &there, TCP, 80));
}

static void a_refused_policy_keeps_its_text_of_before_while_pods_come_and_go(void **state)
{
	const union loom_addr there = ipv4("10.77.3.1");

	start();
	apply_prefixes("egress", "a", DIR_OUT);
	cluster_settle(&c);
	for (int i = 0; i < 60; i++) {
		let_a_guest_go();
		go_on();
		assert_non_null(entry_of("networkpolicy x/egress")->before);
		assert_true(cluster_egress(&c, "x/a", &there, TCP, 80));
	}
}

static void nobody_waits_for_what_has_come_back(void **state)
{
	start();
	let_a_guest_go();
	apply_prefixes("new", "new", DIR_OUT);
	add_pod("new", "new");
	commit();
	assert_false(is_open("x/new"));
	c.now += 100;
	add_pod("guest", "guest");
	commit();
	for (int i = 0; i < 20 && go_on(); i++)
		;
	assert_true(is_open("x/new"));
}

/* Both directions of the pod have a policy that does not fit, and something is always idle. */
static void nobody_waits_longer_than_said(void **state)
{
	uint64_t start_ms;
	char name[16], key[24];

	start();
	let_a_guest_go();
	apply_prefixes("in", "new", DIR_IN);
	apply_prefixes("out", "new", DIR_OUT);
	add_pod("new", "new");
	commit();
	start_ms = c.now;
	for (int i = 0; !is_open("x/new"); i++) {
		snprintf(name, sizeof(name), "g%d", i);
		snprintf(key, sizeof(key), "x/g%d", i);
		add_pod(name, name);
		commit();
		cluster_pod_gone(&c, key);
		commit();
		c.now += 50;
		if (i % 5 == 4)
			go_on();
		assert_in_range(c.now - start_ms, 0, ROOM_AFTER_MS + 2 * (REAP_AFTER_MS + 50));
	}
}

/* The same rules are wanted again while they are idle, but the room is others' by now. */
static void what_comes_back_needs_room_too(void **state)
{
	start();
	add_pod("b", "b");
	apply_one_prefix("egress-b", "b");
	cluster_settle(&c);
	world_set_policy(c.world, "x/egress-b", NULL, NULL);
	commit();
	assert_int_equal(c.world->sets.n_idle, 1);
	/* For the two sets that it had there is no room, but for one that lets nothing through. */
	c.world->maps.max_sets = c.world->sets.n_sets - c.world->sets.n_idle_sets + 1;
	apply_one_prefix("egress-b", "b");
	commit();
	assert_in_range(c.world->sets.n_sets - c.world->sets.n_idle_sets, 0,
			c.world->maps.max_sets);
	for (int i = 0; i < 20 && go_on(); i++)
		;
	assert_non_null(entry_of("networkpolicy x/egress-b")->unfit);
}

#define ITS_OWN                                                                          \
	"{\"podSelector\":{\"matchLabels\":{\"app\":\"p%d\"}},\"ingress\":[{\"from\":[{" \
	"\"podSelector\":{}}],\"ports\":[{\"port\":80}]}]}"

static void change_all(int pods)
{
	char name[16];

	apply_cluster("admin", "Admin", CNP_RULE("Deny", "p1"));
	commit();
	for (int i = 2; i < pods; i++) {
		snprintf(name, sizeof(name), "x/p%d", i);
		assert_true(reaches("x/p0", name, 80));
		assert_false(reaches("x/p1", name, 80));
	}
}

/* A change about all pods at once: what it replaces is no room that is taken. */
static void a_change_of_all_needs_no_room_beside_what_it_replaces(void **state)
{
	char name[16], spec[300];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		snprintf(spec, sizeof(spec), ITS_OWN, i);
		add_pod(name, name);
		apply(name, spec);
	}
	cluster_settle(&c);
	/* Of which an eighth is kept back. */
	c.world->maps.max_sets = c.world->sets.n_sets * 8 / 7 + 1;
	change_all(10);
	cluster_settle(&c);
	assert_int_equal(native_maps_count(POLMAP_POL), c.world->sets.n_sets);
	world_set_cluster_policy(c.world, "admin", NULL, NULL);
	cluster_settle(&c);
	assert_true(reaches("x/p1", "x/p2", 80));
	change_all(10);
	assert_string_equal(c.problem, "");
}

/* The map of addresses is full: who has none there is nobody, but policies go on to change. */
static void more_addresses_than_there_is_room_for_keep_no_policy_away(void **state)
{
	struct nmap *map = native_map("loom_ident");
	uint32_t room = map->max_entries;
	char name[16];

	c.world->maps.max_idents = map->max_entries = 6;
	add_pod("a", "a");
	add_pod("b", "b");
	cluster_settle(&c);
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		add_pod(name, "a");
	}
	apply("only-a", ONLY_A);
	cluster_settle(&c);
	assert_false(reaches("x/b", "x/a", 80));
	assert_true(reaches("x/a", "x/b", 80));
	assert_int_equal(native_maps_count(POLMAP_IDENT), 6);
	assert_non_null(strstr(c.problem, "no room for the addresses"));
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "x/p%d", i);
		cluster_pod_gone(&c, name);
	}
	commit();
	go_on();
	assert_true(reaches("x/p8", "x/b", 80));
	assert_true(reaches("x/p9", "x/b", 80));
	assert_int_equal(native_maps_count(POLMAP_IDENT), 4);
	map->max_entries = room;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_waits_keeps_its_text_of_before_whatever_else_changes),
		TEST(a_refused_policy_keeps_its_text_of_before_while_pods_come_and_go),
		TEST(nobody_waits_for_what_has_come_back),
		TEST(nobody_waits_longer_than_said),
		TEST(what_comes_back_needs_room_too),
		TEST(more_addresses_than_there_is_room_for_keep_no_policy_away),
		TEST(a_change_of_all_needs_no_room_beside_what_it_replaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
