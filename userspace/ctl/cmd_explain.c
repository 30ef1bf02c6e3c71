// SPDX-License-Identifier: Apache-2.0
/*
 * netloom explain: what this node does with a packet of FROM for TO, step by step, and why. See
 * explain.h.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bpf/native/native.h"
#include "ctl/explain.h"
#include "lib/bpf/names.h"
#include "lib/json/json.h"

enum { EXIT_ALLOWED = CTL_OK, EXIT_DENIED = CTL_FAILED, EXIT_UNKNOWN = CTL_UNREACHABLE };

/* `asking`: it was the agent who could not say. */
static int complain(const struct ctl *c, int err, bool asking, const struct err *e)
{
	fprintf(c->complain, "netloom: %s\n", e->msg[0] ? e->msg : strerror(-err));
	if (err == -EINVAL)
		return CTL_USAGE;
	if (asking)
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

static bool is_denial(unsigned int reason)
{
	return reason == LOOM_DROP_POLICY || reason == LOOM_DROP_POLICY_PENDING ||
	       reason == LOOM_DROP_SVC_SOURCE;
}

static const char *verdict_word(const struct run *r)
{
	if (r->elsewhere)
		return "unseen";
	return !r->reason ? "allowed" : is_denial(r->reason) ? "denied" : "dropped";
}

/* ---- the other node ---- */

/* Writes {"node": …, "command": …} for who goes on, or for who has sent. */
static struct json_object *other_json(struct run *r, uint32_t node, const struct wire *w)
{
	const char *name = r->found->who.node(r->found->who.arg, node);
	char from[PLACE_STRLEN], to[PLACE_STRLEN], command[256];
	struct json_object *o = json_object_new_object();

	place_format(&w->src, 0, 0, from);
	place_format(&w->dst, w->dport, r->ask->proto, to);
	snprintf(command, sizeof(command), "netloom explain %s %s", from, to);
	json_add_int(o, "id", node);
	json_add_str(o, "node", name ?: "");
	json_add_str(o, "command", command);
	return o;
}

static void add_others(struct run *r, struct json_object *result)
{
	struct wire w = { .src = r->ask->src, .dst = r->ask->dst, .dport = r->ask->port };
	const struct loom_remote *from = NULL;
	uint32_t next = run_next_node(r);

	if (r->sender == SENDER_FAR)
		from = run_remote(r, &r->ask->src);
	if (from && from->node)
		json_add(result, "before", other_json(r, from->node, &w));
	if (!next || r->elsewhere)
		return;
	if (!*r->past)
		run_wire(r, &w);
	json_add(result, "after", other_json(r, next, &w));
}

/* ---- the result ---- */

static struct json_object *end_json(struct found *f, const struct end *end,
				    const union loom_addr *addr, uint16_t port)
{
	struct json_object *o = json_object_new_object();
	const char *name = found_addr(f, addr);
	char text[ADDR_STRLEN];

	json_add_str(o, "asked", end->text);
	json_add_str(o, "address", addr_format(addr, text));
	if (port)
		json_add_int(o, "port", port);
	if (name)
		json_add_str(o, "name", name);
	return o;
}

/* Before the sender's socket has had its say. */
static struct json_object *result_begin(const struct run *r)
{
	struct json_object *o = json_object_new_object();

	json_add(o, "from", end_json(r->found, &r->ask->from, &r->ask->src, 0));
	json_add(o, "to", end_json(r->found, &r->ask->to, &r->ask->dst, r->ask->port));
	json_add_str(o, "protocol", proto_text(r->ask->proto));
	return o;
}

static void result_end(struct run *r, struct json_object *o)
{
	json_add_str(o, "node", r->found->who.node(r->found->who.arg, r->st.node_id) ?: "");
	json_add(o, "steps", json_object_get(r->steps));
	json_add_str(o, "verdict", verdict_word(r));
	if (r->logged)
		json_add_bool(o, "logged", true);
	if (r->reason) {
		json_add_str(o, "reason", loom_drop_name(r->reason));
		json_add_str(o, "text", loom_drop_text(r->reason));
	} else {
		add_others(r, o);
	}
}

/* Names come from outside: what a terminal would obey is printed as '?'. */
static void print_text(FILE *out, const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s; s++)
		fputc(iscntrl(*s) ? '?' : *s, out);
}

static const char *str(struct json_object *o, const char *path)
{
	return json_object_get_string(json_path(o, path)) ?: "";
}

static void print_other(FILE *out, const char *what, struct json_object *o)
{
	if (!o)
		return;
	fprintf(out, "  %s, on node ", what);
	print_text(out, *str(o, "node") ? str(o, "node") : str(o, "id"));
	fprintf(out, ": %s\n", str(o, "command"));
}

static void print_result(FILE *out, struct json_object *o)
{
	struct json_object *steps = json_field(o, "steps");
	const char *verdict = str(o, "verdict"), *node = str(o, "node");

	for (size_t i = 0; i < json_object_array_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		fprintf(out, "%2zu  %-8s ", i + 1, str(step, "step"));
		print_text(out, str(step, "text"));
		fputc('\n', out);
	}
	fprintf(out, "\n%s on ", verdict);
	print_text(out, *node ? node : "this node");
	if (json_field(o, "reason"))
		fprintf(out, ": %s", str(o, "text"));
	fputc('\n', out);
	print_other(out, "what happened before this", json_field(o, "before"));
	print_other(out, "what happens then", json_field(o, "after"));
}

/* ---- the command ---- */

static int walk(struct run *r, struct err *e)
{
	int err = run_socket(r);

	if (err > 0)
		return 0;
	err = run_entry(r, e);
	if (err < 0)
		return err;
	if (!*r->past)
		run_packet(r);
	steps_write(r);
	if (r->overlay->error)
		return err_errno(e, r->overlay->error, "the data plane's maps");
	return 0;
}

static int explain(const struct ctl *c, struct run *r, struct err *e)
{
	_json_ *result = NULL;
	int err = run_source(r, e);

	if (err < 0)
		return err;
	result = result_begin(r);
	err = walk(r, e);
	if (err < 0)
		return err;
	result_end(r, result);
	if (c->json)
		print_json(c->out, result);
	else
		print_result(c->out, result);
	if (r->elsewhere)
		return EXIT_UNKNOWN;
	return r->reason ? EXIT_DENIED : EXIT_ALLOWED;
}

static int over_maps(const struct ctl *c, struct ask *ask, struct found *found, struct err *e)
{
	_cleanup_(live_freep) struct live *live = NULL;
	_json_ *steps = json_object_new_array();
	struct overlay overlay;
	struct run r = { .ask = ask, .found = found, .overlay = &overlay, .steps = steps };
	int err = live_open(c->bpf_dir, &live, e);

	if (!err)
		err = live_config(c->bpf_dir, &loom_cfg, e);
	if (err < 0)
		return err;
	overlay = live_overlay(live);
	overlay_begin(&overlay);
	err = explain(c, &r, e);
	run_release(&r);
	overlay_end(&overlay);
	return err;
}

static void found_releasep(struct found *f)
{
	found_release(f);
}

int cmd_explain(const struct ctl *c)
{
	_cleanup_(found_releasep) struct found found = {};
	struct ask ask = { .flow = c->flow };
	struct err e = {};
	int err = ask_parse(c->args, c->n_args, &ask, &e);

	if (!err)
		err = found_init(c, &found);
	if (!err)
		err = found_resolve(&found, &ask, &e);
	if (err < 0)
		return complain(c, err, true, &e);
	err = over_maps(c, &ask, &found, &e);
	return err < 0 ? complain(c, err, false, &e) : err;
}
