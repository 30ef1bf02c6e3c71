/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cutting what an API server sends into objects, so that one that can't be read costs no other. No
 * I/O, everything is hostile.
 */
#include <json-c/json.h>

#include "lib/base/err.h"

/* A watch: one JSON object a line. Zero-initialised, `max` set. */
struct kube_lines {
	char *buf;
	size_t len, cap, max; /* longer lines are skipped */
	bool skipping;
};
/* `fn` gets each line without its end, NULL for one that was too long; non-zero stops and is
 * returned. -ENOMEM. */
int kube_lines_feed(struct kube_lines *l, const char *data, size_t len,
		    int (*fn)(const char *line, size_t len, void *arg), void *arg);
void kube_lines_clear(struct kube_lines *l);

struct kube_list_ops {
	void (*on_item)(struct json_object *item, void *arg);
	/* The index-th item is no JSON that can be read. */
	void (*on_bad)(size_t index, const struct err *e, void *arg);
};
/* A List: each element of "items", then the rest of it in *ret_rest (items: []). -EINVAL when it is
 * no JSON object; items may have been delivered then. */
int kube_list_split(const char *text, size_t len, const struct kube_list_ops *ops, void *arg,
		    struct json_object **ret_rest, struct err *e);
