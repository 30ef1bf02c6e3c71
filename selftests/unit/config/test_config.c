// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/config/config.h"
#include "lib/config/config_int.h"

struct settings {
	bool flag;
	int64_t count, wait_ms;
	char *name, *must;
	int color;
	struct config_prefixes cidrs;
	struct config_strings urls;
	union loom_addr address;
};

#define FIELD(path_, type_, member, ...)                                                   \
	{                                                                                  \
		.path = path_, .type = type_, .offset = offsetof(struct settings, member), \
		__VA_ARGS__                                                                \
	}
static const char *const colors[] = { "red", "green", "blue", NULL };
static const struct config_field fields[] = {
	FIELD("flag", CONFIG_BOOL, flag, .def = "true", .doc = "A flag."),
	FIELD("limits.count", CONFIG_INT, count, .def = "5", .doc = "How many.", .min = 1,
	      .max = 10),
	FIELD("limits.wait", CONFIG_DURATION, wait_ms, .def = "90s", .doc = "How long.",
	      .min = 1000, .max = 3600000),
	FIELD("name", CONFIG_STRING, name, .def = "\"\"", .doc = "A name.", .max = 8),
	FIELD("color", CONFIG_ENUM, color, .def = "green", .doc = "A color.", .words = colors),
	FIELD("net.in.cidrs", CONFIG_PREFIXES, cidrs, .def = "[10.0.0.0/8, \"fd00::/8\"]",
	      .doc = "Prefixes.", .max = 3),
	FIELD("net.in.urls", CONFIG_STRINGS, urls, .def = "[]", .doc = "Places."),
	FIELD("net.address", CONFIG_ADDRESS, address, .def = "\"\"", .doc = "An address."),
};
#define N ARRAY_SIZE(fields)

static int parse(const char *text, struct settings *ret, struct err *e)
{
	*ret = (struct settings){};
	return config_parse(fields, N, text, strlen(text), ret, e);
}

static void absent_keys_have_their_defaults(void **state)
{
	static const char *const empty[] = { "", "# nothing\n", "flag:\nlimits:\n", "{}", "---\n" };

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		struct settings s;
		struct err e = {};

		if (parse(empty[i], &s, &e) < 0)
			fail_msg("'%s': %s", empty[i], e.msg);
		assert_true(s.flag);
		assert_int_equal(s.count, 5);
		assert_int_equal(s.wait_ms, 90000);
		assert_string_equal(s.name, "");
		assert_int_equal(s.color, 1);
		assert_int_equal(s.cidrs.n, 2);
		assert_int_equal(s.cidrs.v[0].len, 104);
		assert_int_equal(s.urls.n, 0);
		assert_true(addr_is_zero(&s.address));
		config_free(fields, N, &s);
		assert_null(s.name);
		assert_int_equal(s.cidrs.n, 0);
	}
}

static void given_keys_win(void **state)
{
	static const char text[] = "flag: false\n"
				   "limits: {count: 10, wait: 1m30s}\n"
				   "name: \"42\"\n"
				   "color: blue\n"
				   "net:\n"
				   "  address: fd00::1\n"
				   "  in:\n"
				   "    cidrs: []\n"
				   "    urls: [a, 'b c']\n";
	char addr[ADDR_STRLEN];
	struct settings s;
	struct err e = {};

	if (parse(text, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_false(s.flag);
	assert_int_equal(s.count, 10);
	assert_int_equal(s.wait_ms, 90000);
	assert_string_equal(s.name, "42");
	assert_int_equal(s.color, 2);
	assert_int_equal(s.cidrs.n, 0);
	assert_int_equal(s.urls.n, 2);
	assert_string_equal(s.urls.v[1], "b c");
	assert_null(s.urls.v[2]);
	assert_string_equal(addr_format(&s.address, addr), "fd00::1");
	config_free(fields, N, &s);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "flg: true", "flg: unknown key; did you mean 'flag'?" },
		{ "nmae: x", "nmae: unknown key; did you mean 'name'?" },
		{ "limits: {cuont: 1}", "limits.cuont: unknown key; did you mean 'count'?" },
		{ "Limits: {}", "Limits: unknown key; did you mean 'limits'?" },
		{ "something: 1", "something: unknown key" },
		{ "limits.count: 3", "limits.count: unknown key" },
		{ "'': 3", ": unknown key" },
		{ "flag: 'yes'", "flag: want true or false, found the string 'yes'" },
		{ "flag: on", "flag: want true or false, found the string 'on'" },
		{ "flag: 1", "flag: want true or false, found a number" },
		{ "limits: {count: 11}", "limits.count: 11 is not between 1 and 10" },
		{ "limits: {count: 0}", "limits.count: 0 is not between 1 and 10" },
		{ "limits: {count: many}",
		  "limits.count: want an integer, found the string 'many'" },
		{ "limits: {count: 1.5}", "limits.count: want an integer, found a number" },
		{ "limits: 5", "limits: want keys below it, found a number" },
		{ "limits: [count]", "limits: want keys below it, found an array" },
		{ "limits: {wait: 30}", "limits.wait: want a duration with a unit" },
		{ "limits: {wait: 30 s}", "limits.wait: '30 s' is no duration" },
		{ "limits: {wait: 0s}", "limits.wait: 0s is not between 1s and 1h" },
		{ "limits: {wait: 0}", "limits.wait: 0 is not between 1s and 1h" },
		{ "limits: {wait: 2h}", "limits.wait: 2h is not between 1s and 1h" },
		{ "name: 42", "name: want a string, found a number" },
		{ "name: {a: 1}", "name: want a string, found an object" },
		{ "name: toolonganame", "name: is longer than 8 bytes" },
		{ "name: \"a\\0b\"", "NUL" },
		{ "color: gren",
		  "color: 'gren' is not one of red, green, blue; did you mean 'green'?" },
		{ "color: violet", "color: 'violet' is not one of red, green, blue" },
		{ "color: 3", "color: want one of red, green, blue, found a number" },
		{ "net: {in: {cidrs: 10.0.0.0/8}}", "net.in.cidrs: want a list of prefixes" },
		{ "net: {in: {cidrs: [10.0.0.1/8]}}", "net.in.cidrs: entry 0: " },
		{ "net: {in: {cidrs: [10.0.0.0/8, 5]}}", "net.in.cidrs: entry 1: want a prefix" },
		{ "net: {in: {cidrs: [10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8, 13.0.0.0/8]}}",
		  "net.in.cidrs: has more than 3 entries" },
		{ "net: {in: {urls: [a, 5]}}", "net.in.urls: entry 1: want a string" },
		{ "net: {address: 10.0.0.300}", "net.address: '10.0.0.300'" },
		{ "a: 1\n---\nb: 2\n", "more than one YAML document" },
		{ "[1, 2]", "want keys and values, found an array" },
		{ "just words", "want keys and values, found a string" },
		{ "a: [", "" },
		{ "flag: true\nflag: false\n", "flag" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct settings s;
		struct err e = {};

		if (parse(bad[i].text, &s, &e) >= 0)
			fail_msg("'%s' was taken", bad[i].text);
		if (!strstr(e.msg, bad[i].error))
			fail_msg("'%s': '%s' does not say '%s'", bad[i].text, e.msg, bad[i].error);
		assert_null(s.name);
		assert_null(s.cidrs.v);
	}
}

static void a_required_key_is_asked_for(void **state)
{
	const struct config_field must = FIELD("must", CONFIG_STRING, must, .doc = "It must be.");
	struct settings s = {};
	struct err e = {};

	assert_int_equal(config_parse(&must, 1, "", 0, &s, &e), -EINVAL);
	assert_string_equal(e.msg, "must: is required");
	assert_int_equal(config_parse(&must, 1, "must: x", 7, &s, &e), 0);
	config_free(&must, 1, &s);
}

static void durations_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = { { "0", 0 },	{ "100ms", 100 },     { "30s", 30000 },
		     { "5m", 300000 },	{ "1h30m", 5400000 }, { "1h1m1s1ms", 3661001 },
		     { "90m", 5400000 } };
	static const char *const bad[] = { "",	  "5",	 "s",	 "1.5s",	"-1s",
					   "1 s", "1d",	 "1s1m", "1s1s",	"1hm",
					   "s1",  "+1s", "1sx",	 "99999999999h" };
	int64_t ms;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(config_duration_parse(good[i].text, &ms), 0);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (config_duration_parse(bad[i], &ms) >= 0)
			fail_msg("'%s' was taken", bad[i]);
}

static void the_printed_file_is_read_as_the_defaults(void **state)
{
	_cleanup_(freep) char *text = config_template(fields, N);
	struct settings s;
	struct err e = {};

	assert_string_equal(text, "# A flag.\n"
				  "flag: true\n"
				  "\n"
				  "limits:\n"
				  "  # How many. From 1 to 10.\n"
				  "  count: 5\n"
				  "  # How long.\n"
				  "  wait: 90s\n"
				  "\n"
				  "# A name.\n"
				  "name: \"\"\n"
				  "\n"
				  "# A color. One of: red, green, blue.\n"
				  "color: green\n"
				  "\n"
				  "net:\n"
				  "  in:\n"
				  "    # Prefixes.\n"
				  "    cidrs: [10.0.0.0/8, \"fd00::/8\"]\n"
				  "    # Places.\n"
				  "    urls: []\n"
				  "  # An address.\n"
				  "  address: \"\"\n");
	if (parse(text, &s, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(s.wait_ms, 90000);
	config_free(fields, N, &s);
}

static void a_file_that_is_too_large_or_missing_is_named(void **state)
{
	char path[] = "/tmp/nlt-config-XXXXXX";
	struct settings s = {};
	struct err e = {};
	int fd = mkstemp(path);

	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_int_equal(config_load(fields, N, path, &s, &e), -EFBIG);
	assert_memory_equal(e.msg, path, strlen(path));
	close(fd);
	unlink(path);
	assert_int_equal(config_load(fields, N, path, &s, &e), -ENOENT);
	assert_memory_equal(e.msg, path, strlen(path));
	assert_true(config_load(fields, N, "/tmp", &s, &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_keys_have_their_defaults),
		cmocka_unit_test(given_keys_win),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_required_key_is_asked_for),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(the_printed_file_is_read_as_the_defaults),
		cmocka_unit_test(a_file_that_is_too_large_or_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
