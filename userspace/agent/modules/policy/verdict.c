// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/verdict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/modules/policy/private.h"
#include "lib/bpf/names.h"
#include "lib/json/json.h"

/* ---- the rules, as the data plane looks at them ---- */

struct verdict {
	const struct loom_event *ev;
	const struct ruleset *rules;
	const struct address *peer; /* NULL: it has no identity */
	const struct loom_polrule *best[LOOM_TIERS];
	const struct ruleset_rule *denies; /* NULL: none does */
	bool isolated;			   /* none of those that isolate it lets it pass */
};

static void scan(struct verdict *v, const struct list *list)
{
	uint16_t port = ntohs(v->ev->port);

	for (int i = 0; list && i < list->count; i++) {
		const struct loom_polrule *r = &list->v[i];
		unsigned int tier = r->verdict >> 4;

		if (r->proto && (r->proto != v->ev->flow_proto || port < r->lo || port > r->hi))
			continue;
		if (tier < LOOM_TIERS && (!v->best[tier] || r->order < v->best[tier]->order))
			v->best[tier] = r;
	}
}

/* The longest of the prefixes that policies name and that cover the address, or NULL. */
static const struct class *class_of(const struct classes *c, const union loom_addr *addr)
{
	unsigned int shortest = addr_is_v4(addr) ? 96 : 0;
	struct prefix p = { .addr = *addr, .len = 128 };
	const struct class *class = class_find(c, &p);

	while (!class && p.len > shortest) {
		p.len--;
		p.addr.b[p.len / 8] &= ~(0x80 >> p.len % 8);
		class = class_find(c, &p);
	}
	return class;
}

static const struct loom_polrule *denying(const struct loom_polrule *r)
{
	return r && (r->verdict & 0xf) == LOOM_POL_DENY ? r : NULL;
}

/* The rule that a map's rule was made of. */
static const struct ruleset_rule *rule_of(const struct ruleset *set, const struct loom_polrule *r)
{
	for (size_t i = 0; r && i < set->n_rules; i++)
		if (set->rules[i].tier == r->verdict >> 4 && set->rules[i].order == r->order)
			return &set->rules[i];
	return NULL;
}

static void decide(struct verdict *v)
{
	const struct loom_polrule *admin = v->best[LOOM_TIER_ADMIN];

	if (admin && (admin->verdict & 0xf) != LOOM_POL_PASS) {
		v->denies = rule_of(v->rules, denying(admin));
		return;
	}
	if (v->best[LOOM_TIER_NP])
		return;
	v->isolated = v->rules->flags & LOOM_POLSET_ISOLATES;
	if (!v->isolated)
		v->denies = rule_of(v->rules, denying(v->best[LOOM_TIER_BASELINE]));
}

static void judge(struct verdict *v, const struct world *w)
{
	const struct class *class = class_of(&w->sets.classes, &v->ev->peer);

	scan(v, v->rules->any);
	if (v->peer && v->peer->written)
		scan(v, setmap_find(&v->rules->ident_sets, v->peer->written));
	if (class)
		scan(v, setmap_find(&v->rules->class_sets, class->number));
	decide(v);
}

/* ---- words ---- */

/* `ret_kind`: "pod" or "node". */
static const char *name_of(const struct address *a, const char **ret_kind)
{
	const struct owner *owner = a && a->claims ? a->claims->owner : NULL;

	if (!owner || !owner->identity)
		return NULL;
	*ret_kind = owner->identity->kind == IDENTITY_NODE ? "node" : "pod";
	if (owner->identity->kind == IDENTITY_NODE)
		return container_of(owner, struct node, owner)->name;
	return container_of(owner, struct pod, owner)->key;
}

/* The NetworkPolicies that isolate it, to the list and as "a, b and 3 more". */
static void put_isolating(FILE *f, const struct ruleset *rules, struct json_object *list)
{
	size_t n = 0;

	fputs("isolated by ", f);
	for (size_t i = 0; i < rules->n_policies; i++) {
		const struct policy *p = rules->policies[i];

		if (p->tier != LOOM_TIER_NP || n++ >= VERDICT_POLICIES)
			continue;
		json_append_str(list, p->name);
		fprintf(f, "%s%s", n > 1 ? ", " : "", p->name);
	}
	if (n > VERDICT_POLICIES)
		fprintf(f, " and %zu more", n - VERDICT_POLICIES);
}

static void put_rule(FILE *f, const struct ruleset_rule *rule, enum direction dir,
		     struct json_object *list)
{
	char words[VERDICT_RULE];

	json_append_str(list, rule->policy->name);
	fputs(rule_words_short(rule, dir, words, sizeof(words)), f);
}

static void put_why(FILE *f, struct verdict *v, const struct world *w, struct json_object *list)
{
	enum direction dir = v->ev->ingress ? DIR_IN : DIR_OUT;

	if (v->ev->reason == LOOM_DROP_POLICY_PENDING) {
		fputs("its policies are not known yet", f);
		return;
	}
	if (v->rules)
		judge(v, w);
	if (v->denies)
		put_rule(f, v->denies, dir, list);
	else if (v->isolated)
		put_isolating(f, v->rules, list);
	else if (v->rules && v->rules->flags & LOOM_POLSET_STRICT && !(v->peer && v->peer->written))
		fputs("nobody knows yet who the peer is", f);
	else
		fputs("its policies are others by now", f);
}

static bool event_has_port(const struct loom_event *ev)
{
	return ev->flow_proto == IPPROTO_TCP || ev->flow_proto == IPPROTO_UDP ||
	       ev->flow_proto == IPPROTO_SCTP;
}

static char *why(struct verdict *v, const struct world *w, const char *pod, const char *peer,
		 struct json_object *list)
{
	char addr[ADDR_STRLEN], proto[NAME_STRLEN], *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	addr_format(&v->ev->peer, addr);
	fprintf(f, "%s of %s %s %s", v->ev->ingress ? "ingress" : "egress", pod ?: "an endpoint",
		v->ev->ingress ? "from" : "to", addr);
	if (peer)
		fprintf(f, " (%s)", peer);
	if (event_has_port(v->ev))
		fprintf(f, ", port %u/%s: ", ntohs(v->ev->port), proto_name(v->ev->flow_proto));
	else
		fprintf(f, ", %s: ", loom_proto_name(v->ev->flow_proto, proto));
	put_why(f, v, w, list);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

/* Whom the event is about. */
static const struct endpoint *find_ends(struct verdict *v, const struct world *w)
{
	const struct loom_ipkey key = { .scope = v->ev->scope, .addr = v->ev->peer };
	const struct endpoint *ep = NULL;

	HASH_FIND(hh, w->addresses, &key, sizeof(key), v->peer);
	HASH_FIND(hh, w->endpoints, &v->ev->judged, sizeof(v->ev->judged), ep);
	v->rules = ep ? ep->rules[v->ev->ingress ? DIR_IN : DIR_OUT] : NULL;
	return ep;
}

struct json_object *verdict_json(const struct world *w, const struct loom_event *ev)
{
	_json_ *ret = json_object_new_object(), *list = json_object_new_array();
	_cleanup_(freep) char *text = NULL;
	struct verdict v = { .ev = ev };
	const struct endpoint *ep = find_ends(&v, w);
	const char *pod = ep && ep->pod ? ep->pod->key : NULL, *kind, *peer;

	peer = name_of(v.peer, &kind);
	text = ret && list ? why(&v, w, pod, peer, list) : NULL;
	if (!text || (pod && json_add_str(ret, "pod", pod) < 0) ||
	    (peer && json_add_str(ret, "peerName", peer) < 0) ||
	    (json_object_array_length(list) && json_add(ret, "policies", TAKE_PTR(list)) < 0) ||
	    json_add_str(ret, "why", text) < 0)
		return NULL;
	return TAKE_PTR(ret);
}

/* ---- what is counted ---- */

static int add_peer(struct json_object *ret, const struct verdict *v)
{
	_json_ *peer = json_object_new_object();
	char addr[ADDR_STRLEN];
	const char *kind, *name = name_of(v->peer, &kind);
	uint32_t scope = v->ev->scope;

	if (!peer || json_add_str(peer, "address", addr_format(&v->ev->peer, addr)) < 0 ||
	    (scope && json_add_int(peer, "scope", scope) < 0) ||
	    (name && json_add_str(peer, kind, name) < 0))
		return -ENOMEM;
	return json_add(ret, "peer", TAKE_PTR(peer));
}

static int add_port(struct json_object *ret, const struct loom_event *ev)
{
	char proto[NAME_STRLEN];

	if (!event_has_port(ev))
		return json_add_str(ret, "protocol", loom_proto_name(ev->flow_proto, proto));
	return json_add_int(ret, "port", ntohs(ev->port))
		       ?: json_add_str(ret, "protocol", proto_name(ev->flow_proto));
}

static int add_because(struct json_object *ret, struct verdict *v, const struct world *w)
{
	_json_ *list = json_object_new_array();
	char *text = NULL;
	size_t len;
	FILE *f = list ? open_memstream(&text, &len) : NULL;
	int err;

	if (!f)
		return -ENOMEM;
	put_why(f, v, w, list);
	err = fclose(f) == 0 ? json_add(ret, "policies", TAKE_PTR(list)) : -ENOMEM;
	err = err ?: json_add_str(ret, "because", text);
	free(text);
	return err;
}

struct json_object *verdict_denied(const struct world *w, const struct loom_deniedkey *k)
{
	const struct loom_event ev = { .reason = k->reason,
				       .scope = k->scope,
				       .peer = k->peer,
				       .judged = k->ep,
				       .port = k->port,
				       .ingress = k->ingress,
				       .flow_proto = k->proto };
	_json_ *ret = json_object_new_object();
	struct verdict v = { .ev = &ev };
	const struct endpoint *ep = find_ends(&v, w);

	if (!ret || (ep && ep->pod && json_add_str(ret, "pod", ep->pod->key) < 0) ||
	    json_add_str(ret, "direction", ev.ingress ? "ingress" : "egress") < 0 ||
	    add_peer(ret, &v) < 0 || add_port(ret, &ev) < 0 ||
	    json_add_str(ret, "reason", loom_drop_name(ev.reason)) < 0 ||
	    json_add_bool(ret, "logged", ev.reason == LOOM_DROP_POLICY_LOGGED) < 0 ||
	    add_because(ret, &v, w) < 0)
		return NULL;
	return TAKE_PTR(ret);
}
