/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Labels, and selectors over them (k8s.io/apimachinery, labels.Selector): matchLabels and
 * matchExpressions, all of which must hold. A selector without requirements matches everything;
 * NotIn and DoesNotExist hold for objects without the key.
 */
#include <json-c/json.h>

#include "agent/modules/policy/strs.h"
#include "lib/base/err.h"

struct label {
	struct str *key, *value;
};

struct labels { /* never changed once made */
	uint32_t refs, n;
	struct label v[]; /* sorted by key */
};

/* `map` NULL: none. -EINVAL names the key. `implied_key` (may be NULL) is added unless the map has
 * it. */
int labels_read(struct strs *strs, struct json_object *map, const char *implied_key,
		const char *implied_value, struct labels **ret, struct err *e);
/* Those whose key is chosen (strs.h); NULL: out of memory. */
struct labels *labels_chosen(const struct labels *l);
struct labels *labels_ref(struct labels *l);
void labels_put(struct labels *l); /* accepts NULL */
DEFINE_FREEP(struct labels, labels_put)
/* Borrowed; NULL when there is no such label. */
const struct str *labels_value(const struct labels *l, const struct str *key);

enum selector_op { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_ABSENT };

struct requirement {
	enum selector_op op;
	struct str *key;
	struct str **values;
	uint32_t n_values;
};

struct selector {
	uint32_t n;
	struct requirement v[];
};

/* -EINVAL names field and value: "matchExpressions[1].operator: 'Like' is none of …". */
int selector_read(struct strs *strs, struct json_object *obj, struct selector **ret, struct err *e);
void selector_free(struct selector *s); /* accepts NULL */
DEFINE_FREEP(struct selector, selector_free)
bool selector_matches(const struct selector *s, const struct labels *l);
