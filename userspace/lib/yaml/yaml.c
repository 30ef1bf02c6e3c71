// SPDX-License-Identifier: Apache-2.0
#include "lib/yaml/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "lib/json/json.h"

#define DEFAULT_MAX_BYTES (16u << 20)
#define DEFAULT_MAX_NODES 1000000
#define DEFAULT_MAX_DEPTH 256

/* One document while it is read. Anchors are few: a list does. */
struct anchor {
	struct anchor *next;
	char *name;
	struct json_object *node;
	size_t nodes; /* in the tree below it, itself included */
};

struct reader {
	yaml_parser_t parser;
	struct yaml_limits limits;
	struct anchor *anchors;
	size_t nodes; /* of the stream so far, aliases expanded */
	unsigned int depth;
	struct err *e;
};

static size_t line_of(const yaml_event_t *ev)
{
	return ev->start_mark.line + 1;
}

static int next_event(struct reader *r, yaml_event_t *ev)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, ev))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(r->e, -ENOMEM, "out of memory");
	if (p->error == YAML_READER_ERROR)
		return err_set(r->e, -EINVAL, "byte %zu: %s", p->problem_offset, p->problem);
	return err_set(r->e, -EINVAL, "line %zu: %s%s%s", p->problem_mark.line + 1,
		       p->problem ? p->problem : "not YAML", p->context ? ", " : "",
		       p->context ? p->context : "");
}

static void anchors_clear(struct reader *r)
{
	while (r->anchors) {
		struct anchor *a = r->anchors;

		r->anchors = a->next;
		json_object_put(a->node);
		free(a->name);
		free(a);
	}
}

/* ---- scalars ---- */

static bool is_null(const char *s)
{
	return !*s || strcmp(s, "~") == 0 || strcmp(s, "null") == 0 || strcmp(s, "Null") == 0 ||
	       strcmp(s, "NULL") == 0;
}

static bool is_bool(const char *s, bool *ret)
{
	static const char *const words[] = { "true", "True", "TRUE", "false", "False", "FALSE" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(s, words[i]) == 0) {
			*ret = i < 3;
			return true;
		}
	}
	return false;
}

/* Decimal, 0x, 0o and YAML 1.1's leading-zero octal, within 64 bits. */
static bool is_int(const char *s, int64_t *ret)
{
	const char *digits = s + (*s == '-' || *s == '+');
	int base = 10;
	char *end;

	if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'o')) {
		base = digits[1] == 'x' ? 16 : 8;
		digits += 2;
	} else if (digits[0] == '0' && digits[1]) {
		base = 8;
	}
	if (!isxdigit((unsigned char)*digits) || (base == 10 && !isdigit((unsigned char)*digits)))
		return false;
	errno = 0;
	*ret = strtoll(digits, &end, base);
	if (*end || errno)
		return false;
	if (*s == '-')
		*ret = -*ret;
	return true;
}

/* [-+]? (digits (. digits*)? | . digits) ([eE] [-+]? digits)? with at least a dot or an exponent,
 * or digits beyond 64 bits. */
static bool is_float(const char *s, double *ret)
{
	const char *at = s + (*s == '-' || *s == '+');
	size_t whole = strspn(at, "0123456789"), part = 0;

	at += whole;
	if (*at == '.') {
		part = strspn(at + 1, "0123456789");
		at += 1 + part;
	}
	if (!whole && !part)
		return false;
	if (*at == 'e' || *at == 'E') {
		size_t n;

		at += 1 + (at[1] == '-' || at[1] == '+');
		n = strspn(at, "0123456789");
		if (!n)
			return false;
		at += n;
	}
	if (*at)
		return false;
	*ret = strtod(s, NULL);
	return isfinite(*ret);
}

static struct json_object *plain_scalar(const char *s)
{
	int64_t i;
	double d;
	bool b;

	if (is_bool(s, &b))
		return json_object_new_boolean(b);
	if (is_int(s, &i))
		return json_object_new_int64(i);
	if (is_float(s, &d))
		return json_object_new_double(d);
	return json_object_new_string(s);
}

static int read_scalar(struct reader *r, const yaml_event_t *ev, struct json_object **ret)
{
	const char *s = (const char *)ev->data.scalar.value;
	const char *tag = (const char *)ev->data.scalar.tag;
	bool is_str = tag && (strcmp(tag, YAML_STR_TAG) == 0 || strcmp(tag, "!") == 0);

	if (strlen(s) != ev->data.scalar.length)
		return err_set(r->e, -EINVAL, "line %zu: a NUL character", line_of(ev));
	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_str) {
		if (is_null(s)) {
			*ret = NULL;
			return 0;
		}
		*ret = plain_scalar(s);
	} else {
		*ret = json_object_new_string(s);
	}
	return *ret ? 0 : err_set(r->e, -ENOMEM, "out of memory");
}

/* ---- nodes ---- */

static int count_nodes(struct reader *r, size_t n, const yaml_event_t *ev)
{
	r->nodes += n;
	if (r->nodes > r->limits.max_nodes)
		return err_set(r->e, -E2BIG, "line %zu: more than %zu nodes", line_of(ev),
			       r->limits.max_nodes);
	return 0;
}

static int remember(struct reader *r, const yaml_char_t *name, struct json_object *node,
		    size_t nodes)
{
	struct anchor *a;

	if (!name)
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a || !(a->name = strdup((const char *)name))) {
		free(a);
		return err_set(r->e, -ENOMEM, "out of memory");
	}
	a->node = json_object_get(node);
	a->nodes = nodes;
	a->next = r->anchors;
	r->anchors = a;
	return 0;
}

/* A copy: the tree that an alias stands in must be free to change without the anchor's. */
static int read_alias(struct reader *r, const yaml_event_t *ev, struct json_object **ret)
{
	const char *name = (const char *)ev->data.alias.anchor;
	int err;

	for (const struct anchor *a = r->anchors; a; a = a->next) {
		if (strcmp(a->name, name) != 0)
			continue;
		err = count_nodes(r, a->nodes, ev);
		if (err < 0)
			return err;
		*ret = NULL;
		if (a->node && json_object_deep_copy(a->node, ret, NULL) < 0)
			return err_set(r->e, -ENOMEM, "out of memory");
		return 0;
	}
	return err_set(r->e, -EINVAL, "line %zu: alias '*%s' has no anchor", line_of(ev), name);
}

static int read_node(struct reader *r, const yaml_event_t *ev, struct json_object **ret);

static int read_items(struct reader *r, struct json_object *array)
{
	for (;;) {
		struct json_object *item = NULL;
		yaml_event_t ev;
		int err = next_event(r, &ev);

		if (err < 0)
			return err;
		if (ev.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&ev);
			return 0;
		}
		err = read_node(r, &ev, &item);
		yaml_event_delete(&ev);
		if (err < 0)
			return err;
		if (json_object_array_add(array, item) < 0) {
			json_object_put(item);
			return err_set(r->e, -ENOMEM, "out of memory");
		}
	}
}

/* <<: {…} or a list of them: keys that are not there yet. */
static int merge(struct reader *r, struct json_object *into, struct json_object *from, size_t line)
{
	if (json_object_is_type(from, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(from); i++) {
			int err = merge(r, into, json_object_array_get_idx(from, i), line);

			if (err < 0)
				return err;
		}
		return 0;
	}
	if (!json_object_is_type(from, json_type_object))
		return err_set(r->e, -EINVAL, "line %zu: '<<' wants a mapping, found %s", line,
			       json_type_word(from));
	json_object_object_foreach(from, key, value)
	{
		if (!json_object_object_get_ex(into, key, NULL))
			json_object_object_add(into, key, json_object_get(value));
	}
	return 0;
}

static int read_key(struct reader *r, const yaml_event_t *ev, char **ret)
{
	_json_ *key = NULL;
	int err;

	if (ev->type == YAML_ALIAS_EVENT)
		err = read_alias(r, ev, &key);
	else if (ev->type == YAML_SCALAR_EVENT)
		err = strlen((const char *)ev->data.scalar.value) == ev->data.scalar.length
			      ? 0
			      : err_set(r->e, -EINVAL, "line %zu: a NUL character", line_of(ev));
	else
		return err_set(r->e, -EINVAL, "line %zu: a key must be a scalar", line_of(ev));
	if (err < 0)
		return err;
	if (key && !json_object_is_type(key, json_type_string))
		return err_set(r->e, -EINVAL, "line %zu: a key must be a string", line_of(ev));
	*ret = strdup(ev->type == YAML_ALIAS_EVENT ? key ? json_object_get_string(key) : ""
						   : (const char *)ev->data.scalar.value);
	return *ret ? 0 : err_set(r->e, -ENOMEM, "out of memory");
}

static int read_value(struct reader *r, struct json_object **ret)
{
	yaml_event_t ev;
	int err = next_event(r, &ev);

	if (err < 0)
		return err;
	err = read_node(r, &ev, ret);
	yaml_event_delete(&ev);
	return err;
}

/* One "key: value"; merges are put aside, since the mapping's own keys win wherever they stand. */
static int read_pair(struct reader *r, const yaml_event_t *key_ev, struct json_object *map,
		     struct json_object *merges)
{
	_cleanup_(freep) char *key = NULL;
	bool is_merge = key_ev->type == YAML_SCALAR_EVENT &&
			key_ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
			strcmp((const char *)key_ev->data.scalar.value, "<<") == 0;
	struct json_object *value = NULL;
	int err;

	err = read_key(r, key_ev, &key);
	if (!err && !is_merge && json_object_object_get_ex(map, key, NULL))
		err = err_set(r->e, -EINVAL, "line %zu: key '%.128s' is there twice",
			      line_of(key_ev), key);
	if (!err)
		err = count_nodes(r, 1, key_ev);
	if (!err)
		err = read_value(r, &value);
	if (err < 0)
		return err;
	if (is_merge ? json_object_array_add(merges, value) < 0
		     : json_object_object_add(map, key, value) < 0) {
		json_object_put(value);
		return err_set(r->e, -ENOMEM, "out of memory");
	}
	return 0;
}

static int read_pairs(struct reader *r, struct json_object *map)
{
	_json_ *merges = json_object_new_array();
	size_t line = 0;
	int err = merges ? 0 : err_set(r->e, -ENOMEM, "out of memory");

	while (!err) {
		yaml_event_t ev;

		err = next_event(r, &ev);
		if (err < 0)
			return err;
		line = line_of(&ev);
		if (ev.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&ev);
			break;
		}
		err = read_pair(r, &ev, map, merges);
		yaml_event_delete(&ev);
	}
	for (size_t i = 0; !err && i < json_object_array_length(merges); i++)
		err = merge(r, map, json_object_array_get_idx(merges, i), line);
	return err;
}

static int read_collection(struct reader *r, const yaml_event_t *ev, struct json_object **ret)
{
	bool map = ev->type == YAML_MAPPING_START_EVENT;
	_json_ *node = map ? json_object_new_object() : json_object_new_array();
	int err;

	if (!node)
		return err_set(r->e, -ENOMEM, "out of memory");
	if (r->depth >= r->limits.max_depth)
		return err_set(r->e, -E2BIG, "line %zu: nested deeper than %u", line_of(ev),
			       r->limits.max_depth);
	r->depth++;
	err = map ? read_pairs(r, node) : read_items(r, node);
	r->depth--;
	if (err < 0)
		return err;
	*ret = TAKE_PTR(node);
	return 0;
}

static int read_node(struct reader *r, const yaml_event_t *ev, struct json_object **ret)
{
	const yaml_char_t *anchor = NULL;
	size_t before = r->nodes;
	int err = count_nodes(r, 1, ev);

	if (err < 0)
		return err;
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(r, ev, ret);
	case YAML_SCALAR_EVENT:
		anchor = ev->data.scalar.anchor;
		err = read_scalar(r, ev, ret);
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = ev->data.mapping_start.anchor;
		err = read_collection(r, ev, ret);
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = ev->data.sequence_start.anchor;
		err = read_collection(r, ev, ret);
		break;
	default:
		return err_set(r->e, -EINVAL, "line %zu: unexpected here", line_of(ev));
	}
	if (!err) {
		err = remember(r, anchor, *ret, r->nodes - before);
		if (err < 0)
			json_object_put(TAKE_PTR(*ret));
	}
	return err;
}

/* ---- stream ---- */

static int read_document(struct reader *r, struct json_object **ret)
{
	yaml_event_t end;
	int err = read_value(r, ret);

	anchors_clear(r);
	if (err < 0)
		return err;
	err = next_event(r, &end);
	if (!err)
		yaml_event_delete(&end);
	return err;
}

static int read_stream(struct reader *r,
		       int (*fn)(struct json_object *doc, unsigned int index, unsigned int line,
				 void *arg),
		       void *arg)
{
	unsigned int index = 0;

	for (;;) {
		_json_ *doc = NULL;
		yaml_event_type_t type;
		unsigned int line;
		yaml_event_t ev;
		int err = next_event(r, &ev);

		if (err < 0)
			return err;
		type = ev.type;
		line = line_of(&ev);
		yaml_event_delete(&ev);
		if (type == YAML_STREAM_END_EVENT)
			return 0;
		if (type != YAML_DOCUMENT_START_EVENT)
			continue;
		err = read_document(r, &doc);
		if (!err && doc)
			err = fn(doc, index++, line, arg);
		if (err)
			return err;
	}
}

int yaml_parse_each(const char *text, size_t len, const struct yaml_limits *limits,
		    int (*fn)(struct json_object *doc, unsigned int index, unsigned int line,
			      void *arg),
		    void *arg, struct err *e)
{
	struct reader r = { .e = e };
	int err;

	if (limits)
		r.limits = *limits;
	if (!r.limits.max_bytes)
		r.limits.max_bytes = DEFAULT_MAX_BYTES;
	if (!r.limits.max_nodes)
		r.limits.max_nodes = DEFAULT_MAX_NODES;
	if (!r.limits.max_depth)
		r.limits.max_depth = DEFAULT_MAX_DEPTH;
	if (len > r.limits.max_bytes)
		return err_set(e, -E2BIG, "%zu bytes of YAML, more than the %zu allowed", len,
			       r.limits.max_bytes);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(e, -ENOMEM, "out of memory");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	err = read_stream(&r, fn, arg);
	anchors_clear(&r);
	yaml_parser_delete(&r.parser);
	return err;
}

static int collect(struct json_object *doc, unsigned int index, unsigned int line, void *arg)
{
	return json_append(arg, json_object_get(doc));
}

int yaml_parse(const char *text, size_t len, const struct yaml_limits *limits,
	       struct json_object **ret, struct err *e)
{
	_json_ *docs = json_object_new_array();
	int err;

	if (!docs)
		return err_set(e, -ENOMEM, "out of memory");
	err = yaml_parse_each(text, len, limits, collect, docs, e);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(docs);
	return 0;
}
