// SPDX-License-Identifier: Apache-2.0
/* Questions and answers as other nodes' agents, or whoever can write to etcd, put them there. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/explain/explain.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What was read is written as it will be read. */
static void ask(const char *text, size_t len)
{
	struct explain_letter l = {}, again = {};
	_json_ *o = NULL;

	if (explain_letter_parse(text, len, &l, NULL) < 0)
		return;
	o = explain_letter_json(&l);
	if (explain_letter_parse(json_text(o), strlen(json_text(o)), &again, NULL) < 0 ||
	    memcmp(&l, &again, sizeof(l)) != 0)
		abort();
}

/* What was accepted once is accepted again, and asks only what can be asked. */
static void answer(const char *text, size_t len)
{
	_json_ *o = NULL, *again = NULL;
	struct explain_question q;

	if (explain_answer_parse(text, len, "n2", &o, NULL) < 0)
		return;
	if (json_field(o, "after") &&
	    explain_question_parse(json_path(o, "after.question"), &q, NULL) < 0)
		abort();
	if (strlen(json_text(o)) <= EXPLAIN_MAX_ANSWER &&
	    explain_answer_parse(json_text(o), strlen(json_text(o)), "n2", &again, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	ask((const char *)data, len);
	answer((const char *)data, len);
	return 0;
}
