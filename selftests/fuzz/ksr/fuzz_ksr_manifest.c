// SPDX-License-Identifier: Apache-2.0
/* Any text as a file of manifests: what comes out has a key below ours and a value that is JSON. */
#include <stdlib.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/manifest.h"
#include "lib/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_bad(enum kind kind, const struct err *e, void *arg)
{
	if (!e->code || !*e->msg || kind > KIND_COUNT)
		abort();
}

static void check(const struct manifest_object *o)
{
	const char *at = o->key + strlen(KEY_K8S);
	_json_ *value = NULL;
	unsigned int slashes = 0;

	if (strncmp(o->key, KEY_K8S, strlen(KEY_K8S)) != 0)
		abort();
	for (const char *c = at; *c; c++)
		slashes += *c == '/';
	if (slashes != (kinds[o->kind].namespaced ? 2 : 1))
		abort();
	if (o->value && json_parse(o->value, strlen(o->value), &value, NULL) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest m = {};
	struct err e = {};

	if (manifest_parse((const char *)data, size, &m, on_bad, NULL, &e) < 0) {
		if (!e.code || !*e.msg || m.n)
			abort();
		return 0;
	}
	for (size_t i = 0; i < m.n; i++)
		check(&m.objects[i]);
	manifest_clear(&m);
	return 0;
}
