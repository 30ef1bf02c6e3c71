// SPDX-License-Identifier: Apache-2.0
/*
 * Changes that are interrupted midway: the agent ends at each of its writes in turn and a new one
 * finds the maps so, or a policy goes while its update is written. What is denied before and after
 * the change never passes in between, and in the end the maps are as if nothing had happened.
 */
#include "selftests/unit/policy/namespace_x.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bpf/native/native.h"
#include "lib/json/json.h"

#define PODS	   5
#define PLACES	   (PODS + 1) /* and one outside */
#define PORTS	   2
#define MAX_WRITES 1000

static const char *const names[PODS] = { "a", "b", "c", "d", "e" };
static const char *apps[PODS];
static const uint16_t ports[PORTS] = { 80, 81 };

/* ---- who reaches whom ---- */

struct matrix {
	bool allowed[PLACES][PLACES][PORTS];
	uint32_t entries[POLMAPS]; /* of hashes and tries, rules in use, endpoints that are open */
};

static bool is_there(int place, union loom_addr *ret_addr, char key[8])
{
	uint32_t ep;

	snprintf(key, 8, "x/%s", place < PODS ? names[place] : "");
	if (place == PODS) {
		*ret_addr = ipv4("192.0.2.1");
		return true;
	}
	ep = cluster_ep(&c, key);
	if (ep)
		*ret_addr = c.pods[ep].addrs[0];
	return ep;
}

/* -1: one of them is not there. */
static int asks(int from, int to, uint16_t port)
{
	union loom_addr src, dst;
	char source[8], target[8];

	if (from == to || !is_there(from, &src, source) || !is_there(to, &dst, target))
		return -1;
	return (from == PODS || cluster_egress(&c, source, &dst, TCP, port)) &&
	       (to == PODS || cluster_ingress(&c, target, &src, TCP, port));
}

static void look(struct matrix *m)
{
	for (int from = 0; from < PLACES; from++)
		for (int to = 0; to < PLACES; to++)
			for (int i = 0; i < PORTS; i++)
				m->allowed[from][to][i] = asks(from, to, ports[i]) > 0;
	m->entries[POLMAP_IDENT] = native_maps_count(POLMAP_IDENT);
	m->entries[POLMAP_CLASS] = native_maps_count(POLMAP_CLASS);
	m->entries[POLMAP_POL] = native_maps_count(POLMAP_POL);
	m->entries[POLMAP_RULE] = c.world->sets.lists.slots.used;
	m->entries[POLMAP_EPOL] = 0;
	for (uint32_t ep = 0; ep < 16; ep++)
		m->entries[POLMAP_EPOL] += epol(ep).flags != 0;
}

/* What is allowed before, after, or in between if there is such a state; the rest never is. */
static struct matrix may;
static const char *what;

static void allow(const struct matrix *m)
{
	for (int from = 0; from < PLACES; from++)
		for (int to = 0; to < PLACES; to++)
			for (int i = 0; i < PORTS; i++)
				may.allowed[from][to][i] |= m->allowed[from][to][i];
}

static void never_more_than_may(void *arg)
{
	for (int from = 0; from < PLACES; from++)
		for (int to = 0; to < PLACES; to++)
			for (int i = 0; i < PORTS; i++)
				if (!may.allowed[from][to][i] && asks(from, to, ports[i]) > 0)
					fail_msg("%s, write %u: %d reaches %d at %u", what,
						 c.native.writes, from, to, ports[i]);
}

static void same(const struct matrix *found, const struct matrix *want, uint32_t at)
{
	for (int from = 0; from < PLACES; from++)
		for (int to = 0; to < PLACES; to++)
			for (int i = 0; i < PORTS; i++)
				if (found->allowed[from][to][i] != want->allowed[from][to][i])
					fail_msg("%s, ended at %u: %d reaches %d at %u: %d", what,
						 at, from, to, ports[i],
						 found->allowed[from][to][i]);
	for (int map = 0; map < POLMAPS; map++)
		if (found->entries[map] != want->entries[map])
			fail_msg("%s, ended at %u: map %d has %u entries, want %u", what, at, map,
				 found->entries[map], want->entries[map]);
}

/* ---- the changes ---- */

#define ONLY(app)                                                                           \
	"{\"podSelector\":{\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"NotIn\","  \
	"\"values\":[\"c\"]}]},\"ingress\":[{\"from\":[{\"podSelector\":{\"matchLabels\":{" \
	"\"app\":\"" app "\"}}}]}]}"
/* What only this denies would pass where a set of it is missing. */
#define NOT_81                                                                                  \
	"{\"action\":\"Deny\",\"from\":[{\"pods\":{\"podSelector\":{\"matchExpressions\":["     \
	"{\"key\":\"app\",\"operator\":\"In\",\"values\":[\"a\",\"a2\"]}]}}}],\"protocols\":[{" \
	"\"tcp\":{\"destinationPort\":{\"number\":81}}}]}"
#define BLOCKS                                                                                  \
	"{\"podSelector\":{\"matchLabels\":{\"app\":\"a\"}},\"policyTypes\":[\"Egress\"],"      \
	"\"egress\":[{\"to\":[{\"ipBlock\":{\"cidr\":\"10.1.0.0/16\",\"except\":[\"10.1.0.2/32" \
	"\"]}}],\"ports\":[{\"port\":80}]}]}"

static void label(int pod, const char *app)
{
	apps[pod] = app;
	add_pod(names[pod], app);
}

static void as_it_was(void)
{
	label(0, "a");
	label(1, "b");
	label(2, "c");
	label(4, "a");
	apply_cluster("base", "Admin", NOT_81);
	apply("np", ONLY("a"));
}

static void another_text(void)
{
	apply("np", ONLY("b"));
}

#define FROM_ALL "{\"podSelector\":{},\"ingress\":[{}]}"

static void a_text_that_allows_all(void)
{
	apply("np", FROM_ALL);
}

static void another_policy(void)
{
	apply("blocks", BLOCKS);
}

static void no_policy(void)
{
	world_set_policy(c.world, "x/np", NULL, NULL);
}

static void other_labels_of_the_same_rights(void)
{
	label(0, "a2");
}

static void other_labels(void)
{
	label(0, "b");
	label(1, "a");
}

static void an_administrators(void)
{
	apply_cluster("admin", "Admin", CNP_RULE("Deny", "a") "," CNP_RULE("Accept", "c"));
}

static void another_pod(void)
{
	if (!cluster_ep(&c, "x/d"))
		label(3, "d");
	cluster_pod_gone(&c, "x/a");
}

static void all_at_once(void)
{
	another_policy();
	other_labels();
	an_administrators();
	another_text();
}

static const struct {
	const char *name;
	void (*change)(void);
} changes[] = {
	{ "another text", another_text },
	{ "a text that allows all", a_text_that_allows_all },
	{ "another policy", another_policy },
	{ "no policy", no_policy },
	{ "other labels", other_labels },
	{ "other labels of the same rights", other_labels_of_the_same_rights },
	{ "an administrator's", an_administrators },
	{ "another pod", another_pod },
	{ "all at once", all_at_once },
};

/* ---- the agent ends ---- */

/* An address of the cluster without an identity is not one from outside. */
static void say_what_is_of_the_cluster(void)
{
	const struct loom_cidrkey pods = { .prefixlen = 32 + 112, .addr = ipv4("10.1.0.0") };
	const struct loom_remote behind = { .node = 1 };

	nmap_update(native_map("loom_cidr"), &pods, &behind, 0);
}

static void fresh(void)
{
	cluster_fini(&c);
	cluster_init(&c);
	say_what_is_of_the_cluster();
	cluster_namespace(&c, "x", NULL);
	as_it_was();
	cluster_settle(&c);
}

/* As cluster_settle(), but it may end on the way. True: it came to the end. */
static bool run(void)
{
	bool alive = world_commit(c.world, c.now) == 0;

	for (int i = 0; alive && i < 4; i++) {
		c.now += REAP_AFTER_MS;
		if (world_reap(c.world, c.now))
			alive = world_commit(c.world, c.now) == 0;
	}
	return alive && (!c.native.fail_at || c.native.writes < c.native.fail_at);
}

/* A new agent, which ends too, at the write `at` (0: it does not). It knows what there is now. */
static bool run_anew(void (*change)(void), uint32_t at)
{
	c.native.fail_at = 0;
	cluster_restart(&c);
	cluster_namespace(&c, "x", NULL);
	for (int i = 0; i < PODS; i++) {
		char key[8];

		snprintf(key, sizeof(key), "x/%s", names[i]);
		if (cluster_ep(&c, key))
			add_pod(names[i], apps[i]);
	}
	apply_cluster("base", "Admin", NOT_81);
	apply("np", ONLY("a"));
	change();
	for (uint32_t ep = 1; ep < 16; ep++)
		if (*c.pods[ep].key)
			assert_int_equal(world_set_endpoint(c.world, ep, c.pods[ep].key, "",
							    c.pods[ep].addrs, 1),
					 0);
	c.native.writes = c.native.bumps = 0;
	c.native.fail_at = at;
	return run();
}

static void ends_at_each_write(const char *name, void (*change)(void))
{
	struct matrix before = {}, after = {}, found = {};
	bool done = false;

	what = name;
	fresh();
	look(&before);
	change();
	cluster_settle(&c);
	look(&after);
	for (uint32_t at = 1; !done; at++) {
		assert_true(at < MAX_WRITES);
		fresh();
		may = (struct matrix){};
		allow(&before);
		allow(&after);
		c.native.written = never_more_than_may;
		c.native.writes = 0;
		c.native.ends = true;
		c.native.fail_at = at;
		change();
		done = run();
		/* Nobody is there: it stays so for as long as it takes. */
		never_more_than_may(NULL);
		run_anew(change, at);
		never_more_than_may(NULL);
		assert_true(run_anew(change, 0));
		/* What the one before had changed, live flows hear of now. */
		assert_true(c.native.bumps > 0 || !epol(0).flags);
		c.native.written = NULL;
		look(&found);
		same(&found, &after, at);
	}
}

static void an_agent_that_ends_at_any_write_opens_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		ends_at_each_write(changes[i].name, changes[i].change);
}

/* ---- it goes while its update is under way ---- */

static void a_policy_that_goes_during_its_update_leaves_nothing(void **state)
{
	struct matrix before = {}, updated = {}, after = {}, found = {};
	bool done = false;

	what = "deleted during its update";
	fresh();
	look(&before);
	no_policy();
	cluster_settle(&c);
	look(&after);
	fresh();
	a_text_that_allows_all();
	cluster_settle(&c);
	look(&updated);
	for (uint32_t at = 1; !done; at++) {
		assert_true(at < MAX_WRITES);
		fresh();
		may = (struct matrix){};
		allow(&before);
		allow(&updated);
		c.native.written = never_more_than_may;
		c.native.writes = 0;
		c.native.fail_at = at;
		a_text_that_allows_all();
		done = world_commit(c.world, c.now) == 0;
		c.native.fail_at = 0;
		never_more_than_may(NULL);
		/* The kernel refused a write, and it will be tried again; but by then it is gone.
		 */
		allow(&after);
		no_policy();
		cluster_settle(&c);
		c.native.written = NULL;
		look(&found);
		same(&found, &after, at);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, x_setup, x_teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_agent_that_ends_at_any_write_opens_nothing),
		TEST(a_policy_that_goes_during_its_update_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
