// SPDX-License-Identifier: Apache-2.0
/* Any text as YAML; what is accepted must be writable as JSON and read back the same. */
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/yaml/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct yaml_limits limits = { .max_nodes = 5000, .max_depth = 64 };
	_json_ *docs = NULL;
	_json_ *again = NULL;
	struct err e = {};
	const char *text;

	if (yaml_parse((const char *)data, size, &limits, &docs, &e) < 0) {
		if (!e.code || !*e.msg)
			abort();
		return 0;
	}
	text = json_text(docs);
	if (!text || json_parse(text, strlen(text), &again, &e) < 0)
		abort();
	if (json_object_array_length(docs) != json_object_array_length(again))
		abort();
	return 0;
}
