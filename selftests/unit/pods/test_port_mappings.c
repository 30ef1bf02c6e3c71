// SPDX-License-Identifier: Apache-2.0
/* Reading runtimeConfig.portMappings: what counts, what is left out, what is wrong where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/pods/port_mappings.h"
#include "lib/json/json.h"

#define E(host, container, more) "{\"hostPort\":" #host ",\"containerPort\":" #container more "}"
#define PROTO(p)		 ",\"protocol\":\"" p "\""
#define IP(a)			 ",\"hostIP\":\"" a "\""

static int parse(const char *text, struct port_mapping **ret, size_t *ret_n, struct err *e)
{
	_json_ *list = NULL;

	assert_int_equal(json_parse(text, strlen(text), &list, NULL), 0);
	return port_mappings_parse(list, ret, ret_n, e);
}

static const struct {
	const char *text, *want; /* in the words of write() */
} good[] = {
	{ "[]", "" },
	{ "[" E(80, 8080, ) "]", "80>8080/tcp" },
	{ "[" E(1, 65535, PROTO("udp")) "," E(65535, 1, PROTO("SCTP")) "]",
	  "1>65535/udp 65535>1/sctp" },
	{ "[" E(53, 53, PROTO("TCP")) "," E(53, 53, PROTO("Udp")) "]", "53>53/tcp 53>53/udp" },
	{ "[" E(0, 8080, ) ",{}," E(80, 8080, ) "]", "80>8080/tcp" },
	{ "[{\"hostPort\":0,\"protocol\":7,\"hostIP\":[]}]", "" },
	{ "[" E(80, 8080, IP("")) "]", "80>8080/tcp" },
	{ "[" E(80, 8080, IP("0.0.0.0")) "]", "80>8080/tcp" },
	{ "[" E(80, 8080, IP("::")) "]", "80>8080/tcp" },
	{ "[" E(80, 8080, IP("192.0.2.1")) "]", "192.0.2.1:80>8080/tcp" },
	{ "[" E(80, 8080, IP("FD00::0:1")) "]", "fd00::1:80>8080/tcp" },
	/* halves of all addresses */
	{ "[" E(80, 8080, IP("0.0.0.0")) "," E(80, 8080, IP("::")) "]", "80>8080/tcp" },
	{ "[" E(80, 81, IP("192.0.2.1")) "," E(80, 82, IP("192.0.2.2")) "," E(80, 83, ) "]",
	  "192.0.2.1:80>81/tcp 192.0.2.2:80>82/tcp 80>83/tcp" },
	{ "[" E(80, 8080, ",\"name\":\"web\",\"x\":[1]") "]", "80>8080/tcp" },
};

static void write_all(const struct port_mapping *m, size_t n, char *buf, size_t size)
{
	char addr[ADDR_STRLEN];
	size_t len = 0;

	*buf = 0;
	for (size_t i = 0; i < n && len < size; i++) {
		bool all = addr_is_zero(&m[i].host_ip);

		len += snprintf(buf + len, size - len, "%s%s%s%u>%u/%s", i ? " " : "",
				all ? "" : addr_format(&m[i].host_ip, addr), all ? "" : ":",
				m[i].host_port, m[i].container_port, port_mapping_proto(&m[i]));
	}
}

static void what_is_asked_for_is_read_and_kept(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct port_mapping *m = NULL, *again = NULL;
		size_t n = 99, n_again = 99;
		_json_ *kept = NULL;
		char text[256];

		struct err e = {};

		if (parse(good[i].text, &m, &n, &e) < 0)
			fail_msg("%s: %s", good[i].text, e.msg);
		write_all(m, n, text, sizeof(text));
		assert_string_equal(text, good[i].want);
		assert_true(!n == !m);
		kept = port_mappings_json(m, n);
		assert_int_equal(port_mappings_parse(kept, &again, &n_again, NULL), 0);
		write_all(again, n_again, text, sizeof(text));
		assert_string_equal(text, good[i].want);
		free(m);
		free(again);
	}
}

static const struct {
	const char *text, *why;
} bad[] = {
	{ "{}", ": want an array, found an object" },
	{ "\"80\"", ": want an array, found a string" },
	{ "[5]", "[0]: want an object, found a number" },
	{ "[null]", "[0]: want an object, found null" },
	{ "[" E(80, 80, ) "," E(65536, 80, ) "]", "[1]: hostPort: " },
	{ "[" E(-1, 80, ) "]", "[0]: hostPort: " },
	{ "[" E(1.5, 80, ) "]", "[0]: hostPort: " },
	{ "[" E("80", 80, ) "]", "[0]: hostPort: " },
	{ "[{\"hostPort\":80}]", "[0]: containerPort: missing" },
	{ "[" E(80, 0, ) "]", "[0]: containerPort: " },
	{ "[" E(80, 65536, ) "]", "[0]: containerPort: " },
	{ "[" E(0, 1, ) "," E(80, 80, PROTO("icmp")) "]", "[1]: protocol: 'icmp' is none of " },
	{ "[" E(80, 80, PROTO("")) "]", "[0]: protocol: '' is none of " },
	{ "[" E(80, 80, ",\"protocol\":6") "]", "[0]: protocol: " },
	{ "[" E(80, 80, IP("here")) "]", "[0]: hostIP: " },
	{ "[" E(80, 80, IP("192.0.2.1/24")) "]", "[0]: hostIP: " },
	{ "[" E(80, 80, ",\"hostIP\":1") "]", "[0]: hostIP: " },
	{ "[" E(80, 80, IP("::ffff:192.0.2.1")) "]", "[0]: hostIP: " },
	{ "[" E(80, 80, ) "," E(80, 80, ) "]", "[1]: hostPort 80/tcp is asked for twice" },
	{ "[" E(80, 80, ) "," E(80, 81, PROTO("TCP") IP("::")) "]", "[1]: hostPort 80/tcp is ask" },
	{ "[" E(80, 80, IP("0.0.0.0")) "," E(80, 81, IP("::")) "]", "[1]: hostPort 80/tcp is a" },
	{ "[" E(80, 80, IP("::")) "," E(80, 80, IP("::0")) "]", "[1]: hostPort 80/tcp is asked" },
	{ "[" E(80, 80, IP("0.0.0.0")) "," E(80, 80, IP("::")) "," E(80, 80, ) "]",
	  "[2]: hostPort 80/tcp is asked for twice" },
	{ "[" E(80, 80, IP("fd00::1")) "," E(80, 80, IP("fd00:0::1")) "]", "[1]: hostPort 80/tc" },
};

static void what_is_wrong_is_named_by_entry_and_field(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct port_mapping *m = (void *)&bad;
		struct err e = {};
		size_t n = 99;

		assert_int_equal(parse(bad[i].text, &m, &n, &e), -EINVAL);
		if (strncmp(e.msg, bad[i].why, strlen(bad[i].why)))
			fail_msg("%s: '%s', want '%s…'", bad[i].text, e.msg, bad[i].why);
		assert_ptr_equal(m, &bad);
		assert_int_equal(n, 99);
	}
}

static struct json_object *entries(int n)
{
	struct json_object *list = json_object_new_array();

	for (int i = 0; i < n; i++) {
		struct json_object *o = json_object_new_object();

		json_add_int(o, "hostPort", 1 + i);
		json_add_int(o, "containerPort", 1);
		json_append(list, o);
	}
	return list;
}

static void there_is_a_most_that_a_pod_may_ask_for(void **state)
{
	_json_ *most = entries(PORT_MAPPINGS_MAX), *more = entries(PORT_MAPPINGS_MAX + 1);
	struct port_mapping *m = NULL;
	struct err e = {};
	size_t n = 0;

	assert_int_equal(port_mappings_parse(more, &m, &n, &e), -EINVAL);
	assert_string_equal(e.msg, ": 1025 entries; at most 1024");
	assert_int_equal(port_mappings_parse(most, &m, &n, &e), 0);
	assert_int_equal(n, PORT_MAPPINGS_MAX);
	free(m);
}

static const struct {
	const char *a, *b;
	bool clash;
} pairs[] = {
	{ E(80, 1, ), E(80, 2, ), true },
	{ E(80, 1, ), E(81, 1, ), false },
	{ E(80, 1, ), E(80, 1, PROTO("udp")), false },
	{ E(80, 1, ), E(80, 1, IP("192.0.2.1")), true },
	{ E(80, 1, IP("192.0.2.1")), E(80, 1, IP("192.0.2.1")), true },
	{ E(80, 1, IP("192.0.2.1")), E(80, 1, IP("192.0.2.2")), false },
	{ E(80, 1, IP("192.0.2.1")), E(80, 1, IP("fd00::1")), false },
};

static void one_port_at_different_addresses_is_two(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct port_mapping *a = NULL, *b = NULL;
		char text[2][256];
		size_t n_a, n_b;

		snprintf(text[0], sizeof(text[0]), "[" E(7, 7, ) ",%s]", pairs[i].a);
		snprintf(text[1], sizeof(text[1]), "[%s," E(8, 8, ) "]", pairs[i].b);
		assert_int_equal(parse(text[0], &a, &n_a, NULL), 0);
		assert_int_equal(parse(text[1], &b, &n_b, NULL), 0);
		assert_ptr_equal(port_mappings_clash(a, n_a, b, n_b),
				 pairs[i].clash ? &a[1] : NULL);
		assert_ptr_equal(port_mappings_clash(b, n_b, a, n_a),
				 pairs[i].clash ? &b[0] : NULL);
		free(a);
		free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_is_read_and_kept),
		cmocka_unit_test(what_is_wrong_is_named_by_entry_and_field),
		cmocka_unit_test(there_is_a_most_that_a_pod_may_ask_for),
		cmocka_unit_test(one_port_at_different_addresses_is_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
