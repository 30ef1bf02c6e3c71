// SPDX-License-Identifier: Apache-2.0
/*
 * What an API server sends: as a list, which must come apart as it does for a whole parser; and as
 * the lines of a watch, which must be the same in any pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/kube/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_item(struct json_object *item, void *arg)
{
	++*(size_t *)arg;
}

static void count_bad(size_t index, const struct err *e, void *arg)
{
	if (!e->code || !*e->msg)
		abort();
	++*(size_t *)arg;
}

static void split(const char *text, size_t len)
{
	static const struct kube_list_ops ops = { .on_item = count_item, .on_bad = count_bad };
	_json_ *whole = NULL;
	_json_ *rest = NULL;
	struct json_object *items;
	struct err e = {};
	size_t n = 0;
	int err = kube_list_split(text, len, &ops, &n, &rest, &e);

	if (!err != (rest != NULL))
		abort();
	/* Keys that are there twice, or hidden behind escapes, may be read either way. */
	if (json_parse(text, len, &whole, NULL) < 0 || memchr(text, '\\', len) ||
	    !json_object_is_type(whole, json_type_object))
		return;
	if (err)
		abort();
	items = json_field(whole, "items");
	if (json_object_is_type(items, json_type_array) && n < json_object_array_length(items))
		abort();
}

struct hash {
	uint64_t value;
	size_t n;
};

static int hash_line(const char *line, size_t len, void *arg)
{
	struct hash *h = arg;

	for (size_t i = 0; line && i < len; i++)
		h->value = (h->value ^ (uint8_t)line[i]) * 1099511628211u;
	h->value = (h->value ^ (line ? 256 : 257)) * 1099511628211u;
	h->n++;
	return 0;
}

static struct hash lines(const char *text, size_t len, size_t piece)
{
	struct kube_lines l = { .max = 64 };
	struct hash h = {};

	for (size_t at = 0; at < len; at += piece) {
		if (kube_lines_feed(&l, text + at, at + piece < len ? piece : len - at, hash_line,
				    &h) < 0)
			abort();
	}
	kube_lines_clear(&l);
	return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hash whole = lines((const char *)data, size, size ? size : 1);
	struct hash pieces = lines((const char *)data, size, 1 + size % 7);

	if (whole.value != pieces.value || whole.n != pieces.n)
		abort();
	split((const char *)data, size);
	return 0;
}
