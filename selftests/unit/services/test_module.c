// SPDX-License-Identifier: Apache-2.0
/* The module from objects to maps of the kernel: what is served, and what is written for it. Needs
 * root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <assert.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/services/ask.h"
#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

/* ---- what is served ---- */

static void a_service_is_in_the_maps_at_once(void **state)
{
	struct fake *f = *state;
	struct loom_svc v;

	put_service(f, "web", "10.96.0.1", "");
	v = tcp_front(f, "10.96.0.1", 80);
	assert_int_equal(v.in_size, 0);
	assert_int_equal(v.flags, LOOM_SVC_CLUSTER_IP);
	put_slice(f, "web", 1, 2);
	v = tcp_front(f, "10.96.0.1", 80);
	assert_int_equal(v.in_size, 2);
	assert_true(v.vip >= LOOM_VIP_SERVICE_FIRST);
	assert_int_equal(v.out_size, 0);
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.1:8080 10.1.0.2:8080 ");
	sound(f);
	drop(f, "service", "web");
	assert_false(has_front(f, "10.96.0.1", 80));
	drop(f, "endpointslice", "web-1");
	fake_settle(f);
	assert_int_equal(fake_services(f)->maps->used_numbers, 0);
	assert_int_equal(fake_services(f)->maps->slots.used, 0);
	assert_null(fake_services(f)->all);
	sound(f);
}

static void both_families_and_all_protocols_share_a_port_number(void **state)
{
	struct fake *f = *state;
	struct loom_svc t = {}, u = {}, six = {};

	fake_change(f, "service/default/dns",
		    json("{'spec':{'clusterIPs':['10.96.0.10','fd00:96::a'],'ports':["
			 "{'name':'t','port':53},{'name':'u','port':53,'protocol':'UDP'},"
			 "{'name':'s','port':53,'protocol':'SCTP'}]}}"));
	fake_change(f, "endpointslice/default/dns-4",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'dns'}},"
			 "'addressType':'IPv4','ports':[{'name':'t','port':5353},"
			 "{'name':'u','port':5354,'protocol':'UDP'}],"
			 "'endpoints':[{'addresses':['10.1.0.1']}]}"));
	fake_change(f, "endpointslice/default/dns-6",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'dns'}},"
			 "'addressType':'IPv6','ports':[{'name':'t','port':5353}],"
			 "'endpoints':[{'addresses':['fd00:1::1']}]}"));
	assert_true(front(f, "10.96.0.10", 53, IPPROTO_TCP, &t));
	assert_string_equal(table(f, t.in, t.in_size), "10.1.0.1:5353 ");
	assert_true(front(f, "10.96.0.10", 53, IPPROTO_UDP, &u));
	assert_string_equal(table(f, u.in, u.in_size), "10.1.0.1:5354 ");
	assert_true(front(f, "10.96.0.10", 53, IPPROTO_SCTP, &u));
	assert_int_equal(u.in_size, 0);
	assert_true(front(f, "fd00:96::a", 53, IPPROTO_TCP, &six));
	assert_string_equal(table(f, six.in, six.in_size), "fd00:1::1:5353 ");
	assert_int_equal(t.service, six.service);
	assert_int_not_equal(t.service, u.service);
	sound(f);
}

static void frontends_of_a_port_share_its_tables(void **state)
{
	struct fake *f = *state;
	struct loom_svc cluster, node, external, lb;

	put_slice(f, "web", 1, 3);
	fake_change(f, "service/default/web",
		    json("{'spec':{'type':'LoadBalancer','clusterIPs':['10.96.0.1'],"
			 "'externalIPs':['192.0.2.7'],'ports':[{'port':80,'nodePort':30080}]},"
			 "'status':{'loadBalancer':{'ingress':[{'ip':'192.0.2.9'}]}}}"));
	cluster = tcp_front(f, "10.96.0.1", 80);
	external = tcp_front(f, "192.0.2.7", 80);
	lb = tcp_front(f, "192.0.2.9", 80);
	node = tcp_front(f, "0.0.0.0", 30080);
	assert_true(cluster.in == node.in && node.in == lb.in && lb.in == external.in);
	assert_true(node.out == lb.out && node.out_size == 101 && node.vip == 0);
	assert_int_equal(node.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_NODEPORT);
	assert_int_equal(lb.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_LOADBALANCER);
	assert_int_equal(external.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_EXTERNAL_IP);
	assert_true(bit(f, LOOM_PORTS_FRONT, 30080));
	assert_false(has_front(f, "::", 30080));
	sound(f);
	fake_change(f, "service/default/web",
		    json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80}]}}"));
	assert_false(has_front(f, "0.0.0.0", 30080) || has_front(f, "192.0.2.7", 80));
	assert_false(bit(f, LOOM_PORTS_FRONT, 30080));
	fake_settle(f);
	sound(f);
}

static void ports_of_one_address_share_its_number(void **state)
{
	struct fake *f = *state;
	uint32_t vip;

	fake_change(
		f, "service/default/web",
		json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80},{'port':81}]}}"));
	vip = tcp_front(f, "10.96.0.1", 80).vip;
	assert_int_equal(tcp_front(f, "10.96.0.1", 81).vip, vip);
	put_service(f, "web", "10.96.0.1", "");
	assert_false(has_front(f, "10.96.0.1", 81));
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).vip, vip);
	sound(f);
}

static void a_node_port_is_on_the_families_of_its_service(void **state)
{
	static const struct {
		const char *families;
		bool v4, v6;
	} cases[] = { { "'IPv4'", true, false },
		      { "'IPv6'", false, true },
		      { "'IPv6','IPv4'", true, true } };
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_change(f, "service/default/web",
			    json("{'spec':{'type':'NodePort','ipFamilies':[%s],'ports':["
				 "{'port':80,'nodePort':30080}]}}",
				 cases[i].families));
		assert_int_equal(has_front(f, "0.0.0.0", 30080), cases[i].v4);
		assert_int_equal(has_front(f, "::", 30080), cases[i].v6);
		sound(f);
	}
}

static void what_another_proxy_serves_is_left_to_it(void **state)
{
	static const char service[] =
		"{'metadata':{'labels':{%s}},'spec':{'clusterIPs':['10.96.0.1'],'ports':["
		"{'port':80,'nodePort':30080}],'externalTrafficPolicy':'Local'}}";
	static const char slice[] = "{'metadata':{'labels':{'kubernetes.io/service-name':'web'%s}},"
				    "'addressType':'IPv4','ports':[{'port':80}],'endpoints':["
				    "{'addresses':['10.1.0.1']}]}";
	struct fake *f = *state;

	fake_change(f, "service/default/web",
		    json(service, "'service.kubernetes.io/service-proxy-name':'x'"));
	fake_change(f, "endpointslice/default/web-1", json(slice, ""));
	assert_int_equal(map_count(f->maps.svc), 0);
	fake_change(f, "service/default/web", json(service, ""));
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.1:80 ");
	fake_change(f, "endpointslice/default/web-1",
		    json(slice, ",'service.kubernetes.io/service-proxy-name':''"));
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 0);
	assert_int_equal(map_count(f->maps.svc), 2);
	fake_settle(f);
	sound(f);
}

static void without_services_the_maps_are_left_alone(void **state)
{
	struct fake *f = *state;

	put_service(f, "web", "10.96.0.1", "");
	fake_stop(f);
	f->cfg.services.enabled = false;
	fake_start(f);
	assert_int_equal(fake_resync(f, EVENT_FULL_RESYNC), 0);
	assert_null(fake_services(f));
	put_service(f, "web", "10.96.0.2", "");
	assert_true(has_front(f, "10.96.0.1", 80));
	assert_false(has_front(f, "10.96.0.2", 80));
	fake_stop(f);
	f->cfg.services.enabled = true;
	fake_start(f);
	fake_resync(f, EVENT_FULL_RESYNC);
	assert_false(has_front(f, "10.96.0.1", 80));
	assert_true(has_front(f, "10.96.0.2", 80));
}

static void node_port_addresses_are_exact_and_follow_the_node(void **state)
{
	struct fake *f = *state;

	f->cfg.services.node_ports.v = calloc(1, sizeof(struct prefix));
	f->cfg.services.node_ports.n = 1;
	prefix_parse("172.30.0.0/16", f->cfg.services.node_ports.v, NULL);
	put_slice(f, "web", 1, 1);
	fake_change(f, "service/default/web",
		    json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'nodePort':30080}"
			 "]}}"));
	assert_true(has_front(f, "172.30.0.11", 30080));
	assert_false(has_front(f, "0.0.0.0", 30080));
	f->own[0] = addr("172.30.0.99");
	fake_uplink(f);
	assert_false(has_front(f, "172.30.0.11", 30080));
	assert_true(has_front(f, "172.30.0.99", 30080));
	sound(f);
}

static void a_node_may_have_hundreds_of_addresses(void **state)
{
	struct fake *f = *state;
	struct loom_svc v;

	f->n_own = ARRAY_SIZE(f->own);
	for (size_t i = 0; i < f->n_own; i++)
		addr_from_v4(0xc6120000 + (i * 7 + 1) % f->n_own, &f->own[i]);
	fake_uplink(f);
	put_service(f, "web", "10.96.0.1", "");
	fake_change(f, "endpointslice/default/web-1",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
			 "'addressType':'IPv4','ports':[{'port':9100}],'endpoints':["
			 "{'addresses':['198.18.1.43']},{'addresses':['198.18.1.44']}]}"));
	v = tcp_front(f, "10.96.0.1", 80);
	assert_int_equal(backend(f, svcmaps_slot(fake_services(f)->maps, v.in)).flags,
			 LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY | LOOM_BACKEND_LOCAL |
				 LOOM_BACKEND_HOST);
	assert_int_equal(backend(f, svcmaps_slot(fake_services(f)->maps, v.in + 1)).flags,
			 LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY);
	assert_true(bit(f, LOOM_PORTS_HOST_BACKEND, 9100));
	sound(f);
}

static void policies_are_flags(void **state)
{
	struct fake *f = *state;
	struct loom_svc v;

	f->cfg.services.mode = SERVICES_DSR;
	put_slice(f, "web", 2, 1); /* on node1; one more is elsewhere */
	fake_change(f, "service/default/web",
		    json("{'spec':{'type':'NodePort','clusterIPs':['10.96.0.1'],'sessionAffinity':"
			 "'ClientIP','ports':[{'port':80,'nodePort':30080}]}}"));
	v = tcp_front(f, "0.0.0.0", 30080);
	assert_int_equal(v.flags,
			 LOOM_SVC_EXTERNAL | LOOM_SVC_NODEPORT | LOOM_SVC_DSR | LOOM_SVC_AFFINITY);
	assert_int_equal(v.affinity_s, 10800);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).flags,
			 LOOM_SVC_CLUSTER_IP | LOOM_SVC_AFFINITY);
	put_slice(f, "web", 1, 1); /* on node2 */
	fake_change(
		f, "service/default/web",
		json("{'spec':{'clusterIPs':['10.96.0.1'],'externalTrafficPolicy':'Local',"
		     "'internalTrafficPolicy':'Local','ports':[{'port':80,'nodePort':30080}]}}"));
	v = tcp_front(f, "0.0.0.0", 30080);
	assert_int_equal(v.flags, LOOM_SVC_EXTERNAL | LOOM_SVC_NODEPORT | LOOM_SVC_LOCAL_OUT |
					  LOOM_SVC_SILENT_OUT);
	assert_true(v.in_size == 1 && v.out_size == 0);
	v = tcp_front(f, "10.96.0.1", 80);
	assert_int_equal(v.flags, LOOM_SVC_CLUSTER_IP | LOOM_SVC_LOCAL_IN | LOOM_SVC_SILENT_IN);
	assert_int_equal(v.in_size, 0);
	fake_settle(f);
	sound(f);
}

static void backends_in_this_hosts_network_have_their_ports_noted(void **state)
{
	struct fake *f = *state;
	struct json_object *o = json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
				     "'addressType':'IPv4','ports':[{'port':9100}],'endpoints':["
				     "{'addresses':['172.30.0.11'],'nodeName':'node1'},"
				     "{'addresses':['172.30.0.12'],'nodeName':'node2'}]}");
	struct loom_svc v;
	struct loom_backend b;

	fake_change(f, "/netloom/node/node2", json("{'id':7,'addresses':['172.30.0.12']}"));
	put_service(f, "web", "10.96.0.1", "");
	fake_change(f, "endpointslice/default/web-1", o);
	v = tcp_front(f, "10.96.0.1", 80);
	b = backend(f, svcmaps_slot(fake_services(f)->maps, v.in));
	assert_int_equal(b.flags, LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY | LOOM_BACKEND_LOCAL |
					  LOOM_BACKEND_HOST);
	assert_int_equal(b.node, 1);
	b = backend(f, svcmaps_slot(fake_services(f)->maps, v.in + 1));
	assert_int_equal(b.flags, LOOM_BACKEND_PRESENT | LOOM_BACKEND_READY | LOOM_BACKEND_HOST);
	assert_int_equal(b.node, 7);
	assert_true(bit(f, LOOM_PORTS_HOST_BACKEND, 9100));
	fake_change(f, "/netloom/node/node2", json("{'id':8,'addresses':[]}"));
	b = backend(f, svcmaps_slot(fake_services(f)->maps, v.in + 1));
	assert_true(b.node == 8 && !(b.flags & LOOM_BACKEND_HOST));
	drop(f, "endpointslice", "web-1");
	assert_false(bit(f, LOOM_PORTS_HOST_BACKEND, 9100));
}

static void a_zone_label_of_the_node_changes_the_tables(void **state)
{
	struct fake *f = *state;

	put_service(f, "web", "10.96.0.1", "");
	fake_change(f, "endpointslice/default/web-1",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
			 "'addressType':'IPv4','ports':[{'port':80}],'endpoints':["
			 "{'addresses':['10.1.0.1'],'hints':{'forZones':[{'name':'a'}]}},"
			 "{'addresses':['10.1.0.2'],'hints':{'forZones':[{'name':'b'}]}}]}"));
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 2);
	fake_change(f, "node/node1",
		    json("{'metadata':{'labels':{'topology.kubernetes.io/zone':'b'}}}"));
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.2:80 ");
	fake_settle(f);
	sound(f);
}

/* ---- what is written ---- */

static void an_unchanged_object_writes_nothing(void **state)
{
	struct fake *f = *state;
	uint64_t before;

	put_service(f, "web", "10.96.0.1", ",'type':'NodePort','externalIPs':['192.0.2.1']");
	put_slice(f, "web", 1, 5);
	fake_settle(f);
	before = writes(f);
	put_service(f, "web", "10.96.0.1", ",'type':'NodePort','externalIPs':['192.0.2.1']");
	put_slice(f, "web", 1, 5);
	fake_resync(f, EVENT_FULL_RESYNC);
	fake_resync(f, EVENT_UPSTREAM_RESYNC);
	fake_settle(f);
	assert_int_equal(writes(f), before);
}

static void one_endpoint_more_writes_what_it_needs_and_nobody_elses(void **state)
{
	struct fake *f = *state;
	struct loom_svc other;
	uint64_t before;

	put_service(f, "other", "10.96.0.2", "");
	put_slice(f, "other", 100, 3);
	put_service(f, "web", "10.96.0.1", "");
	put_slice(f, "web", 1, 5);
	fake_settle(f);
	other = tcp_front(f, "10.96.0.2", 80);
	before = writes(f);
	put_slice(f, "web", 1, 6);
	/* a backend, six slots, a frontend */
	assert_int_equal(writes(f) - before, 1 + 6 + 1);
	before = writes(f);
	put_slice(f, "web", 1, 5);
	/* in place: the frontend; the backend that ends */
	assert_int_equal(writes(f) - before, 1 + 1);
	fake_settle(f);
	assert_int_equal(writes(f) - before, 1 + 1 + 1);
	assert_int_equal(other.in, tcp_front(f, "10.96.0.2", 80).in);
	sound(f);
}

static void an_endpoint_that_is_replaced_changes_one_nth_of_the_maglev_table(void **state)
{
	struct fake *f = *state;
	uint64_t before;

	f->cfg.services.maglev_slots = 100;
	fake_change(f, "service/default/web",
		    json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,'nodePort':30080}"
			 "]}}"));
	put_slice(f, "web", 1, 8);
	fake_settle(f);
	assert_int_equal(tcp_front(f, "0.0.0.0", 30080).out_size, 809);
	before = writes(f);
	put_slice(f, "web", 2, 8);
	/* one of eight is another one: 809/8 slots twice at most, with little more */
	assert_in_range(writes(f) - before, 100, 809 / 8 * 2 + 60);
	fake_settle(f);
	sound(f);
}

/* ---- the end of a backend ---- */

static void connect_to(struct fake *f, uint32_t number)
{
	struct loom_sockkey k = { .cookie = number };
	struct loom_sockrev v = { .backend = number };

	assert_int_equal(bpf_map_update_elem(f->maps.sockrev, &k, &v, BPF_ANY), 0);
}

static void sockets_are_looked_for_only_of_backends_that_have_some(void **state)
{
	struct fake *f = *state;
	uint32_t first;

	f->cfg.services.sockets = 1;
	put_service(f, "web", "10.96.0.1", "");
	put_slice(f, "web", 1, 20);
	first = tcp_front(f, "10.96.0.1", 80).in;
	connect_to(f, svcmaps_slot(fake_services(f)->maps, first + 7));
	connect_to(f, svcmaps_slot(fake_services(f)->maps, first + 8));
	put_slice(f, "web", 1, 1);
	fake_settle(f);
	assert_int_equal(f->sockets_ended, 2);
	assert_int_equal(fake_services(f)->maps->used_numbers, 1);
}

static void a_number_is_free_when_its_flows_have_ended(void **state)
{
	struct fake *f = *state;
	uint32_t gen, number;

	f->cfg.services.sockets = 1;
	put_service(f, "web", "10.96.0.1", "");
	put_slice(f, "web", 1, 1);
	number = svcmaps_slot(fake_services(f)->maps, tcp_front(f, "10.96.0.1", 80).in);
	gen = backend(f, number).gen;
	assert_int_not_equal(gen, 0);
	put_slice(f, "web", 2, 1);
	assert_int_equal(backend(f, number).flags & (LOOM_BACKEND_GONE | LOOM_BACKEND_READY),
			 LOOM_BACKEND_GONE);
	f->flows_fail = true; /* is tried again */
	connect_to(f, number);
	connect_to(f, number + 1);
	fake_settle(f);
	assert_int_equal(f->flow_runs, 2);
	assert_int_equal(f->sockets_ended, 1);
	assert_int_equal(backend(f, number).flags, 0);
	assert_int_equal(backend(f, number).gen, gen);
	fake_services(f)->maps->next_number = number;
	put_slice(f, "web", 3, 1);
	assert_int_equal(backend(f, number).gen, gen + 1);
	sound(f);
}

static void runs_of_the_collector_are_apart_from_each_other(void **state)
{
	struct fake *f = *state;
	uint64_t before_ms = clock_ms();

	put_service(f, "web", "10.96.0.1", "");
	put_slice(f, "web", 1, 3);
	put_slice(f, "web", 1, 2);
	assert_int_equal(f->flow_runs, 1);
	TAKE_PTR(f->flows_done)(fake_agent(f), 0, f->flows_arg);
	/* A pause, which is not over if the machine stands still now. */
	assert_true(fake_services(f)->flows.next_ms > before_ms);
	fake_services(f)->flows.next_ms += 3600000;
	put_slice(f, "web", 1, 1);
	put_slice(f, "web", 2, 1);
	assert_int_equal(f->flow_runs, 1);
	fake_settle(f);
	assert_int_equal(f->flow_runs, 2);
	assert_int_equal(fake_services(f)->maps->used_numbers, 1);
	sound(f);
}

static void udp_flows_move_when_their_backend_is_not_ready_any_more(void **state)
{
	static const struct {
		const char *proto;
		unsigned int runs;
	} cases[] = { { "TCP", 0 }, { "UDP", 1 } };
	static const char slice[] =
		"{'metadata':{'labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'IPv4','ports':[{'port':80,'protocol':'%s'}],"
		"'endpoints':[{'addresses':['10.1.0.1'],'conditions':{'ready':%s}},"
		"{'addresses':['10.1.0.2']}]}";
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *proto = cases[i].proto;

		fake_change(f, "endpointslice/default/x", json(slice, proto, proto, "true"));
		fake_change(f, i ? "service/default/UDP" : "service/default/TCP",
			    json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[{'port':80,"
				 "'protocol':'%s'}]}}",
				 proto));
		fake_settle(f);
		f->flow_runs = 0;
		fake_change(f, "endpointslice/default/x", json(slice, proto, proto, "false"));
		assert_int_equal(f->flow_runs, cases[i].runs);
		fake_settle(f);
		sound(f);
	}
}

static void a_terminating_backend_keeps_its_number_while_another_serves(void **state)
{
	static const char slice[] = "{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
				    "'addressType':'IPv4','ports':[{'port':80}],'endpoints':["
				    "{'addresses':['10.1.0.1'],'conditions':{'ready':%s,'serving':"
				    "true,'terminating':%s}},{'addresses':['10.1.0.2']}]}";
	struct fake *f = *state;
	uint32_t number;

	put_service(f, "web", "10.96.0.1", "");
	fake_change(f, "endpointslice/default/web-1", json(slice, "true", "false"));
	number = svcmaps_slot(fake_services(f)->maps, tcp_front(f, "10.96.0.1", 80).in);
	fake_change(f, "endpointslice/default/web-1", json(slice, "false", "true"));
	assert_string_equal(in_of(f, "10.96.0.1", 80), "10.1.0.2:80 ");
	assert_int_equal(backend(f, number).flags, LOOM_BACKEND_PRESENT | LOOM_BACKEND_TERMINATING);
	restart(f);
	fake_settle(f);
	assert_int_equal(backend(f, number).flags, LOOM_BACKEND_PRESENT | LOOM_BACKEND_TERMINATING);
}

static void an_endpoint_that_never_was_ready_has_no_number(void **state)
{
	struct fake *f = *state;

	put_service(f, "web", "10.96.0.1", "");
	fake_change(f, "endpointslice/default/web-1",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
			 "'addressType':'IPv4','ports':[{'port':80}],'endpoints':["
			 "{'addresses':['10.1.0.1'],'conditions':{'ready':false}}]}"));
	assert_int_equal(fake_services(f)->maps->used_numbers, 0);
}

static const struct CMUnitTest serve_tests[] = {
	TEST(a_service_is_in_the_maps_at_once),
	TEST(both_families_and_all_protocols_share_a_port_number),
	TEST(frontends_of_a_port_share_its_tables),
	TEST(ports_of_one_address_share_its_number),
	TEST(a_node_port_is_on_the_families_of_its_service),
	TEST(what_another_proxy_serves_is_left_to_it),
	TEST(without_services_the_maps_are_left_alone),
	TEST(node_port_addresses_are_exact_and_follow_the_node),
	TEST(a_node_may_have_hundreds_of_addresses),
	TEST(policies_are_flags),
	TEST(backends_in_this_hosts_network_have_their_ports_noted),
	TEST(a_zone_label_of_the_node_changes_the_tables),
	TEST(an_unchanged_object_writes_nothing),
	TEST(one_endpoint_more_writes_what_it_needs_and_nobody_elses),
	TEST(an_endpoint_that_is_replaced_changes_one_nth_of_the_maglev_table),
	TEST(sockets_are_looked_for_only_of_backends_that_have_some),
	TEST(a_number_is_free_when_its_flows_have_ended),
	TEST(runs_of_the_collector_are_apart_from_each_other),
	TEST(udp_flows_move_when_their_backend_is_not_ready_any_more),
	TEST(a_terminating_backend_keeps_its_number_while_another_serves),
	TEST(an_endpoint_that_never_was_ready_has_no_number),
};

int main(void)
{
	const struct {
		const struct CMUnitTest *v;
		size_t n;
	} groups[] = { { serve_tests, ARRAY_SIZE(serve_tests) },
		       { front_tests, n_front_tests },
		       { keep_tests, n_keep_tests },
		       { names_tests, n_names_tests },
		       { ranges_tests, n_ranges_tests },
		       { room_tests, n_room_tests } };
	struct CMUnitTest all[100];
	size_t n = 0;

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++)
		for (size_t i = 0; i < groups[g].n; i++) {
			assert(n < ARRAY_SIZE(all));
			all[n++] = groups[g].v[i];
		}
	return _cmocka_run_group_tests("services", all, n, own_loopback, NULL);
}
