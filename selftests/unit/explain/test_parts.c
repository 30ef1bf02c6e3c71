// SPDX-License-Identifier: Apache-2.0
/* What travels between nodes: questions, and answers that are not to be trusted. */
#include "selftests/unit/explain/tests.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/addr.h"
#include "lib/explain/explain.h"
#include "lib/json/json.h"

/* ---- questions ---- */

static const struct {
	const char *name, *json;
	const char *error; /* NULL: it is good, and comes back as … */
	const char *place;
} questions[] = {
	{ "a port", "{\"from\":\"10.1.1.5\",\"to\":\"10.1.2.6\",\"port\":80}", NULL,
	  "10.1.2.6:80/TCP" },
	{ "a protocol",
	  "{\"from\":\"fd00::5\",\"to\":\"fd00::6\",\"port\":53,\"protocol\":\"udp\",\"x\":1}",
	  NULL, "[fd00::6]:53/UDP" },
	{ "SCTP", "{\"from\":\"fd00::5\",\"to\":\"fd00::6\",\"port\":7,\"protocol\":\"SCTP\"}",
	  NULL, "[fd00::6]:7/SCTP" },
	{ "a ping of a flow by a host",
	  "{\"from\":\"10.1.1.5\",\"to\":\"10.1.2.6\",\"flow\":7,\"host\":true}", NULL,
	  "10.1.2.6" },
	{ "a packet that the node before sends",
	  "{\"from\":\"10.1.1.5\",\"to\":\"10.1.2.6\",\"port\":9,\"arrives\":true}", NULL,
	  "10.1.2.6:9/TCP" },
	{ "no object", "[]", "want an object, found an array", "" },
	{ "nothing", "null", "from: missing", "" },
	{ "no addresses", "{\"from\":\"a/b\",\"to\":\"10.1.2.6\"}", "from: 'a/b'", "" },
	{ "a number", "{\"from\":7,\"to\":\"10.1.2.6\"}", "from: want a string", "" },
	{ "no destination", "{\"from\":\"10.1.2.6\"}", "to: missing", "" },
	{ "two families", "{\"from\":\"10.1.1.5\",\"to\":\"fd00::6\"}", "of one family", "" },
	{ "a huge port", "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"port\":65536}", "port", "" },
	{ "a negative flow", "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"flow\":-1}", "flow",
	  "" },
	{ "an unknown protocol",
	  "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"port\":1,\"protocol\":\"IGMP\"}",
	  "protocol: 'IGMP'", "" },
	{ "TCP without a port", "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"protocol\":\"TCP\"}",
	  "port: 0 with", "" },
	{ "ICMP with one",
	  "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"port\":1,\"protocol\":\"ICMP\"}",
	  "port: 1 with", "" },
	{ "a host that is none", "{\"from\":\"10.1.1.5\",\"to\":\"10.1.1.6\",\"host\":\"yes\"}",
	  "host: want", "" },
};

static void questions_are_read_as_written(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		_json_ *o = json_tokener_parse(questions[i].json), *again = NULL;
		struct explain_question q = {}, back = {};
		char place[EXPLAIN_PLACE_LEN];
		struct err e = {};
		int err = explain_question_parse(o, &q, &e);

		if (!err != !questions[i].error || (err && !strstr(e.msg, questions[i].error)))
			fail_msg("%s: %d, '%s'", questions[i].name, err, e.msg);
		if (err)
			continue;
		assert_string_equal(explain_place(&q.dst, q.port, q.proto, place),
				    questions[i].place);
		again = explain_question_json(&q);
		assert_int_equal(explain_question_parse(again, &back, &e), 0);
		assert_memory_equal(&q, &back, sizeof(q));
	}
}

#define QUESTION "{\"from\":\"10.1.1.5\",\"to\":\"10.1.2.6\"}"

static void letters_are_read_as_written(void **state)
{
	static const struct {
		const char *json, *error;
	} cases[] = {
		{ "{\"asker\":\"node1\",\"until\":7,\"question\":" QUESTION "}", NULL },
		{ "{\"asker\":\"../x\",\"until\":7,\"question\":" QUESTION "}",
		  "no name of a node" },
		{ "{\"asker\":\"\",\"until\":7,\"question\":" QUESTION "}", "no name of a node" },
		{ "{\"asker\":\"n\",\"until\":-7,\"question\":" QUESTION "}", "until" },
		{ "{\"asker\":\"n\",\"until\":\"7\",\"question\":" QUESTION "}", "until" },
		{ "{\"asker\":\"n\",\"until\":7}", "question: from: missing" },
		{ "7", "want an object" },
		{ "{\"asker\"", "" },
		{ "", "" },
	};
	static char huge[EXPLAIN_MAX_LETTER + 2];
	struct explain_letter l = {};
	struct err e = {};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int err = explain_letter_parse(cases[i].json, strlen(cases[i].json), &l, &e);

		if (!err != !cases[i].error || (err && !strstr(e.msg, cases[i].error)))
			fail_msg("%s: %d, '%s'", cases[i].json, err, e.msg);
	}
	assert_string_equal(l.asker, "node1");
	assert_int_equal(l.until_ms, 7);
	memset(huge, ' ', sizeof(huge) - 1);
	assert_int_equal(explain_letter_parse(huge, sizeof(huge) - 1, &l, &e), -E2BIG);
}

/* ---- answers ---- */

#define STEPS "\"steps\":[{\"step\":\"in\",\"text\":\"x\"}]"

static const struct {
	const char *name, *json;
	int err;
	const char *text; /* of the error, or of what comes out */
} answers[] = {
	{ "plain", "{" STEPS ",\"verdict\":\"allowed\"}", 0, "\"node\":\"n2\"" },
	{ "another's name", "{\"node\":\"n1\"," STEPS ",\"verdict\":\"allowed\"}", 0,
	  "\"node\":\"n2\"" },
	{ "a command of its own",
	  "{" STEPS
	  ",\"verdict\":\"allowed\",\"after\":{\"id\":3,\"node\":\"n3\",\"command\":\"rm\","
	  "\"question\":" QUESTION "}}",
	  0, "\"command\":\"netloom explain 10.1.1.5 10.1.2.6\"" },
	{ "a node whose name is not known",
	  "{" STEPS
	  ",\"verdict\":\"allowed\",\"after\":{\"id\":3,\"node\":\"\",\"question\":" QUESTION "}}",
	  0, "\"id\":3" },
	{ "it can't tell", "{\"error\":\"no maps\"}", -EREMOTEIO, "no maps" },
	{ "a question that is none", "{\"error\":\"FROM: x\",\"bad\":true}", -EINVAL, "FROM: x" },
	{ "an error that is none", "{\"error\":7}", -EREMOTEIO, "its answer: error: want" },
	{ "no JSON", "{", -EREMOTEIO, "no JSON object" },
	{ "no object", "[]", -EREMOTEIO, "no JSON object" },
	{ "no verdict", "{" STEPS "}", -EREMOTEIO, "its answer: verdict: missing" },
	{ "an unknown verdict", "{" STEPS ",\"verdict\":\"fine\"}", -EREMOTEIO, "verdict: 'fine'" },
	{ "no steps", "{\"verdict\":\"allowed\"}", -EREMOTEIO, "steps: missing" },
	{ "steps of numbers", "{\"steps\":[7],\"verdict\":\"allowed\"}", -EREMOTEIO,
	  "steps[0]: value: want an object" },
	{ "a long name",
	  "{\"steps\":[{\"step\":\"aaaaaaaaaaaaaaaaaaaaaaaa\",\"text\":\"\"}],\"verdict\":"
	  "\"allowed\"}",
	  -EREMOTEIO, "step: 24 bytes" },
	{ "no question", "{" STEPS ",\"verdict\":\"allowed\",\"after\":{\"id\":3,\"node\":\"n3\"}}",
	  -EREMOTEIO, "after: from: missing" },
	{ "no node",
	  "{" STEPS
	  ",\"verdict\":\"allowed\",\"before\":{\"id\":3,\"node\":\"a/b\",\"question\":" QUESTION
	  "}}",
	  -EREMOTEIO, "before.node: 'a/b'" },
	{ "no other", "{" STEPS ",\"verdict\":\"allowed\",\"instead\":7}", -EREMOTEIO,
	  "instead: want an object" },
};

static void answers_are_not_trusted(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		_json_ *o = NULL;
		struct err e = {};
		int err = explain_answer_parse(answers[i].json, strlen(answers[i].json), "n2", &o,
					       &e);
		const char *said = err ? e.msg : json_text(o);

		if (err != answers[i].err || !strstr(said, answers[i].text))
			fail_msg("%s: %d, '%s'", answers[i].name, err, said);
	}
}

static void answers_are_short(void **state)
{
	_cleanup_(freep) char *text = malloc(EXPLAIN_MAX_ANSWER + 1);
	_json_ *many = json_object_new_object(), *o = NULL;
	struct json_object *steps = json_object_new_array();
	struct err e = {};

	for (int i = 0; i < 33; i++)
		json_append(steps, json_tokener_parse("{\"step\":\"in\",\"text\":\"\"}"));
	json_add(many, "steps", steps);
	json_add_str(many, "verdict", "allowed");
	assert_int_equal(
		explain_answer_parse(json_text(many), strlen(json_text(many)), "n2", &o, &e),
		-EREMOTEIO);
	assert_non_null(strstr(e.msg, "steps: 33 of them"));
	memset(text, ' ', EXPLAIN_MAX_ANSWER + 1);
	assert_int_equal(explain_answer_parse(text, EXPLAIN_MAX_ANSWER + 1, "n2", &o, &e),
			 -EREMOTEIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_read_as_written),
		cmocka_unit_test(letters_are_read_as_written),
		cmocka_unit_test(answers_are_not_trusted),
		cmocka_unit_test(answers_are_short),
		cmocka_unit_test(halves_make_a_way_and_one_verdict),
		cmocka_unit_test(a_packet_that_goes_round_in_circles_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
