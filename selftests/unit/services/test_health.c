// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/modules/services/health.h"
#include "lib/base/util.h"
#include "selftests/unit/services/ask.h"

static struct event_base *base;

#define GET "GET /any/path?x HTTP/1.1\r\nHost: lb\r\n\r\n"

static void assert_says(const char *where, const char *what)
{
	if (!strstr(where, what))
		fail_msg("'%s' is missing in:\n%s", what, where);
}

static void a_node_with_endpoints_says_how_many(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	static const int families[] = { AF_INET, AF_INET6 };
	uint16_t port = free_port();
	struct err e = {};

	assert_int_equal(health_new(base, &h), 0);
	health_set_proxy(h, true);
	assert_int_equal(health_set(h, port, "ns", "n", 2, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		const char *a = ask(base, families[i], port, GET);

		assert_says(a, "HTTP/1.1 200 ");
		assert_says(a, "\r\nContent-Type: application/json\r\n");
		assert_says(a, "\r\nX-Content-Type-Options: nosniff\r\n");
		assert_says(a, "\r\nX-Load-Balancing-Endpoint-Weight: 2\r\n");
		assert_says(a, "\r\n\r\n{\"service\":{\"namespace\":\"ns\",\"name\":\"n\"},"
			       "\"localEndpoints\":2,\"serviceProxyHealthy\":true}");
	}
}

static void a_node_whose_last_endpoint_went_says_503(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	uint16_t port = free_port();
	const char *a;

	assert_int_equal(health_new(base, &h), 0);
	health_set_proxy(h, true);
	assert_int_equal(health_set(h, port, "ns", "n", 1, NULL), 0);
	assert_int_equal(health_set(h, port, "ns", "other", 0, NULL), 0);
	a = ask(base, AF_INET, port, GET);
	assert_says(a, "HTTP/1.1 503 ");
	assert_says(a, "X-Load-Balancing-Endpoint-Weight: 0\r\n");
	assert_says(a, "\"name\":\"other\"},\"localEndpoints\":0");
}

static void a_node_whose_maps_are_not_right_says_503(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	uint16_t port = free_port();
	const char *a;

	assert_int_equal(health_new(base, &h), 0);
	assert_int_equal(health_set(h, port, "ns", "n", 3, NULL), 0);
	for (int turn = 0; turn < 2; turn++) {
		a = ask(base, AF_INET, port, GET);
		assert_says(a, "HTTP/1.1 503 ");
		assert_says(a, "X-Load-Balancing-Endpoint-Weight: 3\r\n");
		assert_says(a, "\"localEndpoints\":3,\"serviceProxyHealthy\":false}");
		health_set_proxy(h, true);
		assert_says(ask(base, AF_INET, port, GET), " 200 ");
		health_set_proxy(h, false);
	}
}

static void a_port_in_use_is_named_and_tried_again(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	struct err e = {};
	char want[64];
	uint16_t port;
	int fd = occupy(&port);

	assert_int_equal(health_new(base, &h), 0);
	health_set_proxy(h, true);
	assert_int_equal(health_set(h, port, "ns", "n", 1, &e), -EADDRINUSE);
	snprintf(want, sizeof(want), "service 'ns/n': healthCheckNodePort %u", port);
	assert_says(e.msg, want);
	close(fd);
	assert_int_equal(health_set(h, port, "ns", "n", 1, &e), 0);
	assert_says(ask(base, AF_INET, port, GET), " 200 ");
}

static void a_dropped_port_is_closed(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	uint16_t port = free_port();

	assert_int_equal(health_new(base, &h), 0);
	health_set_proxy(h, true);
	assert_int_equal(health_set(h, port, "ns", "n", 1, NULL), 0);
	health_drop(h, port);
	health_drop(h, port);
	assert_int_equal(call(AF_INET, port), -1);
	assert_int_equal(call(AF_INET6, port), -1);
}

static void what_is_no_request_gets_no_health(void **state)
{
	_cleanup_(health_freep) struct health *h = NULL;
	uint16_t port = free_port();
	char big[6000] = "GET / HTTP/1.1\r\nX: ";

	assert_int_equal(health_new(base, &h), 0);
	health_set_proxy(h, true);
	assert_int_equal(health_set(h, port, "ns", "n", 1, NULL), 0);
	memset(big + strlen(big), 'x', sizeof(big) - 1 - strlen(big));
	assert_null(strstr(ask(base, AF_INET, port, big), " 200 "));
	assert_null(strstr(ask(base, AF_INET, port, "\x16\x03\x01\r\n\r\n"), " 200 "));
	assert_null(
		strstr(ask(base, AF_INET, port, "DELETE / HTTP/1.1\r\nHost: lb\r\n\r\n"), " 200 "));
	assert_says(ask(base, AF_INET, port, GET), " 200 ");
}

static int setup(void **state)
{
	base = event_base_new();
	return base ? own_loopback(state) : -1;
}

static int teardown(void **state)
{
	event_base_free(base);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_node_with_endpoints_says_how_many),
		cmocka_unit_test(a_node_whose_last_endpoint_went_says_503),
		cmocka_unit_test(a_node_whose_maps_are_not_right_says_503),
		cmocka_unit_test(a_port_in_use_is_named_and_tried_again),
		cmocka_unit_test(a_dropped_port_is_closed),
		cmocka_unit_test(what_is_no_request_gets_no_health),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
