// SPDX-License-Identifier: Apache-2.0
/* What happens when a map has no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/services/kernel_maps.h"
#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

static void endpoints_beyond_the_map_are_left_out_until_there_is_room(void **state)
{
	struct fake *f = *state;

	put_service(f, "first", "10.96.0.1", "");
	put_slice(f, "first", 1, 40);
	put_service(f, "second", "10.96.0.2", "");
	put_slice(f, "second", 300, 40);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 40);
	assert_int_equal(tcp_front(f, "10.96.0.2", 80).in_size, 23);
	assert_string_equal(problem_of(f, "second"), "left out");
	assert_string_equal(problem_of(f, "first"), "");
	assert_int_equal(fake_services(f)->n_short, 1);
	sound(f);
	put_slice(f, "first", 1, 10);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 10);
	fake_settle(f);
	assert_int_equal(tcp_front(f, "10.96.0.2", 80).in_size, 40);
	assert_string_equal(problem_of(f, "second"), "");
	assert_int_equal(fake_services(f)->n_short, 0);
	assert_int_equal(f->heals, 0);
	sound(f);
}

static void frontends_beyond_the_map_are_left_out_until_there_is_room(void **state)
{
	struct fake *f = *state;
	char name[32], vip[32];

	/* addresses have 32 numbers here */
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "s%02d", i);
		snprintf(vip, sizeof(vip), "10.96.1.%d", i + 1);
		put_service(f, name, vip, "");
	}
	assert_int_equal(map_count(f->maps.svc), 32);
	assert_int_equal(fake_services(f)->n_short, 8);
	assert_string_equal(problem_of(f, "s39"), "left out");
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "s%02d", i);
		drop(f, "service", name);
	}
	fake_settle(f);
	assert_int_equal(map_count(f->maps.svc), 32);
	assert_int_equal(fake_services(f)->n_short, 0);
	assert_string_equal(problem_of(f, "s39"), "");
	sound(f);
}

static void node_ports_beyond_the_map_are_left_out_until_there_is_room(void **state)
{
	struct json_object *o = json("{'spec':{'ipFamilies':['IPv4'],'ports':[]}}");
	struct fake *f = *state;

	put_service(f, "first", "10.96.0.1", "");
	for (int i = 0; i < 70; i++)
		json_append(json_path(o, "spec.ports"),
			    json("{'port':%d,'nodePort':%d}", i + 1, 30000 + i));
	fake_change(f, "service/default/many", o);
	assert_int_equal(map_count(f->maps.svc), 64);
	assert_string_equal(problem_of(f, "many"), "left out");
	assert_int_equal(f->heals, 0);
	sound(f);
	drop(f, "service", "many");
	assert_int_equal(map_count(f->maps.svc), 1);
	sound(f);
}

static void tables_get_coarser_when_slots_run_out(void **state)
{
	static const char external[] = "{'spec':{'clusterIPs':['10.96.0.%d'],'ports':[{'port':80,"
				       "'nodePort':%d}]}}";
	struct fake *f = *state;
	uint32_t first;

	f->cfg.services.maglev_slots = 300;
	put_slice(f, "one", 1, 5);
	put_slice(f, "two", 11, 5);
	fake_change(f, "service/default/one", json(external, 1, 30001));
	first = tcp_front(f, "0.0.0.0", 30001).out_size;
	assert_int_equal(first, 1613);
	fake_change(f, "service/default/two", json(external, 2, 30002));
	assert_int_equal(tcp_front(f, "0.0.0.0", 30002).out_size, 1613);
	put_slice(f, "three", 21, 5);
	fake_change(f, "service/default/three", json(external, 3, 30003));
	assert_int_equal(tcp_front(f, "0.0.0.0", 30003).out_size, 809);
	assert_int_equal(fake_services(f)->n_short, 1);
	assert_int_equal(tcp_front(f, "0.0.0.0", 30001).out_size, first);
	sound(f);
	drop(f, "service", "one");
	fake_settle(f);
	assert_int_equal(tcp_front(f, "0.0.0.0", 30003).out_size, 1613);
	assert_int_equal(fake_services(f)->n_short, 0);
	sound(f);
}

static void slots_beyond_what_is_mapped_are_mapped_in_steps(void **state)
{
	static const uint32_t slots[] = { 0, 65535, 65536, 299999, 5 };
	struct fake_maps kernel = { .max_fronts = 8,
				    .max_backends = 8,
				    .max_slots = 300000,
				    .max_vips = LOOM_VIP_SERVICE_FIRST + 8,
				    .max_ranges = 8 };
	struct svcmaps *m;

	assert_int_equal(kernel_maps_new(&kernel), 0);
	assert_int_equal(svcmaps_new(&(struct svcmaps_fds){ .svc = kernel.svc,
							    .lut = kernel.lut,
							    .backend = kernel.backend,
							    .vip = kernel.vip,
							    .ports = kernel.ports,
							    .srcrange = kernel.srcrange,
							    .max_backends = kernel.max_backends,
							    .max_slots = kernel.max_slots,
							    .max_vips = kernel.max_vips },
				     &m),
			 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++) {
		const struct region one = { slots[i], 1 };
		uint32_t v = i + 1, got = 0;

		assert_int_equal(svcmaps_slots_set(m, &one, &v), 0);
		assert_int_equal(bpf_map_lookup_elem(kernel.lut, &slots[i], &got), 0);
		assert_int_equal(got, v);
		assert_true(m->mapped > slots[i] && m->mapped <= kernel.max_slots);
	}
	assert_int_equal(svcmaps_slot(m, 65536), 3);
	assert_int_equal(svcmaps_slot(m, 300000), 0);
	svcmaps_free(m);
	kernel_maps_close(&kernel);
}

/* A thousand slices of a thousand endpoints: the slices share them, and differ in their port. */
static void set_million(struct fake *f)
{
	struct json_object *o, *endpoints = json_object_new_array();
	char key[64];

	for (int i = 0; i < 1000; i++)
		json_object_array_add(endpoints,
				      json("{'addresses':['11.0.%d.%d']}", i / 250, i % 250 + 1));
	for (int i = 0; i < 1000; i++) {
		o = json("{'metadata':{'labels':{'kubernetes.io/service-name':'huge'}},"
			 "'addressType':'IPv4','ports':[{'port':%d}]}",
			 i + 1);
		json_add(o, "endpoints", json_object_get(endpoints));
		snprintf(key, sizeof(key), "endpointslice/default/huge-%d", i);
		fake_set(f, key, o);
	}
	json_object_put(endpoints);
}

static void a_million_endpoints_break_nothing_that_worked(void **state)
{
	struct fake *f = *state;
	struct loom_svc before, after;
	struct service *huge;
	uint64_t compiled, before_ms = clock_ms();

	put_service(f, "good", "10.96.0.1", "");
	put_slice(f, "good", 1, 3);
	before = tcp_front(f, "10.96.0.1", 80);
	put_service(f, "huge", "10.96.0.2", "");
	set_million(f);
	assert_int_equal(fake_resync(f, EVENT_FULL_RESYNC), 0);
	after = tcp_front(f, "10.96.0.1", 80);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(tcp_front(f, "10.96.0.2", 80).in_size, 60);
	HASH_FIND_STR(fake_services(f)->all, "default/huge", huge);
	assert_string_equal(huge->problems.v[0],
			    "port 80: 999940 of 1000000 endpoints are left out: all 63 backends "
			    "are in use");
	assert_int_equal(f->heals, 0);
	/* It changes, and waits, however slow the machine is; others don't. */
	assert_true(huge->next_ms > before_ms);
	huge->next_ms += 3600000;
	compiled = fake_services(f)->compiled;
	fake_change(f, "endpointslice/default/huge-0", NULL);
	assert_int_equal(fake_services(f)->compiled, compiled);
	put_slice(f, "good", 1, 2);
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.1:8080 10.1.0.2:8080 ");
	assert_int_equal(fake_services(f)->compiled, compiled + 1);
	sound(f);
}

const struct CMUnitTest room_tests[] = {
	TEST(endpoints_beyond_the_map_are_left_out_until_there_is_room),
	TEST(frontends_beyond_the_map_are_left_out_until_there_is_room),
	TEST(node_ports_beyond_the_map_are_left_out_until_there_is_room),
	TEST(tables_get_coarser_when_slots_run_out),
	TEST(slots_beyond_what_is_mapped_are_mapped_in_steps),
	TEST(a_million_endpoints_break_nothing_that_worked),
};
const size_t n_room_tests = ARRAY_SIZE(room_tests);
