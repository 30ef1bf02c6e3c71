// SPDX-License-Identifier: Apache-2.0
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

#define TO(node)                                                                                 \
	"{\"id\":9,\"node\":\"" node "\",\"command\":\"c\",\"question\":{\"from\":\"10.1.1.5\"," \
	"\"to\":\"10.1.2.6\",\"port\":80}}"
#define HALF(node, verdict, more)                                                         \
	"{\"from\":{},\"to\":{},\"protocol\":\"TCP\",\"node\":\"" node "\",\"steps\":[]," \
	"\"verdict\":\"" verdict "\"" more "}"
#define AFTER(node) ",\"after\":" TO(node)

/* What n1, where it is asked, and the others say; NULL: nothing comes, "!": the question is bad. */
static const struct {
	const char *name;
	const char *halves[3]; /* of n1, n2, n3 */
	const char *verdict;   /* NULL: -EINVAL */
	const char *node;
	size_t n;
	const char *unanswered; /* node, or NULL */
} cases[] = {
	{ "on one node", { HALF("n1", "allowed", "") }, "allowed", "n1", 1, NULL },
	{ "to another",
	  { HALF("n1", "allowed", AFTER("n2")), HALF("n2", "allowed", "") },
	  "allowed",
	  "n2",
	  2,
	  NULL },
	{ "denied there",
	  { HALF("n1", "allowed", AFTER("n2")), HALF("n2", "denied", ",\"because\":\"p\"") },
	  "denied",
	  "n2",
	  2,
	  NULL },
	{ "denied here", { HALF("n1", "denied", "") }, "denied", "n1", 1, NULL },
	{ "from another",
	  { HALF("n1", "allowed", ",\"before\":" TO("n2")), HALF("n2", "denied", "") },
	  "denied",
	  "n2",
	  1,
	  NULL },
	{ "from another, and back here",
	  { HALF("n1", "dropped", ",\"before\":" TO("n2")), HALF("n2", "allowed", AFTER("n1")) },
	  "dropped",
	  "n1",
	  2,
	  NULL },
	{ "between two others",
	  { HALF("n1", "unseen", ",\"before\":" TO("n2")), HALF("n2", "allowed", AFTER("n3")),
	    HALF("n3", "allowed", "") },
	  "allowed",
	  "n3",
	  2,
	  NULL },
	{ "from outside, to another node's address",
	  { HALF("n1", "allowed", ",\"instead\":" TO("n3")), NULL, HALF("n3", "denied", "") },
	  "denied",
	  "n3",
	  1,
	  NULL },
	{ "the receiver is silent",
	  { HALF("n1", "allowed", AFTER("n2")) },
	  "unknown",
	  "n1",
	  1,
	  "n2" },
	{ "the sender is silent",
	  { HALF("n1", "allowed", ",\"before\":" TO("n2")) },
	  "unknown",
	  "n1",
	  1,
	  "n2" },
	{ "the sender is silent, and it is denied here",
	  { HALF("n1", "denied", ",\"before\":" TO("n2")) },
	  "denied",
	  "n1",
	  1,
	  "n2" },
	{ "both ends are others', and silent",
	  { HALF("n1", "unseen", ",\"before\":" TO("n2")) },
	  "unknown",
	  "n1",
	  1,
	  "n2" },
	{ "a node without a name", { HALF("n1", "allowed", AFTER("")) }, "unknown", "n1", 1, "" },
	{ "nobody sends from there",
	  { HALF("n1", "unseen", ",\"before\":" TO("n2")), "!" },
	  NULL,
	  "",
	  0,
	  NULL },
};

static int say(const char *half, struct json_object **ret, struct err *e)
{
	if (!half)
		return err_set(e, -EPROTO, "silent");
	if (*half == '!')
		return err_set(e, -EINVAL, "FROM: nobody's");
	*ret = json_tokener_parse(half);
	assert_non_null(*ret);
	return 0;
}

static int here(void *arg, const struct explain_question *q, struct json_object **ret,
		struct err *e)
{
	return say(((const char *const *)arg)[0], ret, e);
}

static int ask(void *arg, const char *node, const struct explain_question *q,
	       struct json_object **ret, struct err *e)
{
	assert_int_equal(q->port, 80);
	return say(((const char *const *)arg)[node[1] - '1'], ret, e);
}

static const struct explain_way_ops ops = { .here = here, .ask = ask };

static const char *str(struct json_object *o, const char *path)
{
	return json_object_get_string(json_path(o, path));
}

void halves_make_a_way_and_one_verdict(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct explain_question q = { .port = 80, .proto = IPPROTO_TCP };
		const char *verdict = cases[i].verdict, *silent;
		_json_ *way = NULL;
		struct err e = {};
		int err = explain_way(&q, &ops, (void *)cases[i].halves, &way, &e);

		if (err != (verdict ? 0 : -EINVAL))
			fail_msg("%s: %d, '%s'", cases[i].name, err, e.msg);
		if (err)
			continue;
		silent = str(way, "unanswered.node");
		if (strcmp(str(way, "verdict"), verdict) != 0 ||
		    strcmp(str(way, "node"), cases[i].node) != 0 ||
		    json_object_array_length(json_field(way, "halves")) != cases[i].n ||
		    !silent != !cases[i].unanswered ||
		    (silent && strcmp(silent, cases[i].unanswered) != 0))
			fail_msg("%s: %s", cases[i].name, json_text(way));
	}
}

void a_packet_that_goes_round_in_circles_is_told(void **state)
{
	const char *halves[] = { HALF("n1", "allowed", AFTER("n2")),
				 HALF("n2", "allowed", AFTER("n1")), NULL };
	const struct explain_question q = { .port = 80, .proto = IPPROTO_TCP };
	_json_ *way = NULL;
	struct err e = {};

	assert_int_equal(explain_way(&q, &ops, halves, &way, &e), 0);
	assert_int_equal(json_object_array_length(json_field(way, "halves")), EXPLAIN_MAX_HALVES);
	assert_string_equal(str(way, "verdict"), "unknown");
	assert_non_null(strstr(str(way, "unanswered.why"), "circles"));
}
