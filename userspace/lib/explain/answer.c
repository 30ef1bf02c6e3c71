// SPDX-License-Identifier: Apache-2.0
/* Another node's half: what it holds is shown to people, and what it asks for is asked. */
#include <errno.h>
#include <string.h>

#include "lib/base/name.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

#define MAX_STEPS     32
#define MAX_STEP_NAME 16
#define MAX_TEXT      8192
#define MAX_REASON    64
#define MAX_ERROR     500

static int read_text(struct json_object *o, const char *field, size_t max, bool needed,
		     struct err *e)
{
	const char *text = "";
	int err = needed ? json_get_str(o, field, &text, e) : json_opt_str(o, field, &text, e);

	if (err < 0)
		return -EINVAL;
	return strlen(text) > max ? err_set(e, -EINVAL, "%s: %zu bytes", field, strlen(text)) : 0;
}

static int read_steps(struct json_object *o, struct err *e)
{
	struct json_object *steps;
	int err = json_get_array(o, "steps", &steps, e) < 0 ? -EINVAL : 0;

	if (!err && json_object_array_length(steps) > MAX_STEPS)
		return err_set(e, -EINVAL, "steps: %zu of them", json_object_array_length(steps));
	for (size_t i = 0; !err && i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		err = read_text(step, "step", MAX_STEP_NAME, true, e)
			      ?: read_text(step, "text", MAX_TEXT, true, e);
		if (err < 0)
			return err_prefix(e, "steps[%zu]", i);
	}
	return err;
}

static int read_verdict(struct json_object *o, struct err *e)
{
	static const char *const words[] = { "allowed", "denied", "dropped", "unseen" };
	const char *word;

	if (json_get_str(o, "verdict", &word, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(word, words[i]) == 0)
			return 0;
	return err_set(e, -EINVAL, "verdict: '%.32s'", word);
}

/* Is put there anew: a command is for people to type. */
static int read_other(struct json_object *o, const char *field, struct err *e)
{
	struct json_object *other = NULL;
	struct explain_question q;
	const char *node;
	int64_t id;

	if (json_opt_object(o, field, &other, e) < 0)
		return -EINVAL;
	if (!other)
		return 0;
	if (json_get_str(other, "node", &node, e) < 0 ||
	    json_get_int(other, "id", 1, UINT32_MAX, &id, e) < 0 ||
	    explain_question_parse(json_field(other, "question"), &q, e) < 0) {
		err_prefix(e, "%s", field);
		return -EINVAL;
	}
	if (*node && !name_is_subdomain(node))
		return err_set(e, -EINVAL, "%s.node: '%.64s' is no name of a node", field, node);
	return json_add(o, field, other_json(id, node, &q));
}

static int read_error(struct json_object *o, struct err *e)
{
	const char *text = NULL;
	bool bad = false;

	if (json_opt_str(o, "error", &text, e) < 0 || json_opt_bool(o, "bad", &bad, e) < 0) {
		err_prefix(e, "its answer");
		return -EREMOTEIO;
	}
	return text ? err_set(e, bad ? -EINVAL : -EREMOTEIO, "%.*s", MAX_ERROR, text) : 0;
}

/* The one who answers is the one who was asked, whatever it says. */
static int read_half(struct json_object *o, const char *node, struct err *e)
{
	static const char *const others[] = { "before", "after", "instead" };
	int err = json_add_str(o, "node", node);

	err = err ?: read_steps(o, e);
	err = err ?: read_verdict(o, e);
	err = err ?: read_text(o, "reason", MAX_REASON, false, e);
	err = err ?: read_text(o, "text", MAX_TEXT, false, e);
	err = err ?: read_text(o, "because", MAX_TEXT, false, e);
	for (size_t i = 0; !err && i < ARRAY_SIZE(others); i++)
		err = read_other(o, others[i], e);
	return err;
}

int explain_answer_parse(const char *text, size_t len, const char *node, struct json_object **ret,
			 struct err *e)
{
	_json_ *o = NULL;
	int err;

	if (len > EXPLAIN_MAX_ANSWER)
		return err_set(e, -EREMOTEIO, "its answer has %zu bytes", len);
	if (json_parse(text, len, &o, e) < 0 || !json_object_is_type(o, json_type_object)) {
		err_set(e, -EREMOTEIO, "its answer is no JSON object");
		return -EREMOTEIO;
	}
	err = read_error(o, e);
	if (err < 0)
		return err;
	err = read_half(o, node, e);
	if (err < 0) {
		err_prefix(e, "its answer");
		return -EREMOTEIO;
	}
	*ret = TAKE_PTR(o);
	return 0;
}
