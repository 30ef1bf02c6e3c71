// SPDX-License-Identifier: Apache-2.0
/*
 * An object of a watch, of each kind: what is kept of it is kept again unchanged when it is reduced
 * once more, and says the same as itself.
 */
#include <stdlib.h>
#include <string.h>

#include "ksr/reduce.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void reduce(enum kind kind, struct json_object *obj)
{
	_cleanup_(freep) char *key = NULL;
	_cleanup_(freep) char *value = NULL;
	_cleanup_(freep) char *again = NULL;
	_json_ *kept = NULL;
	struct err e = {};

	if (reduce_key(kind, obj, &key, &e) < 0 || reduce_value(kind, obj, &value, &e) < 0) {
		if (!e.code || !*e.msg)
			abort();
		return;
	}
	if (json_parse(value, strlen(value), &kept, NULL) < 0)
		abort();
	if (reduce_value(kind, kept, &again, &e) < 0 || strcmp(value, again) != 0 ||
	    !reduced_equal(value, again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_json_ *obj = NULL;

	if (json_parse((const char *)data, size, &obj, NULL) < 0)
		return 0;
	for (enum kind kind = 0; kind < KIND_COUNT; kind++)
		reduce(kind, obj);
	return 0;
}
