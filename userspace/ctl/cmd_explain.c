// SPDX-License-Identifier: Apache-2.0
/*
 * netloom explain: what becomes of a packet of FROM for TO, step by step, on every node that it
 * comes by, and why. See explain.h.
 */
#include <errno.h>
#include <string.h>

#include "ctl/explain.h"
#include "lib/json/json.h"

enum { EXIT_ALLOWED = CTL_OK, EXIT_DENIED = CTL_FAILED, EXIT_UNKNOWN = CTL_UNREACHABLE };

struct asking {
	const struct ctl *c;
	struct explain_names names;
};

/* `names`: it was the agent who could not say. */
static int complain(const struct ctl *c, int err, bool names, const struct err *e)
{
	print_text_line(c->complain, "netloom: ", e->msg[0] ? e->msg : strerror(-err));
	if (err == -EINVAL)
		return CTL_USAGE;
	if (names)
		fputs("  names are known to the agent only: addresses work without it\n",
		      c->complain);
	else if (err == -ENOENT)
		fputs("  the data plane of this node was not loaded yet, or its pins are elsewhere "
		      "(paths.bpf in the agent's configuration): say --bpf-dir DIR\n",
		      c->complain);
	else if (err == -EPERM || err == -EACCES)
		fputs("  maps are for root only: try with sudo\n", c->complain);
	return EXIT_UNKNOWN;
}

/* ---- one half and another ---- */

static int here(void *arg, const struct explain_question *q, struct json_object **ret,
		struct err *e)
{
	const struct asking *a = arg;

	return explain_half(q, a->c->bpf_dir, &a->names, 0, ret, e);
}

static int elsewhere(void *arg, const char *node, const struct explain_question *q,
		     struct json_object **ret, struct err *e)
{
	const struct asking *a = arg;
	_json_ *o = json_object_new_object();

	json_add_str(o, "node", node);
	json_add(o, "question", explain_question_json(q));
	return o ? client_post(a->c, "/v1/explain", o, ret, e) : -ENOMEM;
}

/* ---- the command ---- */

static void add_asked(struct json_object *way, const char *field, const struct end *end)
{
	json_add_str(json_field(way, field), "asked", end->text);
}

static int exit_code(struct json_object *way)
{
	const char *verdict = json_object_get_string(json_field(way, "verdict")) ?: "";

	if (strcmp(verdict, "allowed") == 0)
		return EXIT_ALLOWED;
	return strcmp(verdict, "denied") == 0 || strcmp(verdict, "dropped") == 0 ? EXIT_DENIED
										 : EXIT_UNKNOWN;
}

static int explain(const struct ctl *c, struct found *found, const struct ask *ask,
		   const struct explain_question *q, struct err *e)
{
	const struct explain_way_ops ops = { .here = here, .ask = c->local ? NULL : elsewhere };
	struct asking asking = { .c = c, .names = found_names(found) };
	_json_ *way = NULL;
	int err = explain_way(q, &ops, &asking, &way, e);

	if (err < 0)
		return err;
	add_asked(way, "from", &ask->from);
	add_asked(way, "to", &ask->to);
	if (c->json)
		print_json(c->out, way);
	else
		explain_print(c->out, way);
	return exit_code(way);
}

static void found_releasep(struct found *f)
{
	found_release(f);
}

int cmd_explain(const struct ctl *c)
{
	_cleanup_(found_releasep) struct found found = {};
	struct ask ask = { .flow = c->flow };
	struct explain_question q;
	struct err e = {};
	int err = ask_parse(c->args, c->n_args, &ask, &e);

	if (!err)
		err = found_init(c, &found);
	if (!err)
		err = found_resolve(&found, &ask, &q, &e);
	if (err < 0)
		return complain(c, err, true, &e);
	err = explain(c, &found, &ask, &q, &e);
	return err < 0 ? complain(c, err, false, &e) : err;
}
