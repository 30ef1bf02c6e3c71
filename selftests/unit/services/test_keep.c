// SPDX-License-Identifier: Apache-2.0
/* What is kept over a restart, who gets what several want, what happens when there is no room, and
 * what people see. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/services/kernel_maps.h"
#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

/* ---- restarts ---- */

static void fill_world(struct fake *f)
{
	put_service(f, "a", "10.96.0.1", ",'externalIPs':['192.0.2.1']");
	put_slice(f, "a", 1, 5);
	put_service(f, "b", "10.96.0.2", ",'loadBalancerSourceRanges':['10.0.0.0/8']");
	put_slice(f, "b", 1, 5); /* the same pods: another service's numbers */
	put_service(f, "c", "10.96.0.3", ",'internalTrafficPolicy':'Local'");
	put_slice(f, "c", 3, 2);
	fake_change(f, "service/default/d",
		    json("{'spec':{'clusterIPs':['10.96.0.4','fd00:96::4'],'ports':[{'name':'x','"
			 "port':80,"
			 "'nodePort':30080},{'name':'y','port':81}]}}"));
	put_service(f, "empty", "10.96.0.5", "");
	fake_settle(f);
}

static void a_restart_on_an_unchanged_state_writes_nothing(void **state)
{
	struct fake *f = *state;

	fill_world(f);
	for (int i = 0; i < 3; i++) {
		restart(f);
		fake_settle(f);
		assert_true(fake_services(f)->swept);
		assert_int_equal(writes(f), 0);
		assert_int_equal(f->flow_runs, 0);
		sound(f);
	}
}

static void what_changed_while_the_agent_was_away_is_made_good(void **state)
{
	struct fake *f = *state;
	struct loom_svc before, after;

	fill_world(f);
	before = tcp_front(f, "10.96.0.2", 80);
	fake_stop(f);
	fake_set(f, "service/default/a", NULL);
	fake_set(f, "endpointslice/default/a-1", NULL);
	fake_set(f, "service/default/e",
		 json("{'spec':{'clusterIPs':['10.96.0.6'],'ports':[{'port':80}]}}"));
	fake_start(f);
	fake_resync(f, EVENT_FULL_RESYNC);
	assert_false(has_front(f, "10.96.0.1", 80) || has_front(f, "192.0.2.1", 80));
	assert_true(has_front(f, "10.96.0.6", 80));
	after = tcp_front(f, "10.96.0.2", 80);
	assert_memory_equal(&before, &after, sizeof(before));
	/* 3 frontends, 2 addresses, 5 backends that end, and what the external address had */
	fake_settle(f);
	assert_in_range(writes(f), 1, 24);
	sound(f);
}

static void nothing_is_touched_before_all_objects_are_known(void **state)
{
	struct fake *f = *state;
	struct loom_svc before, after;

	fill_world(f);
	before = tcp_front(f, "10.96.0.1", 80);
	fake_stop(f);
	fake_set(f, "/netloom/ksr/synced/service", NULL);
	fake_set(f, "/netloom/ksr/synced/endpointslice", NULL);
	fake_set(f, "service/default/b", NULL);
	fake_set(f, "endpointslice/default/a-1", NULL);
	fake_start(f);
	fake_resync(f, EVENT_FULL_RESYNC);
	put_service(f, "late", "10.96.0.9", "");
	assert_int_equal(writes(f), 0);
	after = tcp_front(f, "10.96.0.1", 80);
	assert_memory_equal(&before, &after, sizeof(before));
	fake_synced(f);
	assert_true(has_front(f, "10.96.0.9", 80));
	assert_false(has_front(f, "10.96.0.2", 80));
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 0);
	fake_settle(f);
	sound(f);
}

/* What etcd hears, one after the other; the agent dies behind any of them. */
static void update(struct fake *f, int step,
		   void (*put)(struct fake *f, const char *key, struct json_object *value))
{
	static const char slice[] =
		"{'metadata':{'labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[%s]}";
	static const char service[] = "{'spec':{'clusterIPs':['%s'],'ports':[{'port':80%s}]}}";

	switch (step) {
	case 0:
		return put(f, "service/default/a", json(service, "10.96.0.1", ""));
	case 1:
		return put(
			f, "endpointslice/default/a-1",
			json(slice, "a", "{'addresses':['10.1.0.1']},{'addresses':['10.1.0.2']}"));
	case 2:
		return put(f, "service/default/b", json(service, "10.96.0.2", ",'nodePort':30080"));
	case 3:
		return put(
			f, "endpointslice/default/b-1",
			json(slice, "b", "{'addresses':['10.1.0.2']},{'addresses':['10.1.0.3']}"));
	case 4:
		return put(f, "service/default/a", NULL);
	case 5:
		return put(
			f, "endpointslice/default/b-1",
			json(slice, "b", "{'addresses':['10.1.0.3']},{'addresses':['10.1.0.4']}"));
	case 6:
		return put(f, "endpointslice/default/a-1", NULL);
	case 7:
		return put(f, "service/default/c", json(service, "10.96.0.1", ""));
	case 8:
		return put(f, "endpointslice/default/c-1",
			   json(slice, "c", "{'addresses':['10.1.0.1']}"));
	}
}

static void an_agent_that_dies_amid_updates_ends_in_the_same_state(void **state)
{
	const int steps = 9;

	for (int dies = 0; dies < steps; dies++)
		for (int back = dies + 1; back <= steps; back++) {
			struct fake *f;
			void *world;

			assert_int_equal(world_up(&world), 0);
			f = world;
			for (int i = 0; i <= dies; i++)
				update(f, i, fake_change);
			fake_stop(f);
			for (int i = dies + 1; i < back; i++)
				update(f, i, fake_set);
			fake_start(f);
			fake_resync(f, EVENT_FULL_RESYNC);
			for (int i = back; i < steps; i++)
				update(f, i, fake_change);
			assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.1:8080 ");
			assert_string_equal(in_of(f, "10.96.0.2", 80),
					    "10.1.0.3:8080 10.1.0.4:8080 ");
			assert_int_equal(tcp_front(f, "0.0.0.0", 30080).out_size, 101);
			assert_int_equal(map_count(f->maps.svc), 3);
			fake_settle(f);
			assert_int_equal(fake_services(f)->maps->used_numbers, 3);
			assert_int_equal(fake_services(f)->maps->slots.used, 1 + 2 + 101);
			sound(f);
			world_down(&world);
		}
}

static void what_others_did_to_the_maps_is_undone_by_a_resync(void **state)
{
	struct loom_svckey k = { .addr = addr("10.96.0.1"), .port = htons(80), .proto = 6 },
			   stray = { .addr = addr("10.9.9.9"), .port = htons(80), .proto = 6 };
	struct loom_svc junk = { .in = 4000, .in_size = 9 };
	struct fake *f = *state;
	uint32_t slot, number, none = 0;

	fill_world(f);
	slot = tcp_front(f, "10.96.0.1", 80).in;
	number = svcmaps_slot(fake_services(f)->maps, slot);
	bpf_map_update_elem(f->maps.svc, &stray, &junk, BPF_ANY);
	bpf_map_delete_elem(f->maps.svc, &k);
	bpf_map_update_elem(f->maps.lut, &slot, &none, BPF_ANY);
	bpf_map_update_elem(f->maps.backend, &number, &(struct loom_backend){}, BPF_ANY);
	fake_resync(f, EVENT_UPSTREAM_RESYNC);
	assert_false(has_front(f, "10.9.9.9", 80));
	assert_string_equal(
		in_of(f, "10.96.0.1", 80),
		"10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080 10.1.0.4:8080 10.1.0.5:8080 ");
}

/* ---- what several want ---- */

static const char *problem_of(struct fake *f, const char *name)
{
	static char path[200];
	char *text, *at;

	snprintf(path, sizeof(path), "/v1/services/default/%s", name);
	text = fake_get(f, path);
	assert_non_null(text);
	at = strstr(text, " has it");
	snprintf(path, sizeof(path), "%s",
		 at			    ? "taken"
		 : strstr(text, "left out") ? "left out"
					    : "");
	free(text);
	return path;
}

static void put_dated(struct fake *f, const char *name, const char *vip, const char *created)
{
	char key[200];

	snprintf(key, sizeof(key), "service/default/%s", name);
	fake_change(f, key,
		    json("{'metadata':{'creationTimestamp':'%s'},'spec':{'clusterIPs':['%s'],"
			 "'externalIPs':['192.0.2.1'],'ports':[{'port':80}]}}",
			 created, vip));
}

static void the_older_service_has_what_two_want(void **state)
{
	struct fake *f = *state;
	uint32_t a, b;

	put_dated(f, "b", "10.96.0.2", "2026-01-02T00:00:00Z");
	b = tcp_front(f, "10.96.0.2", 80).service;
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service, b);
	put_dated(f, "a", "10.96.0.1", "2026-01-01T00:00:00Z");
	a = tcp_front(f, "10.96.0.1", 80).service;
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service, a);
	assert_string_equal(problem_of(f, "b"), "taken");
	assert_string_equal(problem_of(f, "a"), "");
	sound(f);
	drop(f, "service", "a");
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service, b);
	assert_string_equal(problem_of(f, "b"), "");
	sound(f);
	restart(f);
	assert_int_equal(writes(f), 0);
}

static void without_dates_who_has_it_keeps_it_over_a_restart_too(void **state)
{
	struct fake *f = *state;
	uint32_t number;

	put_dated(f, "z", "10.96.0.2", "");
	number = tcp_front(f, "192.0.2.1", 80).service;
	put_dated(f, "a", "10.96.0.1", "");
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service, number);
	for (int i = 0; i < 2; i++) {
		restart(f);
		assert_int_equal(tcp_front(f, "192.0.2.1", 80).service, number);
		assert_int_equal(writes(f), 0);
	}
	/* both go in one breath */
	fake_set(f, "service/default/a", NULL);
	fake_set(f, "service/default/z", NULL);
	fake_resync(f, EVENT_FULL_RESYNC);
	assert_false(has_front(f, "192.0.2.1", 80));
	sound(f);
}

static struct attachment *pod(struct fake *f, const char *name, const char *ip, uint16_t host_port)
{
	struct attachment *att = &f->pods[f->n_pods++];

	*att = (struct attachment){ .container_id = (char *)name,
				    .ifname = "eth0",
				    .pod_namespace = "default",
				    .pod_name = (char *)name };
	att->ips.ip4 = addr(ip);
	att->ports = calloc(2, sizeof(*att->ports));
	att->n_ports = 2;
	att->ports[0] =
		(struct port_mapping){ .host_port = host_port, .container_port = 80, .proto = 6 };
	att->ports[1] = (struct port_mapping){ .host_port = host_port + 1,
					       .container_port = 80,
					       .proto = 6 };
	return att;
}

static void host_ports_lead_to_their_pod(void **state)
{
	struct fake *f = *state;
	struct attachment *one = pod(f, "z", "10.1.0.1", 8088), *two;
	struct loom_svc v;

	fake_pod(f, one, true);
	v = tcp_front(f, "0.0.0.0", 8088);
	assert_int_equal(v.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_HOSTPORT);
	assert_string_equal(table(f, v.in, v.in_size), "10.1.0.1:80 ");
	assert_string_equal(table(f, v.out, v.out_size), "10.1.0.1:80 ");
	assert_string_equal(in_of(f, "0.0.0.0", 8089), "10.1.0.1:80 ");
	two = pod(f, "a", "10.1.0.2", 8088);
	fake_pod(f, two, true);
	assert_string_equal(in_of(f, "0.0.0.0", 8088), "10.1.0.1:80 ");
	restart(f);
	assert_string_equal(in_of(f, "0.0.0.0", 8088), "10.1.0.1:80 ");
	/* At most the slots of the one that waits: no frontend names them. */
	assert_in_range(writes(f), 0, 4);
	assert_string_equal(problem_of(f, "a"), "taken");
	f->pods[0].n_ports = 2;
	fake_pod(f, one, false);
	assert_string_equal(in_of(f, "0.0.0.0", 8088), "10.1.0.2:80 ");
	f->n_pods = 0;
	fake_resync(f, EVENT_UPSTREAM_RESYNC);
	assert_false(has_front(f, "0.0.0.0", 8088));
	fake_settle(f);
	sound(f);
	free(one->ports);
	free(two->ports);
}

/* ---- no room ---- */

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
	uint64_t compiled;

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
	/* It changes, and waits; others don't. */
	compiled = fake_services(f)->compiled;
	fake_change(f, "endpointslice/default/huge-0", NULL);
	assert_int_equal(fake_services(f)->compiled, compiled);
	put_slice(f, "good", 1, 2);
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.1:8080 10.1.0.2:8080 ");
	assert_int_equal(fake_services(f)->compiled, compiled + 1);
	sound(f);
}

/* ---- what is seen ---- */

static void rest_says_what_is_served(void **state)
{
	struct fake *f = *state;
	_cleanup_(freep) char *text = NULL;
	_json_ *o = NULL;
	struct json_object *svc, *port;

	fake_change(f, "service/default/web",
		    json("{'spec':{'type':'NodePort','clusterIPs':['10.96.0.1'],'ports':["
			 "{'name':'http','port':80,'nodePort':30080},{'name':'bad','port':0}]}}"));
	fake_change(f, "endpointslice/default/web-1",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
			 "'addressType':'IPv4','ports':[{'name':'http','port':8080}],'endpoints':["
			 "{'addresses':['10.1.0.1'],'nodeName':'node1','zone':'a',"
			 "'targetRef':{'kind':'Pod','namespace':'default','name':'web-x'}},"
			 "{'addresses':['300.1.1.1']}]}"));
	text = fake_get(f, "/v1/services");
	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	assert_int_equal(json_object_array_length(o), 1);
	svc = json_object_array_get_idx(o, 0);
	port = json_object_array_get_idx(json_field(svc, "ports"), 0);
	assert_int_equal(json_object_array_length(json_field(svc, "ports")), 1);
	assert_string_equal(json_text(json_field(port, "backends")),
			    "[{\"address\":\"10.1.0.1\",\"port\":8080,\"node\":\"node1\","
			    "\"pod\":\"default/"
			    "web-x\",\"state\":\"ready\",\"local\":true,\"hostNetwork\":false,"
			    "\"zone\":\"a\",\"number\":1}]");
	assert_string_equal(json_text(json_field(port, "frontends")),
			    "[{\"kind\":\"ClusterIP\",\"address\":\"10.96.0.1\",\"port\":80,"
			    "\"problem\":null},{\"kind\":\"NodePort\",\"address\":\"0.0.0.0\","
			    "\"port\":30080,\"problem\":null}]");
	assert_non_null(strstr(json_text(json_field(svc, "problems")), "spec.ports[1].port"));
	assert_non_null(strstr(json_text(json_field(svc, "problems")),
			       "default/web-1: endpoints[1].addresses[0]: '300.1.1.1'"));
	assert_null(fake_get(f, "/v1/services/default/none"));
}

const struct CMUnitTest keep_tests[] = {
	TEST(a_restart_on_an_unchanged_state_writes_nothing),
	TEST(what_changed_while_the_agent_was_away_is_made_good),
	TEST(nothing_is_touched_before_all_objects_are_known),
	TEST(an_agent_that_dies_amid_updates_ends_in_the_same_state),
	TEST(what_others_did_to_the_maps_is_undone_by_a_resync),
	TEST(the_older_service_has_what_two_want),
	TEST(without_dates_who_has_it_keeps_it_over_a_restart_too),
	TEST(host_ports_lead_to_their_pod),
	TEST(endpoints_beyond_the_map_are_left_out_until_there_is_room),
	TEST(frontends_beyond_the_map_are_left_out_until_there_is_room),
	TEST(tables_get_coarser_when_slots_run_out),
	TEST(slots_beyond_what_is_mapped_are_mapped_in_steps),
	TEST(a_million_endpoints_break_nothing_that_worked),
	TEST(rest_says_what_is_served),
};
const size_t n_keep_tests = ARRAY_SIZE(keep_tests);
