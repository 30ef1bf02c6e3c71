// SPDX-License-Identifier: Apache-2.0
/* Ports that get another name, in the service first and in its slices then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "selftests/unit/services/tests.h"
#include "selftests/unit/services/world.h"

static void put_ports(struct fake *f, const char *ports)
{
	fake_change(f, "service/default/web",
		    json("{'spec':{'clusterIPs':['10.96.0.1'],'ports':[%s]}}", ports));
}

/* One endpoint on this node. */
static void put_targets(struct fake *f, const char *ports)
{
	fake_change(f, "endpointslice/default/web-1",
		    json("{'metadata':{'labels':{'kubernetes.io/service-name':'web'}},"
			 "'addressType':'IPv4','ports':[%s],'endpoints':["
			 "{'addresses':['10.1.0.1'],'nodeName':'node1'}]}",
			 ports));
}

static uint32_t only_number(struct fake *f, uint16_t port)
{
	struct loom_svc v = tcp_front(f, "10.96.0.1", port);

	assert_int_equal(v.in_size, 1);
	return svcmaps_slot(fake_services(f)->maps, v.in);
}

static void a_port_that_gets_another_name_keeps_its_connections(void **state)
{
	const uint8_t there = LOOM_BACKEND_PRESENT | LOOM_BACKEND_LOCAL;
	struct fake *f = *state;
	uint32_t number, service;

	put_ports(f, "{'port':80}");
	put_targets(f, "{'port':8080}");
	number = only_number(f, 80);
	service = tcp_front(f, "10.96.0.1", 80).service;
	put_ports(f, "{'name':'http','port':80},{'name':'https','port':443}");
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 0);
	assert_int_equal(backend(f, number).flags, there);
	sound(f);
	put_targets(f, "{'name':'http','port':8080},{'name':'https','port':8443}");
	assert_int_equal(only_number(f, 80), number);
	assert_int_equal(backend(f, number).flags, there | LOOM_BACKEND_READY);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).service, service);
	assert_int_not_equal(only_number(f, 443), number);
	assert_int_equal(f->flow_runs, 0);
	sound(f);
	put_targets(f, "{'port':8080}"); /* the former name means nothing any more */
	fake_settle(f);
	assert_int_equal(fake_services(f)->maps->used_numbers, 0);
	sound(f);
}

static void several_ports_are_renamed_at_once(void **state)
{
	struct fake *f = *state;
	uint32_t a, b;

	put_ports(f, "{'name':'a','port':80},{'name':'b','port':81}");
	put_targets(f, "{'name':'a','port':8080},{'name':'b','port':8081}");
	a = only_number(f, 80);
	b = only_number(f, 81);
	put_ports(f, "{'name':'y','port':81},{'name':'x','port':80}");
	put_targets(f, "{'name':'y','port':8081},{'name':'x','port':8080}");
	assert_int_equal(only_number(f, 80), a);
	assert_int_equal(only_number(f, 81), b);
	assert_int_equal(f->flow_runs, 0);
	sound(f);
}

static void a_former_name_gives_no_new_backends(void **state)
{
	struct fake *f = *state;

	put_ports(f, "{'port':80}");
	put_targets(f, "{'port':8080}");
	put_ports(f, "{'name':'http','port':80}");
	put_slice(f, "web", 1, 5);
	assert_int_equal(tcp_front(f, "10.96.0.1", 80).in_size, 0);
	assert_int_equal(fake_services(f)->maps->used_numbers, 1);
	sound(f);
	drop(f, "endpointslice", "web-1");
	fake_settle(f);
	assert_int_equal(fake_services(f)->maps->used_numbers, 0);
	sound(f);
}

static void a_name_that_is_another_ports_now_is_no_former_one(void **state)
{
	struct fake *f = *state;
	struct loom_svc v;

	put_ports(f, "{'name':'a','port':80},{'name':'b','port':81}");
	put_targets(f, "{'name':'a','port':8080},{'name':'b','port':8081}");
	put_ports(f, "{'name':'b','port':80},{'name':'c','port':81}");
	v = tcp_front(f, "10.96.0.1", 80);
	assert_string_equal(table(f, v.in, v.in_size), "10.1.0.1:8081 ");
	assert_int_equal(tcp_front(f, "10.96.0.1", 81).in_size, 0);
	fake_settle(f);
	assert_int_equal(fake_services(f)->maps->used_numbers, 1);
	sound(f);
}

/* Two ports of one number: the API refuses it, etcd may have it. */
static void of_ports_that_can_not_be_told_apart_none_is_renamed(void **state)
{
	struct fake *f = *state;
	uint32_t service;

	put_ports(f, "{'name':'a','port':80},{'name':'b','port':80}");
	put_targets(f, "{'name':'a','port':8080},{'name':'c','port':8081}");
	service = tcp_front(f, "10.96.0.1", 80).service;
	put_ports(f, "{'name':'c','port':80}");
	assert_int_not_equal(tcp_front(f, "10.96.0.1", 80).service, service);
	put_ports(f, "{'name':'d','port':80},{'name':'e','port':80}");
	fake_settle(f);
	assert_int_equal(fake_services(f)->maps->used_numbers, 0);
	sound(f);
}

const struct CMUnitTest names_tests[] = {
	TEST(a_port_that_gets_another_name_keeps_its_connections),
	TEST(several_ports_are_renamed_at_once),
	TEST(a_former_name_gives_no_new_backends),
	TEST(a_name_that_is_another_ports_now_is_no_former_one),
	TEST(of_ports_that_can_not_be_told_apart_none_is_renamed),
};
const size_t n_names_tests = ARRAY_SIZE(names_tests);
