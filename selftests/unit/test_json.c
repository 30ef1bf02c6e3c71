// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json/json.h"

static const struct {
	const char *text;
	int err;
	const char *says;
} cases[] = {
	{ "{}", 0, NULL },
	{ " [1,2] \n", 0, NULL },
	{ "12", 0, NULL },
	{ "null", 0, NULL },
	{ "", -EINVAL, "empty" },
	{ "{\"a\":", -EINVAL, "too early" },
	{ "{} {}", -EINVAL, "after the end" },
	{ "{'a'}", -EINVAL, "not JSON" },
	{ "\"\xff\"", -EINVAL, "not JSON" },
};

static void text_parses_as_one_value(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_json_ *obj = NULL;
		struct err e = {};

		assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), &obj, &e),
				 cases[i].err);
		if (cases[i].err)
			assert_non_null(strstr(e.msg, cases[i].says));
	}
}

static void nesting_is_bounded_but_deep_enough(void **state)
{
	char deep[1200];
	int good = 200, bad = 500;
	_json_ *obj = NULL, *none = NULL;

	memset(deep, '[', good);
	memset(deep + good, ']', good);
	assert_int_equal(json_parse(deep, good * 2, &obj, NULL), 0);
	memset(deep, '[', bad);
	memset(deep + bad, ']', bad);
	assert_int_equal(json_parse(deep, bad * 2, &none, NULL), -EINVAL);
}

static void wrong_types_are_named(void **state)
{
	const char *text = "{\"metadata\":{\"name\":7,\"labels\":\"x\"},\"n\":70000}";
	const char *s = "kept";
	int64_t n = 0;
	struct err e = {};
	_json_ *obj = NULL;

	assert_int_equal(json_parse(text, strlen(text), &obj, NULL), 0);
	assert_int_equal(json_get_str(obj, "metadata.name", &s, &e), -EINVAL);
	assert_string_equal(e.msg, "metadata.name: want a string, found a number");
	assert_int_equal(json_get_str(obj, "metadata.labels.a", &s, &e), -EINVAL);
	assert_string_equal(e.msg, "metadata.labels: want an object, found a string");
	assert_int_equal(json_get_str(obj, "metadata.uid", &s, &e), -ENOENT);
	assert_int_equal(json_opt_str(obj, "metadata.uid", &s, &e), 0);
	assert_string_equal(s, "kept");
	assert_int_equal(json_get_int(obj, "n", 0, 65535, &n, &e), -EINVAL);
	assert_string_equal(e.msg, "n: 70000 is not between 0 and 65535");
}

static void a_nul_in_a_string_is_refused(void **state)
{
	const char *text = "{\"name\":\"a\\u0000b\"}", *s;
	_json_ *obj = NULL;

	assert_int_equal(json_parse(text, strlen(text), &obj, NULL), 0);
	assert_int_equal(json_get_str(obj, "name", &s, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_parses_as_one_value),
		cmocka_unit_test(nesting_is_bounded_but_deep_enough),
		cmocka_unit_test(wrong_types_are_named),
		cmocka_unit_test(a_nul_in_a_string_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
