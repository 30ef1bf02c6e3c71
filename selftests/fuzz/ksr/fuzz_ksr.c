// SPDX-License-Identifier: Apache-2.0
/*
 * A text as a file of manifests, as an object of each kind, and as what etcd holds: what comes out
 * of the reduction must be JSON again, reduce to itself, and have a key below its own kind.
 */
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/manifest.h"
#include "ksr/reduce.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static void on_bad(enum kind kind, const struct err *e, void *arg)
{
	if (!e->code || !e->msg[0])
		die("bad without a reason");
}

static void check_key(enum kind kind, const char *key)
{
	char prefix[64];
	int n = snprintf(prefix, sizeof(prefix), KEY_K8S "%s/", kinds[kind].name);
	size_t slashes = 0;

	if (strncmp(key, prefix, n) != 0 || !key[n])
		die("a key outside of its kind");
	for (const char *c = key + n; *c; c++)
		slashes += *c == '/';
	if (slashes != kinds[kind].namespaced)
		die("a key with other slashes");
}

static void check_value(enum kind kind, const char *value)
{
	_cleanup_(freep) char *again = NULL;
	_json_ *obj = NULL;

	if (json_parse(value, strlen(value), &obj, NULL) < 0)
		die("a value that is no JSON");
	if (reduce_value(kind, obj, &again, NULL) < 0 || strcmp(again, value) != 0)
		die("a value that does not reduce to itself");
	if (!reduced_equal(value, again))
		die("a value that does not equal itself");
}

static void as_object(struct json_object *obj)
{
	for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
		_cleanup_(freep) char *key = NULL;
		_cleanup_(freep) char *value = NULL;

		if (reduce_key(kind, obj, &key, NULL) < 0)
			continue;
		check_key(kind, key);
		if (reduce_value(kind, obj, &value, NULL) == 0)
			check_value(kind, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m = {};
	_json_ *obj = NULL;

	if (manifest_parse((const char *)data, size, &m, on_bad, NULL, NULL) == 0) {
		for (size_t i = 0; i < m.n; i++) {
			check_key(m.objects[i].kind, m.objects[i].key);
			if (m.objects[i].value)
				check_value(m.objects[i].kind, m.objects[i].value);
		}
		manifest_clear(&m);
	}
	if (json_parse((const char *)data, size, &obj, NULL) == 0)
		as_object(obj);
	return 0;
}
