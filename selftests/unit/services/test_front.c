// SPDX-License-Identifier: Apache-2.0
/* Frontends that come, change and go: the numbers of their addresses, and who gets what several
 * want. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "lib/json/json.h"
#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

/* ---- numbers of addresses ---- */

static bool is_of(struct fake *f, uint32_t number, const char *at)
{
	union loom_addr want = addr(at), got = {};

	assert_int_equal(bpf_map_lookup_elem(f->maps.vip, &number, &got), 0);
	return addr_equal(&got, &want);
}

static void an_address_that_goes_keeps_its_number_for_the_flows_that_have_it(void **state)
{
	struct fake *f = *state;
	uint32_t number;

	put_service(f, "web", "10.96.0.1", ",'externalIPs':['192.0.2.1','192.0.2.2']");
	put_slice(f, "web", 1, 2);
	number = tcp_front(f, "192.0.2.1", 80).vip;
	put_service(f, "web", "10.96.0.1", ",'externalIPs':['192.0.2.2']");
	assert_false(has_front(f, "192.0.2.1", 80));
	assert_true(is_of(f, number, "192.0.2.1"));
	put_service(f, "other", "10.96.0.2", ",'externalIPs':['192.0.2.3']");
	assert_true(is_of(f, number, "192.0.2.1"));
	restart(f);
	assert_int_equal(writes(f), 0);
	assert_true(is_of(f, number, "192.0.2.1"));
	put_service(f, "web", "10.96.0.1", ",'externalIPs':['192.0.2.2','192.0.2.1']");
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).vip, number);
	sound(f);
}

static void put_numbered(struct fake *f, int i)
{
	char name[32], vip[32];

	snprintf(name, sizeof(name), "s%02d", i);
	snprintf(vip, sizeof(vip), "10.96.1.%d", i + 1);
	put_service(f, name, vip, "");
}

static void a_new_address_has_the_number_that_was_idle_for_the_longest(void **state)
{
	struct fake *f = *state;
	uint32_t third, second;

	/* addresses have 32 numbers here */
	for (int i = 0; i < 32; i++)
		put_numbered(f, i);
	third = tcp_front(f, "10.96.1.3", 80).vip;
	second = tcp_front(f, "10.96.1.2", 80).vip;
	drop(f, "service", "s02");
	drop(f, "service", "s01");
	put_numbered(f, 40);
	assert_int_equal(tcp_front(f, "10.96.1.41", 80).vip, third);
	assert_true(is_of(f, third, "10.96.1.41") && is_of(f, second, "10.96.1.2"));
	sound(f);
	put_numbered(f, 2); /* what is back has lost its own */
	assert_int_equal(tcp_front(f, "10.96.1.3", 80).vip, second);
	assert_true(is_of(f, second, "10.96.1.3"));
	put_numbered(f, 1);
	assert_false(has_front(f, "10.96.1.2", 80));
	assert_string_equal(problem_of(f, "s01"), "left out");
	assert_int_equal(f->heals, 0);
	sound(f);
}

static void a_number_whose_change_the_kernel_refuses_stays_what_it_was(void **state)
{
	struct fake *f = *state;
	struct svcmaps *m = fake_services(f)->maps;
	uint32_t number;

	for (int i = 0; i < 32; i++)
		put_numbered(f, i);
	number = tcp_front(f, "10.96.1.1", 80).vip;
	drop(f, "service", "s00");
	m->fd.vip = -1;
	put_numbered(f, 40);
	assert_false(has_front(f, "10.96.1.41", 80));
	m->fd.vip = f->maps.vip;
	put_numbered(f, 0);
	assert_int_equal(tcp_front(f, "10.96.1.1", 80).vip, number);
	sound(f);
}

/* ---- kinds ---- */

static void a_frontend_changes_its_kind_in_place(void **state)
{
	struct fake *f = *state;
	struct loom_svc before, after;
	uint64_t n;

	put_slice(f, "web", 1, 2);
	put_service(f, "web", "10.96.0.1", ",'externalIPs':['192.0.2.9']");
	fake_settle(f);
	before = tcp_front(f, "192.0.2.9", 80);
	n = writes(f);
	fake_change(
		f, "service/default/web",
		json("{'spec':{'type':'LoadBalancer','clusterIPs':['10.96.0.1'],'ports':["
		     "{'port':80}]},'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.9'}]}}}"));
	after = tcp_front(f, "192.0.2.9", 80);
	assert_int_equal(writes(f) - n, 1); /* the frontend's value, and nothing is taken away */
	assert_int_equal(after.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_LOADBALANCER);
	assert_int_equal(after.vip, before.vip);
	assert_true(after.out == before.out && after.out_size == before.out_size);
	sound(f);
}

static void a_kind_for_clients_outside_has_its_port_looked_at_and_no_other_has(void **state)
{
	struct fake *f = *state;

	put_service(f, "web", "192.0.2.9", "");
	assert_false(bit(f, LOOM_PORTS_FRONT, 80));
	put_service(f, "web", "10.96.0.1", ",'externalIPs':['192.0.2.9']");
	assert_int_equal(tcp_front(f, "192.0.2.9", 80).flags,
			 LOOM_SVC_EXTERNAL | LOOM_SVC_EXTERNAL_IP);
	assert_true(bit(f, LOOM_PORTS_FRONT, 80));
	put_service(f, "web", "192.0.2.9", "");
	assert_false(bit(f, LOOM_PORTS_FRONT, 80));
	sound(f);
}

/* ---- who gets what several want ---- */

static const struct {
	const char *name, *thief, *owner; /* creationTimestamps */
	bool owner_first;
} thefts[] = {
	{ "the thief is older", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", true },
	{ "and was there first", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", false },
	{ "only the thief has an age", "2026-01-01T00:00:00Z", "", true },
	{ "nobody's age is known", "", "", false },
};

static void put_claims(struct fake *f, const char *name, const char *created, const char *more)
{
	char key[64];

	snprintf(key, sizeof(key), "service/default/%s", name);
	fake_change(f, key,
		    json("{'metadata':{'creationTimestamp':'%s'},'spec':{'ipFamilies':['IPv4'],'"
			 "ports':[{'port':5432}],%s}",
			 created, more));
}

/* Puts the service that the address was given to, and one that only names it. */
static void put_both(struct fake *f, size_t i, const char *owner, const char *thief)
{
	for (int turn = 0; turn < 2; turn++)
		if (thefts[i].owner_first == (turn == 0))
			put_claims(f, "owner", thefts[i].owner, owner);
		else
			put_claims(f, "thief", thefts[i].thief, thief);
}

static void no_service_gets_an_address_that_another_was_given(void **state)
{
	static const struct {
		const char *owner, *thief;
	} kinds[] = {
		{ "'clusterIPs':['10.96.0.50']}", "'externalIPs':['10.96.0.50']}" },
		{ "'clusterIPs':['10.96.0.50']}", "'type':'LoadBalancer'},'status':{'loadBalancer':"
						  "{'ingress':[{'ip':'10.96.0.50'}]}}" },
		{ "'type':'LoadBalancer'},'status':{'loadBalancer':{'ingress':[{'ip':'10.96.0.50'}]"
		  "}}",
		  "'externalIPs':['10.96.0.50']}" },
	};
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(thefts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			struct service *owner;

			put_both(f, i, kinds[k].owner, kinds[k].thief);
			for (int turn = 0; turn < 2; turn++) {
				HASH_FIND_STR(fake_services(f)->all, "default/owner", owner);
				if (tcp_front(f, "10.96.0.50", 5432).service !=
				    owner->programs->number)
					fail_msg("%s, kinds %zu", thefts[i].name, k);
				assert_string_equal(problem_of(f, "owner"), "");
				assert_string_equal(problem_of(f, "thief"), "taken");
				restart(f);
			}
			assert_int_equal(writes(f), 0);
			sound(f);
			drop(f, "service", "owner");
			assert_string_equal(problem_of(f, "thief"), "");
			drop(f, "service", "thief");
		}
}

const struct CMUnitTest front_tests[] = {
	TEST(an_address_that_goes_keeps_its_number_for_the_flows_that_have_it),
	TEST(a_new_address_has_the_number_that_was_idle_for_the_longest),
	TEST(a_number_whose_change_the_kernel_refuses_stays_what_it_was),
	TEST(a_frontend_changes_its_kind_in_place),
	TEST(a_kind_for_clients_outside_has_its_port_looked_at_and_no_other_has),
	TEST(no_service_gets_an_address_that_another_was_given),
};
const size_t n_front_tests = ARRAY_SIZE(front_tests);
