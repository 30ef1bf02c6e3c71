// SPDX-License-Identifier: Apache-2.0
/* What is kept over a restart, who gets what several want, and what people see. */
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
#include "selftests/unit/services/ask.h"
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

static void what_is_missing_in_a_full_list_is_gone(void **state)
{
	struct fake *f = *state;

	fill_world(f);
	fake_set(f, "endpointslice/default/a-1", NULL);
	fake_set(f, "service/default/b", NULL);
	fake_resync(f, EVENT_FULL_RESYNC);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 0);
	assert_false(has_front(f, "10.96.0.2", 80));
	fake_settle(f);
	sound(f);
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

static void of_those_who_waited_the_oldest_is_next(void **state)
{
	struct fake *f = *state;

	put_dated(f, "first", "10.96.0.1", "2026-01-01T00:00:00Z");
	put_dated(f, "a", "10.96.0.2", "");
	put_dated(f, "b", "10.96.0.3", "2026-01-03T00:00:00Z");
	put_dated(f, "c", "10.96.0.4", "2026-01-02T00:00:00Z");
	drop(f, "service", "first");
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service,
			 tcp_front(f, "10.96.0.4", 80).service);
	assert_string_equal(problem_of(f, "c"), "");
	assert_string_equal(problem_of(f, "a"), "taken");
	assert_string_equal(problem_of(f, "b"), "taken");
	sound(f);
}

static void who_waited_has_it_when_the_holder_went_with_the_agent_away(void **state)
{
	struct fake *f = *state;

	put_dated(f, "a", "10.96.0.1", "");
	put_dated(f, "z", "10.96.0.2", "");
	fake_stop(f);
	fake_set(f, "service/default/a", NULL);
	fake_start(f);
	fake_resync(f, EVENT_FULL_RESYNC);
	assert_int_equal(tcp_front(f, "192.0.2.1", 80).service,
			 tcp_front(f, "10.96.0.2", 80).service);
	assert_string_equal(problem_of(f, "z"), "");
	fake_settle(f);
	sound(f);
}

/* A load balancer outside may send traffic here. */
static bool is_healthy(struct fake *f)
{
	static const char balanced[] =
		"{'spec':{'clusterIPs':['10.96.0.99'],'externalTrafficPolicy':'Local',"
		"'healthCheckNodePort':%u,'ports':[{'port':80,'nodePort':30999}]}}";
	static const char get[] = "GET / HTTP/1.1\r\nHost: lb\r\n\r\n";
	static uint16_t port;
	const char *said;

	if (!port)
		port = free_port();
	put_slice(f, "balanced", 2, 1);
	fake_change(f, "service/default/balanced", json(balanced, port));
	said = ask(f->base, AF_INET, port, get);
	assert_non_null(strstr(said, "\"localEndpoints\":1"));
	return strstr(said, " 200 ") != NULL;
}

static void a_node_is_healthy_when_all_objects_are_in_the_maps(void **state)
{
	struct fake *f = *state;

	fake_set(f, "/netloom/ksr/synced/service", NULL);
	restart(f);
	assert_false(is_healthy(f));
	fake_synced(f);
	assert_true(is_healthy(f));
}

static void what_the_kernel_refuses_is_made_good_by_a_resync(void **state)
{
	static const char lb[] = "{'spec':{'type':'LoadBalancer','clusterIPs':['10.96.0.1'],"
				 "'ports':[{'port':80}],'loadBalancerSourceRanges':['%s']},"
				 "'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.9'}]}}}";
	struct fake *f = *state;
	struct svcmaps *m = fake_services(f)->maps;

	fake_change(f, "service/default/web", json(lb, "198.51.100.0/24"));
	assert_true(is_healthy(f));
	m->fd.srcrange = -1;
	fake_change(f, "service/default/web", json(lb, "203.0.113.0/24"));
	assert_int_equal(f->heals, 1);
	assert_false(is_healthy(f));
	m->fd.srcrange = f->maps.srcrange;
	put_service(f, "other", "10.96.0.2", ""); /* heals nothing */
	assert_false(is_healthy(f));
	fake_resync(f, EVENT_UPSTREAM_RESYNC);
	assert_true(is_healthy(f));
	assert_int_equal(f->heals, 1);
	assert_int_equal(map_count(f->maps.srcrange), 1);
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
	TEST(what_is_missing_in_a_full_list_is_gone),
	TEST(what_others_did_to_the_maps_is_undone_by_a_resync),
	TEST(the_older_service_has_what_two_want),
	TEST(without_dates_who_has_it_keeps_it_over_a_restart_too),
	TEST(of_those_who_waited_the_oldest_is_next),
	TEST(who_waited_has_it_when_the_holder_went_with_the_agent_away),
	TEST(a_node_is_healthy_when_all_objects_are_in_the_maps),
	TEST(what_the_kernel_refuses_is_made_good_by_a_resync),
	TEST(host_ports_lead_to_their_pod),
	TEST(rest_says_what_is_served),
};
const size_t n_keep_tests = ARRAY_SIZE(keep_tests);
