// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/labels.h"

#include <errno.h>
#include <string.h>

#include "lib/json/json.h"

/* ---- labels ---- */

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key->text, ((const struct label *)b)->key->text);
}

/* Text without NUL: what stands behind one would be ignored by everybody who compares. */
static int text_of(struct json_object *v, const char *field, const char **ret, struct err *e)
{
	if (!json_object_is_type(v, json_type_string))
		return err_set(e, -EINVAL, "%.200s: want a string, found %s", field,
			       json_type_word(v));
	*ret = json_object_get_string(v);
	if (strlen(*ret) != (size_t)json_object_get_string_len(v))
		return err_set(e, -EINVAL, "%.200s: holds a NUL character", field);
	return 0;
}

static int add_label(struct strs *strs, struct labels *l, const char *key, const char *value)
{
	struct label *at = &l->v[l->n];

	at->key = str_get(strs, key);
	at->value = str_get(strs, value);
	if (at->key && at->value) {
		l->n++;
		return 0;
	}
	str_put(at->key);
	str_put(at->value);
	return -ENOMEM;
}

static int add_labels(struct strs *strs, struct labels *l, struct json_object *map, struct err *e)
{
	const char *text;
	int err;

	json_object_object_foreach(map, key, value)
	{
		err = text_of(value, key, &text, e);
		if (err < 0)
			return err_prefix(e, "metadata.labels");
		err = add_label(strs, l, key, text);
		if (err < 0)
			return err_set(e, err, "out of memory");
	}
	return 0;
}

int labels_read(struct strs *strs, struct json_object *map, const char *implied_key,
		const char *implied_value, struct labels **ret, struct err *e)
{
	size_t n = map ? json_object_object_length(map) : 0;
	_cleanup_(labels_putp) struct labels *l = calloc(1, sizeof(*l) + (n + 1) * sizeof(l->v[0]));
	int err;

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	l->refs = 1;
	err = map ? add_labels(strs, l, map, e) : 0;
	if (err < 0)
		return err;
	if (implied_key && !json_field(map, implied_key) &&
	    add_label(strs, l, implied_key, implied_value) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	qsort(l->v, l->n, sizeof(l->v[0]), by_key);
	*ret = TAKE_PTR(l);
	return 0;
}

struct labels *labels_chosen(const struct labels *l)
{
	struct labels *ret = calloc(1, sizeof(*ret) + l->n * sizeof(l->v[0]));

	if (!ret)
		return NULL;
	ret->refs = 1;
	for (uint32_t i = 0; i < l->n; i++) {
		if (!l->v[i].key->chosen)
			continue;
		ret->v[ret->n++] = (struct label){ .key = str_ref(l->v[i].key),
						   .value = str_ref(l->v[i].value) };
	}
	return ret;
}

struct labels *labels_ref(struct labels *l)
{
	l->refs++;
	return l;
}

void labels_put(struct labels *l)
{
	if (!l || --l->refs)
		return;
	for (uint32_t i = 0; i < l->n; i++) {
		str_put(l->v[i].key);
		str_put(l->v[i].value);
	}
	free(l);
}

const struct str *labels_value(const struct labels *l, const struct str *key)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (l->v[i].key == key)
			return l->v[i].value;
	return NULL;
}

/* ---- selectors ---- */

static const char *const op_names[] = {
	[SELECTOR_IN] = "In",
	[SELECTOR_NOT_IN] = "NotIn",
	[SELECTOR_EXISTS] = "Exists",
	[SELECTOR_ABSENT] = "DoesNotExist",
};

static int read_op(struct json_object *obj, enum selector_op *ret, struct err *e)
{
	const char *text = NULL;
	int err = json_get_str(obj, "operator", &text, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(op_names); i++)
		if (strcmp(text, op_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	return err_set(e, -EINVAL, "operator: '%.64s' is none of In, NotIn, Exists, DoesNotExist",
		       text);
}

static int read_values(struct strs *strs, struct json_object *list, struct requirement *r,
		       struct err *e)
{
	size_t n = list ? json_object_array_length(list) : 0;
	const char *text = NULL;
	int err;

	r->values = calloc(n + 1, sizeof(*r->values));
	if (!r->values)
		return err_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		err = text_of(json_object_array_get_idx(list, i), "values", &text, e);
		if (err < 0)
			return err;
		r->values[i] = str_get(strs, text);
		if (!r->values[i])
			return err_set(e, -ENOMEM, "out of memory");
		r->n_values++;
	}
	return 0;
}

static int read_expression(struct strs *strs, struct json_object *obj, struct requirement *r,
			   struct err *e)
{
	struct json_object *list = NULL;
	const char *key = NULL;
	bool wants;
	int err = json_get_str(obj, "key", &key, e);

	if (!err)
		err = read_op(obj, &r->op, e);
	if (!err)
		err = json_opt_array(obj, "values", &list, e);
	if (err < 0)
		return err;
	r->key = str_get(strs, key);
	if (!r->key)
		return err_set(e, -ENOMEM, "out of memory");
	str_choose(r->key);
	err = read_values(strs, list, r, e);
	if (err < 0)
		return err;
	wants = r->op == SELECTOR_IN || r->op == SELECTOR_NOT_IN;
	if (wants != (r->n_values > 0))
		return err_set(e, -EINVAL, "values: %s %s", op_names[r->op],
			       wants ? "needs at least one" : "takes none");
	return 0;
}

static int read_expressions(struct strs *strs, struct json_object *list, struct selector *s,
			    struct err *e)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct requirement *r = &s->v[s->n++];

		if (read_expression(strs, json_object_array_get_idx(list, i), r, e) < 0)
			return err_prefix(e, "matchExpressions[%zu]", i);
	}
	return 0;
}

static int read_match_labels(struct strs *strs, struct json_object *map, struct selector *s,
			     struct err *e)
{
	const char *text;

	if (!map)
		return 0;
	json_object_object_foreach(map, key, value)
	{
		struct requirement *r = &s->v[s->n++];

		if (text_of(value, key, &text, e) < 0)
			return err_prefix(e, "matchLabels");
		r->op = SELECTOR_IN;
		r->key = str_get(strs, key);
		str_choose(r->key);
		r->values = calloc(1, sizeof(*r->values));
		if (r->values)
			r->values[0] = str_get(strs, text);
		if (!r->key || !r->values || !r->values[0])
			return err_set(e, -ENOMEM, "out of memory");
		r->n_values = 1;
	}
	return 0;
}

int selector_read(struct strs *strs, struct json_object *obj, struct selector **ret, struct err *e)
{
	_cleanup_(selector_freep) struct selector *s = NULL;
	struct json_object *map = NULL, *list = NULL;
	int err = json_opt_object(obj, "matchLabels", &map, e);
	size_t n;

	if (!err)
		err = json_opt_array(obj, "matchExpressions", &list, e);
	if (err < 0)
		return err;
	n = (map ? json_object_object_length(map) : 0) +
	    (list ? json_object_array_length(list) : 0);
	s = calloc(1, sizeof(*s) + n * sizeof(s->v[0]));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	err = read_match_labels(strs, map, s, e);
	if (!err)
		err = read_expressions(strs, list, s, e);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}

void selector_free(struct selector *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->v[i].n_values; k++)
			str_put(s->v[i].values[k]);
		free(s->v[i].values);
		str_unchoose(s->v[i].key);
		str_put(s->v[i].key);
	}
	free(s);
}

static bool is_among(const struct requirement *r, const struct str *value)
{
	for (uint32_t i = 0; i < r->n_values; i++)
		if (r->values[i] == value)
			return true;
	return false;
}

static bool requirement_holds(const struct requirement *r, const struct labels *l)
{
	const struct str *value = labels_value(l, r->key);

	switch (r->op) {
	case SELECTOR_IN:
		return value && is_among(r, value);
	case SELECTOR_NOT_IN:
		return !value || !is_among(r, value);
	case SELECTOR_EXISTS:
		return value != NULL;
	case SELECTOR_ABSENT:
		return !value;
	}
	return false;
}

bool selector_matches(const struct selector *s, const struct labels *l)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!requirement_holds(&s->v[i], l))
			return false;
	return true;
}
