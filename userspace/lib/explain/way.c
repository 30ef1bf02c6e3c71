// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "lib/explain/private.h"
#include "lib/json/json.h"

struct way {
	const struct explain_way_ops *ops;
	void *arg;
	struct json_object *result, *halves;
	const char *this_node;
	bool stopped; /* somebody did not answer */
};

static const char *str(struct json_object *o, const char *path)
{
	return json_object_get_string(json_path(o, path)) ?: "";
}

static struct json_object *last(const struct way *w)
{
	return json_object_array_get_idx(w->halves, json_object_array_length(w->halves) - 1);
}

/* ---- other nodes ---- */

static void unanswered(struct way *w, struct json_object *other, bool before, const char *why)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "node", str(other, "node"));
	json_add_str(o, "why", why);
	json_add_str(o, "command", str(other, "command"));
	json_add_bool(o, "before", before);
	json_add(w->result, "unanswered", o);
	w->stopped = true;
}

static int ask(struct way *w, struct json_object *other, struct json_object **ret, struct err *e)
{
	const char *node = str(other, "node");
	struct explain_question q;

	if (explain_question_parse(json_field(other, "question"), &q, e) < 0)
		return -EREMOTEIO;
	if (!*node)
		return err_set(e, -ENOENT, "the name of node %s is not known", str(other, "id"));
	if (strcmp(node, w->this_node) == 0)
		return w->ops->here(w->arg, &q, ret, e);
	return w->ops->ask(w->arg, node, &q, ret, e);
}

/* The packet's start, when that is another node's; else this one's own half. */
static int begin(struct way *w, struct json_object *here, struct err *e)
{
	struct json_object *other = json_field(here, "before") ?: json_field(here, "instead");
	struct json_object *half = NULL;
	struct err why = {};
	int err;

	if (!other || !w->ops->ask)
		return json_append(w->halves, json_object_get(here));
	err = ask(w, other, &half, &why);
	if (!err)
		return json_append(w->halves, half);
	if (err == -EINVAL)
		return err_set(e, err, "%s", why.msg);
	unanswered(w, other, true, why.msg);
	return json_append(w->halves, json_object_get(here));
}

static int go_on(struct way *w)
{
	struct json_object *other, *half = NULL;
	struct err why = {};
	int err = 0;

	while (!err && !w->stopped && (other = json_field(last(w), "after"))) {
		if (json_object_array_length(w->halves) == EXPLAIN_MAX_HALVES)
			err = err_set(&why, -ELOOP, "the packet goes round in circles");
		err = err ?: ask(w, other, &half, &why);
		if (err)
			unanswered(w, other, false, why.msg);
		else
			err = json_append(w->halves, TAKE_PTR(half));
	}
	return err == -ENOMEM ? err : 0;
}

/* ---- the verdict ---- */

static void copy(struct way *w, struct json_object *from, const char *field)
{
	struct json_object *v = json_field(from, field);

	if (v)
		json_add(w->result, field, json_object_get(v));
}

static bool is_logged(const struct way *w)
{
	for (size_t i = 0; i < json_object_array_length(w->halves); i++)
		if (json_object_get_boolean(
			    json_path(json_object_array_get_idx(w->halves, i), "logged")))
			return true;
	return false;
}

/* A denial stands, whatever the one who did not answer would have said. */
static void conclude(struct way *w)
{
	struct json_object *half = last(w);
	const char *verdict = str(half, "verdict");
	bool open = strcmp(verdict, "allowed") == 0 || strcmp(verdict, "unseen") == 0;

	json_add_str(w->result, "verdict", w->stopped && open ? "unknown" : verdict);
	copy(w, half, "node");
	copy(w, half, "reason");
	copy(w, half, "text");
	copy(w, half, "because");
	if (is_logged(w))
		json_add_bool(w->result, "logged", true);
}

int explain_way(const struct explain_question *q, const struct explain_way_ops *ops, void *arg,
		struct json_object **ret, struct err *e)
{
	_json_ *here = NULL, *result = json_object_new_object();
	struct way w = { .ops = ops, .arg = arg, .result = result };
	int err = ops->here(arg, q, &here, e);

	if (err < 0)
		return err;
	w.halves = json_object_new_array();
	if (!w.halves || !result) {
		json_object_put(w.halves);
		return err_set(e, -ENOMEM, "out of memory");
	}
	w.this_node = str(here, "node");
	copy(&w, here, "from");
	copy(&w, here, "to");
	copy(&w, here, "protocol");
	json_add(result, "halves", w.halves);
	err = begin(&w, here, e);
	if (!err && ops->ask)
		err = go_on(&w);
	if (err < 0)
		return err;
	conclude(&w);
	*ret = TAKE_PTR(result);
	return 0;
}
