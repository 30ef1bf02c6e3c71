// SPDX-License-Identifier: Apache-2.0
/*
 * What policy said, told from the record: which sets were asked, which of their rules match, and
 * what decided. The order of lookups is that of policy_check() and policy_judge() in
 * bpf/lib/policy.h; the rules' meaning is shared/loom_pol.h's.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "lib/bpf/names.h"
#include "lib/explain/private.h"
#include "lib/json/json.h"

/* The best rule of a tier. */
struct best {
	const struct loom_polrule *rule; /* NULL: none matches */
	uint32_t index;			 /* in loom_polrule */
	uint32_t kind;			 /* of the set that has it: enum loom_pol_peer */
	uint32_t peer;
};

struct judgement {
	bool ingress;
	uint32_t ep;
	const struct loom_epol *epol; /* NULL: there is none */
	union loom_addr of, peer;
	const struct loom_polset *any; /* NULL: the policy is not there */
	uint32_t kind, set_peer;       /* of the set whose rules come next */
	bool asks_place;	       /* the peer has no identity: is it of the cluster? */
	bool stranger;		       /* it is */
	struct best best[LOOM_TIERS];
};

/* What is read off the record: one flow's policy_check(). */
struct check {
	struct run *r;
	union loom_addr ends[2]; /* who began it, whom it reaches */
	bool pods[2];
	unsigned int n_ends;
	struct judgement j;
	bool open;    /* j is being filled */
	bool ingress; /* the receiver's policy was asked */
	bool enforced;
};

static uint32_t policy_of(const struct judgement *j)
{
	return !j->epol ? 0 : j->ingress ? j->epol->policy_in : j->epol->policy_out;
}

/* ---- what decided ---- */

struct decision {
	bool denied;
	bool isolated;	       /* denied because no NetworkPolicy accepts it */
	const struct best *by; /* NULL: no rule */
	const char *text;      /* when by is NULL */
};

static struct decision decide_by(const struct best *b)
{
	return (struct decision){ .denied = (b->rule->verdict & 0xf) == LOOM_POL_DENY, .by = b };
}

static struct decision decide_without(bool denied, const char *text)
{
	return (struct decision){ .denied = denied, .text = text };
}

static bool is_last_word(const struct best *b)
{
	return b->rule && (b->rule->verdict & 0xf) != LOOM_POL_PASS;
}

/* What policy_tiers() comes to. */
static struct decision decide_tiers(const struct judgement *j)
{
	if (is_last_word(&j->best[LOOM_TIER_ADMIN]))
		return decide_by(&j->best[LOOM_TIER_ADMIN]);
	if (j->best[LOOM_TIER_NP].rule)
		return decide_by(&j->best[LOOM_TIER_NP]);
	if (j->any->flags & LOOM_POLSET_ISOLATES)
		return (struct decision){
			.denied = true,
			.isolated = true,
			.text = "a NetworkPolicy isolates the pod, and no rule allows this",
		};
	if (is_last_word(&j->best[LOOM_TIER_BASELINE]))
		return decide_by(&j->best[LOOM_TIER_BASELINE]);
	return decide_without(false, "no rule is about this");
}

static struct decision decide(const struct judgement *j)
{
	if (!j->epol || !(j->epol->flags & LOOM_EPOL_KNOWN))
		return decide_without(true, "the pod's policy is not known yet");
	if (!policy_of(j))
		return decide_without(false, "no policy selects the pod");
	if (!j->any)
		return decide_without(true, "this policy is not in the maps (any more)");
	if (j->stranger && (j->any->flags & LOOM_POLSET_STRICT))
		return decide_without(true, "the peer is of the cluster, but nobody knows who");
	return decide_tiers(j);
}

/* ---- words ---- */

static const char *str(struct json_object *o, const char *field)
{
	return json_object_get_string(json_field(o, field)) ?: "";
}

static void peer_text(const struct best *b, char *buf, size_t len)
{
	if (b->kind == LOOM_PEER_IDENTITY)
		snprintf(buf, len, "identity %u", b->peer);
	else if (b->kind == LOOM_PEER_CLASS)
		snprintf(buf, len, "address class %u", b->peer);
	else
		snprintf(buf, len, "any peer");
}

/* The rule of the map; with the object's words, when the agent has them. */
static void rule_text(const struct best *b, const char *words, char *buf, size_t len)
{
	const struct loom_polrule *r = b->rule;
	char peer[48], ports[48] = "any port";

	peer_text(b, peer, sizeof(peer));
	if (r->proto && r->lo == r->hi)
		snprintf(ports, sizeof(ports), "port %u/%s", r->lo, explain_proto_name(r->proto));
	else if (r->proto)
		snprintf(ports, sizeof(ports), "ports %u-%u/%s", r->lo, r->hi,
			 explain_proto_name(r->proto));
	if (words)
		snprintf(buf, len, "%s (tier %s, order %u, for %s, %s)", words,
			 loom_tier_title(r->verdict >> 4), r->order, peer, ports);
	else
		snprintf(buf, len, "rule %u (tier %s, order %u) for %s, %s", b->index,
			 loom_tier_title(r->verdict >> 4), r->order, peer, ports);
}

static void add_rule(struct json_object *o, const struct best *b, const char *words)
{
	char peer[48];

	peer_text(b, peer, sizeof(peer));
	json_add_int(o, "rule", b->index);
	json_add_str(o, "tier", loom_tier_title(b->rule->verdict >> 4));
	json_add_int(o, "order", b->rule->order);
	json_add_str(o, "rulePeer", peer);
	if (words)
		json_add_str(o, "ruleText", words);
}

/* "policy 7 denies it", "accepted". */
static void verdict_text(const struct judgement *j, const struct decision *d, bool log_only,
			 char *buf, size_t len)
{
	const char *logged = log_only ? ", log only, so it passes" : "";

	if (policy_of(j))
		snprintf(buf, len, "policy %u %s it%s", policy_of(j),
			 d->denied ? "denies" : "accepts", logged);
	else
		snprintf(buf, len, "%s%s", d->denied ? "denied" : "accepted", logged);
}

/* Why: the rule, or what there is instead of one, with the objects that it comes from. */
static void why_text(const struct judgement *j, const struct decision *d, struct json_object *known,
		     char *buf, size_t len)
{
	const char *closed = policy_of(j) || !d->denied ? "" : str(known, "reason");
	char names[600];

	words_isolating(known, names, sizeof(names));
	if (d->by)
		rule_text(d->by, *str(known, "rule") ? str(known, "rule") : NULL, buf, len);
	else if (d->isolated && *names)
		snprintf(buf, len, "%s isolate%s the pod, and no rule allows this", names,
			 strchr(names, ',') ? "" : "s");
	else
		snprintf(buf, len, "%s%s%s", d->text, *closed ? ": " : "", closed);
	words_cut(buf);
}

static struct json_object *ask_known(struct run *r, const struct judgement *j,
				     const struct decision *d)
{
	struct explain_rule rule = {};

	if (d->by)
		rule = (struct explain_rule){ d->by->rule->verdict >> 4, d->by->rule->order };
	return words_policy(r, j->ep, j->ingress, policy_of(j), d->by ? &rule : NULL);
}

static void write_judgement(struct run *r, const struct judgement *j)
{
	const struct decision d = decide(j);
	bool log_only = d.denied && j->any && (j->any->flags & LOOM_POLSET_LOG_ONLY);
	uint16_t port = r->q.proto == IPPROTO_ICMP ? 0 : ntohs(r->ctx.pkt.pol_port);
	char of[WHO_STRLEN], peer[WHO_STRLEN], verdict[64], why[1024];
	_json_ *known = ask_known(r, j, &d);
	struct json_object *o;

	who_text(r->names, &j->of, j->ingress ? port : 0, of);
	who_text(r->names, &j->peer, j->ingress ? 0 : port, peer);
	verdict_text(j, &d, log_only, verdict, sizeof(verdict));
	why_text(j, &d, known, why, sizeof(why));
	if (d.denied && !log_only)
		snprintf(r->because, sizeof(r->because), "%s", why);
	o = step_add(r->steps, j->ingress ? "ingress" : "egress", "of %s, %s %s: %s: %s", of,
		     j->ingress ? "from" : "to", peer, verdict, why);
	json_add_str(o, "of", of);
	json_add_str(o, "peer", peer);
	json_add_int(o, "endpoint", j->ep);
	json_add_int(o, "policy", policy_of(j));
	json_add_str(o, "verdict", log_only ? "logged" : d.denied ? "denied" : "accepted");
	if (policy_of(j) && json_field(known, "policies"))
		json_add(o, "policies", json_object_get(json_field(known, "policies")));
	if (d.by)
		add_rule(o, d.by, *str(known, "rule") ? str(known, "rule") : NULL);
}

/* ---- reading the record ---- */

static void take_rule(struct judgement *j, const struct pkt *p, const struct overlay_lookup *l)
{
	const struct loom_polrule *rule = l->value;
	uint16_t port = ntohs(p->pol_port);
	struct best *best;

	if (!rule || (rule->verdict >> 4) >= LOOM_TIERS ||
	    (rule->proto && (rule->proto != p->pol_proto || port < rule->lo || port > rule->hi)))
		return;
	best = &j->best[rule->verdict >> 4];
	if (best->rule && rule->order >= best->rule->order)
		return;
	*best = (struct best){ .rule = rule, .kind = j->kind, .peer = j->set_peer };
	memcpy(&best->index, l->key, sizeof(best->index));
}

static void take_set(struct judgement *j, const struct overlay_lookup *l)
{
	const struct loom_polkey *k = l->key;

	j->kind = k->kind;
	j->set_peer = k->peer;
	if (k->kind == LOOM_PEER_ANY)
		j->any = l->value;
}

/* The peer has no identity; loom_ep, loom_ip and loom_cidr say whether it ought to have one. */
static void take_place(struct judgement *j, const struct overlay_lookup *l)
{
	const struct loom_remote *remote = l->value;

	if (l->map == &loom_ep) {
		j->stranger = l->value;
		j->asks_place = !l->value;
		return;
	}
	if (l->map == &loom_ip && !l->value)
		return;
	j->stranger = remote && remote->node;
	j->asks_place = false;
}

static void close_judgement(struct check *c)
{
	if (c->open)
		write_judgement(c->r, &c->j);
	c->open = false;
}

/* The sender's policy comes first, where it is a pod of this node; then the other end's. */
static void open_judgement(struct check *c, const struct overlay_lookup *l)
{
	bool ingress = !c->pods[0];

	close_judgement(c);
	c->j = (struct judgement){ .ingress = ingress,
				   .epol = l->value,
				   .of = c->ends[ingress],
				   .peer = c->ends[!ingress] };
	memcpy(&c->j.ep, l->key, sizeof(c->j.ep));
	c->ingress = ingress;
	c->pods[0] = false;
	c->open = true;
}

static void take_end(struct check *c, const struct overlay_lookup *l)
{
	const struct loom_ipkey *k = l->key;
	const struct loom_ep *ep = l->value;

	c->ends[c->n_ends] = k->addr;
	c->pods[c->n_ends++] = ep && !(ep->flags & LOOM_EP_HOST);
}

static void take_epol(struct check *c, const struct overlay_lookup *l)
{
	const struct loom_epol *epol = l->value;
	uint32_t ep;

	memcpy(&ep, l->key, sizeof(ep));
	if (ep) {
		open_judgement(c, l);
		return;
	}
	c->enforced = epol && (epol->flags & LOOM_EPOL_ENFORCED);
	c->n_ends = 0;
}

/* policy_exempts() */
static void write_exemption(const struct check *c)
{
	char of[WHO_STRLEN];

	who_text(c->r->names, &c->ends[1], 0, of);
	step_add(c->r->steps, "ingress",
		 "of %s: accepted: a node's own host may always reach its pods", of);
}

static void take(struct check *c, const struct overlay_lookup *l)
{
	struct judgement *j = &c->j;

	if (l->map == &loom_epol) {
		take_epol(c, l);
	} else if (l->map == &loom_ep && c->n_ends < ARRAY_SIZE(c->ends)) {
		take_end(c, l);
	} else if (!c->open) {
		return;
	} else if (l->map == &loom_ident) {
		j->asks_place = !l->value;
	} else if (l->map == &loom_pol) {
		take_set(j, l);
	} else if (l->map == &loom_polrule) {
		take_rule(j, &c->r->ctx.pkt, l);
	} else if (j->asks_place &&
		   (l->map == &loom_ep || l->map == &loom_ip || l->map == &loom_cidr)) {
		take_place(j, l);
	}
}

void steps_policy(struct run *r)
{
	struct check c = { .r = r, .n_ends = ARRAY_SIZE(c.ends) };

	for (size_t i = 0; i < r->overlay->n_seen; i++)
		take(&c, &r->overlay->seen[i]);
	close_judgement(&c);
	if (c.enforced && !c.ingress && c.pods[1] && r->sender == SENDER_HOST)
		write_exemption(&c);
}
