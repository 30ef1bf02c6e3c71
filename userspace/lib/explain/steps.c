// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/bpf/names.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

struct json_object *step_add(struct json_object *steps, const char *step, const char *fmt, ...)
{
	struct json_object *o = json_object_new_object();
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	json_add_str(o, "step", step);
	json_add_str(o, "text", text ?: "");
	free(text);
	json_append(steps, o);
	return o;
}

static const char *link_name(uint32_t ifindex, char buf[static IF_NAMESIZE])
{
	if (!if_indextoname(ifindex, buf))
		snprintf(buf, IF_NAMESIZE, "link %u", ifindex);
	return buf;
}

static const char *node_name(struct run *r, uint32_t id, char *buf, size_t len)
{
	const char *name = who_node(r->names, id);

	if (name)
		snprintf(buf, len, "%s", name);
	else
		snprintf(buf, len, "number %u", id);
	return buf;
}

static void step_in(struct run *r)
{
	char who[WHO_STRLEN], link[IF_NAMESIZE], node[300];
	struct json_object *o;

	who_text(r->names, &r->q.src, 0, who);
	link_name(r->ctx.ifindex, link);
	if (*r->past) {
		step_add(r->steps, "in", "no program of this node sees the packet: %s", r->past);
		return;
	}
	if (r->hook == LOOM_HOOK_FROM_OVERLAY)
		o = step_add(r->steps, "in", "from %s, through the tunnel of node %s, by '%s'", who,
			     node_name(r, r->via_node, node, sizeof(node)), link);
	else if (r->hook == LOOM_HOOK_FROM_POD)
		o = step_add(r->steps, "in", "from %s by '%s': addresses are the pod's own", who,
			     link);
	else
		o = step_add(r->steps, "in", "from %s by '%s'", who, link);
	json_add_str(o, "hook", loom_hook_name(r->hook));
	json_add_str(o, "link", link);
}

static void step_flow(struct run *r, const struct loom_ct *ct, bool known)
{
	char src[WHO_STRLEN], dst[WHO_STRLEN];
	struct json_object *o;

	who_text(r->names, &r->q.src, r->sport, src);
	who_text(r->names, &r->q.dst, r->q.port, dst);
	o = step_add(r->steps, "flow", "%s, %s to %s: %s", explain_proto_name(r->q.proto), src, dst,
		     !known ? "a new one"
		     : ct->flags & LOOM_CT_REPLIED
			     ? "known and answered; policy is asked again after a change only"
			     : "known, not answered yet");
	json_add_bool(o, "known", known);
	json_add_int(o, "sourcePort", r->sport);
}

static void step_source(struct run *r, const struct loom_ct *ct)
{
	char text[WHO_STRLEN];
	struct wire w;

	if (r->reason || !ct || !(ct->flags & (LOOM_CT_SNAT | LOOM_CT_SVC_SNAT)))
		return;
	run_wire(r, &w);
	who_text(r->names, &w.src, w.sport, text);
	if (ct->flags & LOOM_CT_HAIRPIN)
		step_add(r->steps, "source",
			 "the sender is its own backend: it sees %s as the client", text);
	else
		step_add(r->steps, "source", "leaves with the node's address: %s", text);
}

static void route_peer(struct run *r, const struct wire *w)
{
	char who[WHO_STRLEN], link[IF_NAMESIZE];

	who_text(r->names, &w->dst, w->dport, who);
	link_name(r->ctx.pkt.v_ifindex, link);
	json_add_int(step_add(r->steps, "route", "into the pod at %s, by '%s'", who, link),
		     "endpoint", r->ctx.pkt.rx_ep);
}

static void route_neigh(struct run *r, const struct wire *w)
{
	char who[WHO_STRLEN], link[IF_NAMESIZE], node[300];
	uint32_t next = run_next_node(r);

	who_text(r->names, &w->dst, w->dport, who);
	link_name(r->ctx.pkt.v_ifindex, link);
	if (next)
		step_add(r->steps, "route", "to %s on node %s, natively, by '%s'", who,
			 node_name(r, next, node, sizeof(node)), link);
	else
		step_add(r->steps, "route", "to %s outside of the cluster, by '%s'", who, link);
}

static void step_route(struct run *r)
{
	const struct pkt *p = &r->ctx.pkt;
	char who[WHO_STRLEN], node[300];
	struct wire w;

	run_wire(r, &w);
	who_text(r->names, &w.dst, w.dport, who);
	switch (p->v_kind) {
	case VERDICT_PEER:
		route_peer(r, &w);
		return;
	case VERDICT_TUNNEL:
		step_add(r->steps, "route", "to %s on node %s, through the tunnel", who,
			 node_name(r, p->v_node, node, sizeof(node)));
		return;
	case VERDICT_NEIGH:
	case VERDICT_REDIRECT:
		route_neigh(r, &w);
		return;
	case VERDICT_INGRESS:
		step_add(r->steps, "route", "back to this node's own network, to %s", who);
		return;
	default:
		step_add(r->steps, "route", "%s",
			 p->flags & PKT_PASS
				 ? "none of netloom's: the host's own stack and its routes decide"
				 : "to this node's own network stack");
	}
}

static void step_drop(struct run *r)
{
	const char *told = r->result == 0 ? "; the sender is told at once" : "";

	json_add_str(step_add(r->steps, "drop", "%s%s", loom_drop_text(r->reason), told), "reason",
		     loom_drop_name(r->reason));
}

/* The program there finds no way either, and tells the sender nothing. */
static void end_by_host(struct run *r)
{
	char link[IF_NAMESIZE];

	step_add(r->steps, "route", "the host's own routes lead it to '%s'",
		 link_name(r->st.host_ifindex, link));
	r->reason = LOOM_DROP_NO_ROUTE;
	r->result = -LOOM_DROP_NO_ROUTE;
}

void steps_write(struct run *r)
{
	const struct loom_ct *ct;
	bool known;

	step_in(r);
	if (*r->past)
		return;
	ct = run_flow(r, &known);
	step_flow(r, ct, known && ct);
	steps_service(r, ct);
	steps_policy(r);
	if (r->by_host)
		end_by_host(r);
	if (r->reason) {
		step_drop(r);
		return;
	}
	step_source(r, ct);
	step_route(r);
}
