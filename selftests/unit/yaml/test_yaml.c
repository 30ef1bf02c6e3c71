// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "lib/json/json.h"
#include "lib/yaml/yaml.h"

static struct json_object *parse(const char *text)
{
	struct json_object *docs = NULL;
	struct err e = {};

	if (yaml_parse(text, strlen(text), NULL, &docs, &e) < 0)
		fail_msg("%s\n%s", text, e.msg);
	return docs;
}

/* ---- what is right ---- */

/* All documents of `yaml`, as JSON. */
static const struct {
	const char *name, *yaml, *json;
} good[] = {
	{ "nothing", "", "[]" },
	{ "only a comment", "# nothing\n", "[]" },
	{ "empty documents are skipped", "---\n---\na: 1\n---\n", "[{\"a\":1}]" },
	{ "several documents", "a: 1\n---\nb: 2\n...\n---\nc: 3\n",
	  "[{\"a\":1},{\"b\":2},{\"c\":3}]" },
	{ "JSON is YAML", "{\"a\": [1, \"x\", null, true, -2.5]}",
	  "[{\"a\":[1,\"x\",null,true,-2.5]}]" },
	{ "nulls", "[null, ~, Null, NULL, ]\n", "[[null,null,null,null]]" },
	{ "a key without a value", "a:\nb: 1\n", "[{\"a\":null,\"b\":1}]" },
	{ "booleans", "[true, True, TRUE, false, False, FALSE]",
	  "[[true,true,true,false,false,false]]" },
	{ "words of YAML 1.1 stay text", "[yes, no, on, off, y, n, tRue]",
	  "[[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\",\"tRue\"]]" },
	{ "whole numbers", "[0, -1, +7, 0x1F, 0o17, 017, 9223372036854775807]",
	  "[[0,-1,7,31,15,15,9223372036854775807]]" },
	{ "what only looks like a number", "[0x, 1.2.3, 1e, 08x, -, 12:30, 1_000, 10.0.0.0/8]",
	  "[[\"0x\",\"1.2.3\",\"1e\",\"08x\",\"-\",\"12:30\",\"1_000\",\"10.0.0.0/8\"]]" },
	{ "quoted scalars are text", "['1', \"true\", 'null', \"\", '~', !!str 12]",
	  "[[\"1\",\"true\",\"null\",\"\",\"~\",\"12\"]]" },
	{ "escapes", "\"a\\tb\\u00e4\\\"\"", "[\"a\\tb\xc3\xa4\\\"\"]" },
	{ "doubled single quotes", "'it''s'", "[\"it's\"]" },
	{ "a literal block", "a: |\n  x\n  y\n", "[{\"a\":\"x\\ny\\n\"}]" },
	{ "a folded block", "a: >-\n  x\n  y\n", "[{\"a\":\"x y\"}]" },
	{ "numbers in a block are text", "a: |-\n  1\n", "[{\"a\":\"1\"}]" },
	{ "keys are text", "1: a\ntrue: b\n", "[{\"1\":\"a\",\"true\":\"b\"}]" },
	{ "an alias is a copy", "a: &x {k: 1}\nb: *x\nc: [*x, *x]\n",
	  "[{\"a\":{\"k\":1},\"b\":{\"k\":1},\"c\":[{\"k\":1},{\"k\":1}]}]" },
	{ "an anchor may be set anew", "[&x 1, *x, &x 2, *x]", "[[1,1,2,2]]" },
	{ "an alias of null", "[&x ~, *x]", "[[null,null]]" },
	{ "a merge gives what is missing", "d: &d {a: 1, b: 2}\ne: {<<: *d, b: 3}\n",
	  "[{\"d\":{\"a\":1,\"b\":2},\"e\":{\"b\":3,\"a\":1}}]" },
	{ "own keys win wherever the merge stands", "d: &d {a: 1}\ne: {a: 2, <<: *d}\n",
	  "[{\"d\":{\"a\":1},\"e\":{\"a\":2}}]" },
	{ "the first of several merges wins", "- &x {a: 1}\n- &y {a: 2, b: 2}\n- <<: [*x, *y]\n",
	  "[[{\"a\":1},{\"a\":2,\"b\":2},{\"a\":1,\"b\":2}]]" },
	{ "a quoted << is a key", "{'<<': 1}", "[{\"<<\":1}]" },
	{ "CRLF", "a: 1\r\nb: 2\r\n", "[{\"a\":1,\"b\":2}]" },
	{ "a byte order mark",
	  "\xef\xbb\xbf"
	  "a: 1\n",
	  "[{\"a\":1}]" },
};

static void right_text_becomes_json(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_json_ *docs = parse(good[i].yaml);
		_json_ *want = NULL;
		struct err e = {};

		if (json_parse(good[i].json, strlen(good[i].json), &want, &e) < 0)
			fail_msg("%s: %s", good[i].name, e.msg);
		if (!json_object_equal(docs, want))
			fail_msg("%s: %s, want %s", good[i].name, json_text(docs), good[i].json);
	}
}

static void types_survive(void **state)
{
	_json_ *docs = parse("[1, 1.5, 1e3, 18446744073709551616, .5, '1']");
	static const enum json_type types[] = { json_type_int,	  json_type_double,
						json_type_double, json_type_double,
						json_type_double, json_type_string };
	struct json_object *list = json_object_array_get_idx(docs, 0);

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(json_object_get_type(json_object_array_get_idx(list, i)),
				 types[i]);
}

/* ---- what is wrong ---- */

/* `says` stands in the message. */
static const struct {
	const char *name, *yaml;
	int err;
	const char *says;
} bad[] = {
	{ "a duplicate key", "a: 1\nb: 2\na: 3\n", -EINVAL, "line 3: key 'a' is there twice" },
	{ "a duplicate key below", "x:\n  a: 1\n  a: 1\n", -EINVAL, "line 3: key 'a'" },
	{ "an alias without anchor", "a: *x\n", -EINVAL, "line 1: alias '*x' has no anchor" },
	{ "an anchor of another document", "a: &x 1\n---\nb: *x\n", -EINVAL, "line 3: alias '*x'" },
	{ "an alias inside of its own anchor", "&x [*x]", -EINVAL, "alias '*x' has no anchor" },
	{ "a list as a key", "[a]: 1\n", -EINVAL, "line 1: a key must be a scalar" },
	{ "a mapping as a key", "{a: 1}: 1\n", -EINVAL, "a key must be a scalar" },
	{ "a merge of a number", "a:\n  <<: 1\n", -EINVAL, "'<<' wants a mapping, found a number" },
	{ "a tab for indentation", "a:\n\tb: 1\n", -EINVAL, "line 2" },
	{ "an unclosed bracket", "a: [1, 2\n", -EINVAL, "line" },
	{ "an unclosed quote", "a: \"x\nb: 1\n", -EINVAL, "line" },
	{ "bad UTF-8", "a: \xff\xfe\n", -EINVAL, "byte 3" },
	{ "a NUL by escape", "a: \"x\\0y\"\n", -EINVAL, "line 1: a NUL character" },
	{ "a NUL in a key", "\"x\\0y\": 1\n", -EINVAL, "line 1: a NUL character" },
};

static void wrong_text_is_refused_with_its_line(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_object *docs = NULL;
		struct err e = {};
		int err = yaml_parse(bad[i].yaml, strlen(bad[i].yaml), NULL, &docs, &e);

		if (err != bad[i].err || !strstr(e.msg, bad[i].says))
			fail_msg("%s: %d '%s', want %d with '%s'", bad[i].name, err, e.msg,
				 bad[i].err, bad[i].says);
		assert_null(docs);
	}
}

/* ---- bounds ---- */

static void a_billion_laughs_end_early(void **state)
{
	static const char text[] = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
				   "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
				   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
				   "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
				   "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
				   "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
				   "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f,*f]\n"
				   "h: [*g,*g,*g,*g,*g,*g,*g,*g,*g,*g]\n";
	static const struct yaml_limits limits = { .max_nodes = 20000 };
	struct json_object *docs = NULL;
	struct err e = {};

	assert_int_equal(yaml_parse(text, strlen(text), &limits, &docs, &e), -E2BIG);
	assert_non_null(strstr(e.msg, "more than 20000 nodes"));
	assert_int_equal(yaml_parse(text, strlen(text), NULL, &docs, &e), -E2BIG);
	assert_null(docs);
}

/* The same through merges, which copy what is below a mapping's keys. */
static void laughs_through_merges_end_early(void **state)
{
	char text[4096] = "a0: &a0 {k: [x,x,x,x,x,x,x,x]}\n";
	static const struct yaml_limits limits = { .max_nodes = 5000 };
	struct json_object *docs = NULL;
	struct err e = {};

	for (int i = 1; i < 12; i++) {
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "a%d: &a%d {<<: *a%d, l%d: *a%d, r%d: *a%d}\n",
			 i, i, i - 1, i, i - 1, i, i - 1);
	}
	assert_int_equal(yaml_parse(text, strlen(text), &limits, &docs, &e), -E2BIG);
}

static int nest(unsigned int depth, const struct yaml_limits *limits, struct err *e)
{
	_json_ *docs = NULL;
	char *text = malloc(depth * 2 + 1);
	int err;

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	err = yaml_parse(text, depth * 2, limits, &docs, e);
	free(text);
	return err;
}

static void nesting_is_bounded(void **state)
{
	static const struct yaml_limits limits = { .max_depth = 8 };
	struct err e = {};

	assert_int_equal(nest(8, &limits, &e), 0);
	assert_int_equal(nest(9, &limits, &e), -E2BIG);
	assert_non_null(strstr(e.msg, "nested deeper than 8"));
	assert_int_equal(nest(256, NULL, &e), 0);
	assert_int_equal(nest(257, NULL, &e), -E2BIG);
	assert_true(nest(100000, NULL, &e) < 0);
}

static void text_is_bounded(void **state)
{
	static const struct yaml_limits limits = { .max_bytes = 4 };
	struct json_object *docs = NULL;
	struct err e = {};

	assert_int_equal(yaml_parse("a: 12", 5, &limits, &docs, &e), -E2BIG);
	assert_null(docs);
}

/* ---- document by document ---- */

struct seen {
	unsigned int n, index[8], line[8];
	int stop_at, stop_with;
};

static int see(struct json_object *doc, unsigned int index, unsigned int line, void *arg)
{
	struct seen *s = arg;

	assert_true(s->n < ARRAY_SIZE(s->index));
	s->index[s->n] = index;
	s->line[s->n++] = line;
	return (int)index == s->stop_at ? s->stop_with : 0;
}

static void documents_come_with_their_lines(void **state)
{
	static const char text[] = "# first\na: 1\n---\nb: 2\n---\n# none\n---\nc: 3\n";
	struct seen s = { .stop_at = -1 };
	struct err e = {};

	assert_int_equal(yaml_parse_each(text, strlen(text), NULL, see, &s, &e), 0);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.index[2], 2);
	assert_int_equal(s.line[1], 3);
	assert_int_equal(s.line[2], 7);
}

static void good_documents_before_a_broken_one_are_seen(void **state)
{
	static const char text[] = "a: 1\n---\nb: 2\n---\nc: [\n---\nd: 4\n";
	struct seen s = { .stop_at = -1 };
	struct err e = {};

	assert_int_equal(yaml_parse_each(text, strlen(text), NULL, see, &s, &e), -EINVAL);
	assert_int_equal(s.n, 2);
}

static void a_callback_can_stop(void **state)
{
	static const char text[] = "a: 1\n---\nb: 2\n---\nc: 3\n";
	struct seen s = { .stop_at = 1, .stop_with = -ECANCELED };

	assert_int_equal(yaml_parse_each(text, strlen(text), NULL, see, &s, NULL), -ECANCELED);
	assert_int_equal(s.n, 2);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_text_becomes_json),
		cmocka_unit_test(types_survive),
		cmocka_unit_test(wrong_text_is_refused_with_its_line),
		cmocka_unit_test(a_billion_laughs_end_early),
		cmocka_unit_test(laughs_through_merges_end_early),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(text_is_bounded),
		cmocka_unit_test(documents_come_with_their_lines),
		cmocka_unit_test(good_documents_before_a_broken_one_are_seen),
		cmocka_unit_test(a_callback_can_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
