// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/services/quotes.h"

#include <string.h>

#include "lib/json/json.h"

struct json_object *quoted_json(const char *text)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct json_object *o = NULL;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	json_parse(copy, strlen(copy), &o, NULL);
	return o;
}
