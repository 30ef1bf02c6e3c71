// SPDX-License-Identifier: Apache-2.0
/*
 * ClusterNetworkPolicy, policy.networking.k8s.io/v1alpha2.
 *
 * A peer without a field that is known here belongs to a later version of the API, or to a part of
 * it that netloom has not (domainNames). The rule fails closed then, as the API says: Accept
 * matches nothing, Deny and Pass deny everything. The same holds for unknown protocols.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/object.h"
#include "lib/json/json.h"

#define MAX_PRIORITY 1000

struct reading {
	const struct policy_reader *r;
	struct policy *p;
	bool unknown; /* in the rule that is read */
};

/* ---- peers ---- */

static int add_peer(struct reading *rd, struct rule *rule, enum peer_kind kind,
		    struct json_object *namespaces, struct json_object *sel, struct err *e)
{
	struct peer **at = grow(&rule->peers, &rule->n_peers, sizeof(*at));

	if (!at)
		return err_set(e, -ENOMEM, "out of memory");
	return peer_get(rd->r->peers, kind, NULL, namespaces, sel, at, e);
}

/* `pods` of a peer or of the subject: both selectors, of which podSelector must be there. */
static int pods_selectors(struct json_object *pods, struct json_object **ret_namespaces,
			  struct json_object **ret_pods, struct err *e)
{
	int err = json_get_object(pods, "podSelector", ret_pods, e);

	*ret_namespaces = NULL;
	if (!err)
		err = json_opt_object(pods, "namespaceSelector", ret_namespaces, e);
	return err < 0 ? err_prefix(e, "pods") : 0;
}

static int add_pods(struct reading *rd, struct rule *rule, struct json_object *pods, struct err *e)
{
	struct json_object *namespaces, *sel;

	if (pods_selectors(pods, &namespaces, &sel, e) < 0)
		return e->code;
	if (add_peer(rd, rule, PEER_PODS, namespaces, sel, e) < 0)
		return err_prefix(e, "pods");
	return 0;
}

static int add_networks(struct rule *rule, struct json_object *list, struct err *e)
{
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *v = json_object_array_get_idx(list, i);

		if (!json_object_is_type(v, json_type_string))
			return err_set(e, -EINVAL, "networks[%zu]: want a string, found %s", i,
				       json_type_word(v));
		if (block_read(rule, json_object_get_string(v), NULL, e) < 0)
			return err_prefix(e, "networks[%zu]", i);
	}
	return 0;
}

static int read_peer(struct reading *rd, enum direction dir, struct rule *rule,
		     struct json_object *obj, struct err *e)
{
	struct json_object *namespaces = NULL, *pods = NULL, *nodes = NULL, *networks = NULL;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = json_opt_object(obj, "namespaces", &namespaces, e);
	if (!err)
		err = json_opt_object(obj, "pods", &pods, e);
	if (!err && dir == DIR_OUT)
		err = json_opt_object(obj, "nodes", &nodes, e);
	if (!err && dir == DIR_OUT)
		err = json_opt_array(obj, "networks", &networks, e);
	if (err < 0)
		return err;
	if (!!namespaces + !!pods + !!nodes + !!networks > 1)
		return err_set(e, -EINVAL,
			       "has more than one of namespaces, pods, nodes, networks");
	if (namespaces)
		return add_peer(rd, rule, PEER_PODS, namespaces, NULL, e);
	if (pods)
		return add_pods(rd, rule, pods, e);
	if (nodes)
		return add_peer(rd, rule, PEER_NODES, NULL, nodes, e);
	if (networks)
		return add_networks(rule, networks, e);
	rd->unknown = true;
	return 0;
}

/* ---- protocols ---- */

static int read_destination(struct reading *rd, struct json_object *dst, struct port_match *m,
			    struct err *e)
{
	struct json_object *range = NULL;
	int err;

	if (json_field(dst, "number")) {
		err = port_number(dst, "number", &m->lo, e);
		m->hi = m->lo;
		return err;
	}
	err = json_opt_object(dst, "range", &range, e);
	if (err < 0)
		return err;
	if (!range) {
		rd->unknown = true;
		return 0;
	}
	err = port_number(range, "start", &m->lo, e);
	if (!err)
		err = port_number(range, "end", &m->hi, e);
	if (!err && m->hi <= m->lo)
		err = err_set(e, -EINVAL, "end: %u is not above start %u", m->hi, m->lo);
	return err < 0 ? err_prefix(e, "range") : 0;
}

static int read_transport(struct reading *rd, struct json_object *obj, const char *field,
			  uint8_t proto, struct port_match *m, struct err *e)
{
	struct json_object *dst = NULL;
	int err = json_opt_object(obj, "destinationPort", &dst, e);

	m->proto = proto;
	if (!err && dst)
		err = read_destination(rd, dst, m, e);
	if (err < 0)
		return err_prefix(e, dst ? "%s.destinationPort" : "%s", field);
	rd->unknown |= !dst;
	return 0;
}

static int read_named(struct reading *rd, struct rule *rule, struct json_object *obj,
		      struct port_match *m, struct err *e)
{
	const char *name = NULL;
	int err = json_get_str(obj, "destinationNamedPort", &name, e);

	if (err < 0)
		return err;
	if (!*name)
		return err_set(e, -EINVAL, "destinationNamedPort: is empty");
	m->name = str_get(rd->r->strs, name);
	str_choose(m->name);
	rule->has_names = true;
	return m->name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_protocol(struct reading *rd, struct rule *rule, struct json_object *obj,
			 struct err *e)
{
	static const struct {
		const char *field;
		uint8_t proto;
	} transports[] = { { "tcp", IPPROTO_TCP },
			   { "udp", IPPROTO_UDP },
			   { "sctp", IPPROTO_SCTP } };
	struct port_match *m = grow(&rule->ports, &rule->n_ports, sizeof(*m));

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	if (json_field(obj, "destinationNamedPort"))
		return read_named(rd, rule, obj, m, e);
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++) {
		struct json_object *t = NULL;

		if (json_opt_object(obj, transports[i].field, &t, e) < 0)
			return e->code;
		if (t)
			return read_transport(rd, t, transports[i].field, transports[i].proto, m,
					      e);
	}
	rd->unknown = true;
	return 0;
}

/* ---- rules ---- */

static int read_action(struct json_object *obj, struct rule *rule, struct err *e)
{
	const char *text = NULL;
	int err = json_get_str(obj, "action", &text, e);

	if (err < 0)
		return err;
	for (enum loom_pol_action a = LOOM_POL_ACCEPT; a <= LOOM_POL_PASS; a++)
		if (strcmp(text, action_name(a)) == 0) {
			rule->action = a;
			return 0;
		}
	return err_set(e, -EINVAL, "action: '%.32s' is none of Accept, Deny, Pass", text);
}

static int read_name(struct json_object *obj, struct rule *rule, struct err *e)
{
	const char *name = NULL;
	int err = json_opt_str(obj, "name", &name, e);

	if (err < 0 || !name)
		return err;
	rule->name = strndup(name, 100);
	return rule->name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_protocols(struct reading *rd, struct rule *rule, struct json_object *obj,
			  struct err *e)
{
	struct json_object *list = NULL;
	size_t n;

	if (json_opt_array(obj, "protocols", &list, e) < 0)
		return e->code;
	n = list ? json_object_array_length(list) : 0;
	rule->any_port = !n;
	for (size_t i = 0; i < n; i++)
		if (read_protocol(rd, rule, json_object_array_get_idx(list, i), e) < 0)
			return err_prefix(e, "protocols[%zu]", i);
	return 0;
}

static int read_peers(struct reading *rd, enum direction dir, struct rule *rule,
		      struct json_object *obj, struct err *e)
{
	const char *field = dir == DIR_IN ? "from" : "to";
	struct json_object *list = NULL;

	if (json_get_array(obj, field, &list, e) < 0)
		return e->code;
	if (!json_object_array_length(list))
		return err_set(e, -EINVAL, "%s: is empty", field);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (read_peer(rd, dir, rule, json_object_array_get_idx(list, i), e) < 0)
			return err_prefix(e, "%s[%zu]", field, i);
	return 0;
}

static bool names_ports_of_none(const struct rule *rule)
{
	bool nodes = rule->n_blocks > 0;

	for (size_t i = 0; i < rule->n_peers; i++)
		nodes |= rule->peers[i]->kind == PEER_NODES;
	return rule->has_names && nodes;
}

static int read_rule(struct reading *rd, enum direction dir, struct json_object *obj, struct err *e)
{
	struct rule *rule = grow(&rd->p->rules[dir], &rd->p->n_rules[dir], sizeof(*rule));
	int err;

	if (!rule)
		return err_set(e, -ENOMEM, "out of memory");
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	rd->unknown = false;
	err = read_action(obj, rule, e);
	err = err ?: read_name(obj, rule, e);
	err = err ?: read_protocols(rd, rule, obj, e);
	err = err ?: read_peers(rd, dir, rule, obj, e);
	if (err < 0)
		return err;
	if (names_ports_of_none(rule))
		return err_set(e, -EINVAL,
			       "protocols: a named port stands with nodes or networks, which have "
			       "none");
	rule_join_ports(rule);
	if (rd->unknown)
		rule_close(rule);
	return 0;
}

static int read_rules(struct reading *rd, enum direction dir, struct json_object *spec,
		      struct err *e)
{
	const char *field = direction_name(dir);
	struct json_object *list = NULL;

	if (json_opt_array(spec, field, &list, e) < 0)
		return e->code;
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (read_rule(rd, dir, json_object_array_get_idx(list, i), e) < 0)
			return err_prefix(e, "%s[%zu]", field, i);
	rd->p->decides[dir] = rd->p->n_rules[dir] > 0;
	return 0;
}

/* ---- the object ---- */

static int read_tier(struct policy *p, struct json_object *spec, struct err *e)
{
	const char *tier = NULL;
	int64_t priority = 0;
	int err = json_get_str(spec, "tier", &tier, e);

	if (!err)
		err = json_get_int(spec, "priority", 0, MAX_PRIORITY, &priority, e);
	if (err < 0)
		return err;
	p->priority = priority;
	p->tier = strcmp(tier, "Admin") == 0 ? LOOM_TIER_ADMIN : LOOM_TIER_BASELINE;
	if (p->tier == LOOM_TIER_BASELINE && strcmp(tier, "Baseline") != 0)
		return err_set(e, -EINVAL, "tier: '%.32s' is none of Admin, Baseline", tier);
	return 0;
}

static int read_subject(struct reading *rd, struct json_object *spec, struct err *e)
{
	struct json_object *subject = NULL, *namespaces = NULL, *pods = NULL, *sel = NULL;
	int err = json_get_object(spec, "subject", &subject, e);

	if (!err)
		err = json_opt_object(subject, "namespaces", &namespaces, e);
	if (!err)
		err = json_opt_object(subject, "pods", &pods, e);
	if (err < 0)
		return err;
	if (!namespaces == !pods)
		return err_set(e, -EINVAL, "subject: want one of namespaces, pods");
	if (pods && pods_selectors(pods, &namespaces, &sel, e) < 0)
		return err_prefix(e, "subject");
	if (peer_get(rd->r->peers, PEER_PODS, NULL, namespaces, sel, &rd->p->subject, e) < 0)
		return err_prefix(e, "subject");
	return 0;
}

static int read_spec(struct reading *rd, struct json_object *spec, struct err *e)
{
	int err = read_tier(rd->p, spec, e);

	err = err ?: read_subject(rd, spec, e);
	for (enum direction dir = 0; !err && dir < DIRS; dir++)
		err = read_rules(rd, dir, spec, e);
	return err;
}

int cluster_policy_read(const struct policy_reader *r, const char *name, struct json_object *obj,
			struct policy **ret, struct err *e)
{
	_cleanup_(policy_putp) struct policy *p = policy_new("clusternetworkpolicy", name, obj);
	struct reading rd = { .r = r, .p = p };
	struct json_object *spec = NULL;
	struct err own = {};
	int err;

	e = e ?: &own;
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	err = json_get_object(obj, "spec", &spec, e);
	if (err < 0)
		return err_prefix(e, "%.300s", p->name);
	err = read_spec(&rd, spec, e) ?: policy_check_size(rd.p, e);
	if (err < 0) {
		err_prefix(e, "spec");
		return err_prefix(e, "%.300s", p->name);
	}
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- those that can't be read ---- */

static int guess_rule(struct policy *p, enum direction dir, struct json_object *obj)
{
	struct rule *rule = grow(&p->rules[dir], &p->n_rules[dir], sizeof(*rule));
	struct err e = {};

	if (!rule)
		return -ENOMEM;
	if (read_action(obj, rule, &e) < 0)
		rule->action = LOOM_POL_DENY;
	rule_close(rule);
	return 0;
}

static int guess_rules(struct policy *p, enum direction dir, struct json_object *spec)
{
	struct json_object *list = json_field(spec, direction_name(dir));
	bool is_list = json_object_is_type(list, json_type_array);
	int err = 0;

	for (size_t i = 0; !err && is_list && i < json_object_array_length(list); i++)
		err = guess_rule(p, dir, json_object_array_get_idx(list, i));
	if ((list && !is_list) || !json_object_is_type(spec, json_type_object))
		err = guess_rule(p, dir, NULL);
	p->decides[dir] = p->n_rules[dir] > 0;
	return err;
}

/* Admin and first, unless it says otherwise. */
static void guess_tier(struct policy *p, struct json_object *spec)
{
	struct json_object *tier = json_field(spec, "tier");
	int64_t priority = 0;

	p->tier = json_object_is_type(tier, json_type_string) &&
				  strcmp(json_object_get_string(tier), "Baseline") == 0
			  ? LOOM_TIER_BASELINE
			  : LOOM_TIER_ADMIN;
	if (json_object_is_type(spec, json_type_object))
		json_opt_int(spec, "priority", 0, MAX_PRIORITY, &priority, NULL);
	p->priority = priority;
}

int cluster_policy_read_closed(const struct policy_reader *r, const char *name,
			       struct json_object *obj, struct policy **ret)
{
	_cleanup_(policy_putp) struct policy *p = policy_new("clusternetworkpolicy", name, obj);
	struct json_object *spec = json_field(obj, "spec");
	struct reading rd = { .r = r, .p = p };
	struct err e = {};
	int err;

	if (!p)
		return -ENOMEM;
	err = policy_mark_unreadable(p);
	guess_tier(p, spec);
	for (enum direction dir = 0; !err && dir < DIRS; dir++)
		err = guess_rules(p, dir, spec);
	if (!err && read_subject(&rd, spec, &e) < 0)
		err = peer_get(r->peers, PEER_PODS, NULL, NULL, NULL, &p->subject, &e);
	if (!err)
		*ret = TAKE_PTR(p);
	return err;
}
