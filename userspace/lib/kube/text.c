// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/text.h"

#include <errno.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/json/json.h"

/* ---- lines ---- */

void kube_lines_clear(struct kube_lines *l)
{
	free(l->buf);
	*l = (struct kube_lines){ .max = l->max };
}

static int append(struct kube_lines *l, const char *data, size_t len)
{
	if (l->skipping)
		return 0;
	if (len > l->max - l->len) {
		l->skipping = true;
		l->len = 0;
		return 0;
	}
	if (grow_room(&l->buf, &l->cap, l->len + len, 1) < 0)
		return -ENOMEM;
	memcpy(l->buf + l->len, data, len);
	l->len += len;
	return 0;
}

static int end_line(struct kube_lines *l, int (*fn)(const char *line, size_t len, void *arg),
		    void *arg)
{
	size_t len = l->len;
	bool skipped = l->skipping;

	l->len = 0;
	l->skipping = false;
	if (skipped)
		return fn(NULL, 0, arg);
	return len ? fn(l->buf, len, arg) : 0;
}

int kube_lines_feed(struct kube_lines *l, const char *data, size_t len,
		    int (*fn)(const char *line, size_t len, void *arg), void *arg)
{
	while (len) {
		const char *nl = memchr(data, '\n', len);
		size_t n = nl ? (size_t)(nl - data) : len;
		int err = n ? append(l, data, n) : 0;

		if (!err && nl)
			err = end_line(l, fn, arg);
		if (err)
			return err;
		data += n + (nl ? 1 : 0);
		len -= n + (nl ? 1 : 0);
	}
	return 0;
}

/* ---- lists ---- */

/* Positions in the text while it is scanned once; nesting is only counted, so it has no bound. */
struct scan {
	const char *text;
	size_t at, len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(struct scan *s)
{
	while (s->at < s->len && is_blank(s->text[s->at]))
		s->at++;
}

/* From behind the opening quote to behind the closing one. */
static void skip_string(struct scan *s)
{
	while (s->at < s->len) {
		char c = s->text[s->at++];

		if (c == '\\')
			s->at++;
		else if (c == '"')
			break;
	}
	s->at = MIN(s->at, s->len);
}

/* To the ',' or the bracket that ends the value that starts here. */
static void skip_value(struct scan *s)
{
	size_t depth = 0;

	while (s->at < s->len) {
		char c = s->text[s->at];

		if (!depth && (c == ',' || c == ']' || c == '}'))
			return;
		s->at++;
		if (c == '"')
			skip_string(s);
		else if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
	}
}

static bool next_is(struct scan *s, char c)
{
	skip_blanks(s);
	if (s->at >= s->len || s->text[s->at] != c)
		return false;
	s->at++;
	return true;
}

/* Finds the top-level "items": leaves `at` behind its '['. */
static bool find_items(struct scan *s)
{
	if (!next_is(s, '{'))
		return false;
	while (next_is(s, '"')) {
		const char *key = s->text + s->at;
		bool items;

		skip_string(s);
		items = s->text + s->at - key == 6 && memcmp(key, "items\"", 6) == 0;
		if (!next_is(s, ':'))
			return false;
		if (items && next_is(s, '['))
			return true;
		skip_value(s);
		if (!next_is(s, ','))
			return false;
	}
	return false;
}

static void each_item(struct scan *s, const struct kube_list_ops *ops, void *arg)
{
	for (size_t i = 0;; i++) {
		_json_ *item = NULL;
		struct err e = {};
		size_t from;

		skip_blanks(s);
		from = s->at;
		if (s->at >= s->len || s->text[s->at] == ']')
			return;
		skip_value(s);
		if (json_parse(s->text + from, s->at - from, &item, &e) < 0)
			ops->on_bad(i, &e, arg);
		else
			ops->on_item(item, arg);
		if (!next_is(s, ','))
			return;
	}
}

int kube_list_split(const char *text, size_t len, const struct kube_list_ops *ops, void *arg,
		    struct json_object **ret_rest, struct err *e)
{
	struct scan s = { .text = text, .len = len };
	_cleanup_(freep) char *rest = NULL;
	_json_ *obj = NULL;
	size_t head;
	int err;

	if (find_items(&s)) {
		head = s.at;
		each_item(&s, ops, arg);
	} else {
		head = s.at = 0;
	}
	rest = malloc(head + len - s.at + 1);
	if (!rest)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(rest, text, head);
	memcpy(rest + head, text + s.at, len - s.at);
	err = json_parse(rest, head + len - s.at, &obj, e);
	if (err < 0)
		return err;
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	*ret_rest = TAKE_PTR(obj);
	return 0;
}
