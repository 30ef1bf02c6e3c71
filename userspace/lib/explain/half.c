// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "bpf/native/native.h"
#include "lib/bpf/names.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

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

/* ---- other nodes ---- */

static void add_other(struct run *r, struct json_object *result, const char *field, uint32_t node,
		      const struct explain_question *q)
{
	if (node)
		json_add(result, field, other_json(node, who_node(r->names, node) ?: "", q));
}

/* The packet as it goes on: what it has become by now. */
static void add_after(struct run *r, struct json_object *result)
{
	struct explain_question q = r->q;
	uint32_t next = run_next_node(r);
	struct wire w;

	if (!next || r->elsewhere)
		return;
	q.host = false;
	q.arrives = true;
	if (!*r->past) {
		run_wire(r, &w);
		q.src = w.src;
		q.dst = w.dst;
		q.port = w.dport;
		q.flow = r->q.flow ? w.sport : 0;
	}
	add_other(r, result, "after", next, &q);
}

/* ---- the result ---- */

static struct json_object *end_json(const struct explain_names *n, const union loom_addr *addr,
				    uint16_t port)
{
	struct json_object *o = json_object_new_object();
	const char *name = who_addr(n, addr);
	char text[ADDR_STRLEN];

	json_add_str(o, "address", addr_format(addr, text));
	if (port)
		json_add_int(o, "port", port);
	if (name)
		json_add_str(o, "name", name);
	return o;
}

/* Before the sender's socket has had its say. */
static void result_begin(struct run *r, struct json_object *o)
{
	struct explain_question start = r->q;

	start.arrives = false;
	json_add(o, "from", end_json(r->names, &r->q.src, 0));
	json_add(o, "to", end_json(r->names, &r->q.dst, r->q.port));
	json_add_str(o, "protocol", explain_proto_name(r->q.proto));
	json_add_str(o, "node", who_node(r->names, r->st.node_id) ?: "");
	add_other(r, o, "before", run_node_before(r), &start);
	add_other(r, o, "instead", run_node_instead(r), &start);
}

static void result_end(struct run *r, struct json_object *o)
{
	json_add(o, "steps", json_object_get(r->steps));
	json_add_str(o, "verdict", verdict_word(r));
	if (r->logged)
		json_add_bool(o, "logged", true);
	if (!r->reason) {
		add_after(r, o);
		return;
	}
	json_add_str(o, "reason", loom_drop_name(r->reason));
	json_add_str(o, "text", loom_drop_text(r->reason));
	if (r->reason == LOOM_DROP_POLICY && *r->because)
		json_add_str(o, "because", r->because);
}

/* ---- the run ---- */

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

static int explain(struct run *r, struct json_object **ret, struct err *e)
{
	_json_ *result = json_object_new_object();
	int err = run_source(r, e);

	if (err < 0)
		return err;
	result_begin(r, result);
	err = walk(r, e);
	if (err < 0)
		return err;
	result_end(r, result);
	if (!result || !r->steps)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(result);
	return 0;
}

int explain_half(const struct explain_question *q, const char *bpf_dir,
		 const struct explain_names *names, unsigned int max_slots,
		 struct json_object **ret, struct err *e)
{
	_cleanup_(live_freep) struct live *live = NULL;
	_json_ *steps = json_object_new_array();
	struct overlay overlay;
	struct run r = {
		.q = *q, .names = names, .overlay = &overlay, .steps = steps, .max_slots = max_slots
	};
	int err = live_open(bpf_dir, &live, e);

	if (!err)
		err = live_config(bpf_dir, &loom_cfg, e);
	if (err < 0)
		return err;
	r.live = live;
	overlay = live_overlay(live);
	overlay_begin(&overlay);
	err = explain(&r, ret, e);
	run_release(&r);
	overlay_end(&overlay);
	return err;
}
