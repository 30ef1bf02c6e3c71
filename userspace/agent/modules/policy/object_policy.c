// SPDX-License-Identifier: Apache-2.0
/* NetworkPolicy, networking.k8s.io/v1. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/reach.h"
#include "lib/json/json.h"

struct reading {
	const struct policy_reader *r;
	struct policy *p;
};

/* ---- ports ---- */

static int read_proto(struct json_object *obj, uint8_t *ret, struct err *e)
{
	const char *name = "TCP";
	int err = json_opt_str(obj, "protocol", &name, e);

	if (err < 0)
		return err;
	*ret = proto_parse(name);
	if (!*ret)
		return err_set(e, -EINVAL, "protocol: '%.32s' is none of TCP, UDP, SCTP", name);
	return 0;
}

static int read_named(struct reading *rd, struct json_object *obj, struct port_match *m,
		      struct err *e)
{
	const char *name = NULL;
	int err = json_get_str(obj, "port", &name, e);

	if (err < 0)
		return err;
	if (!*name)
		return err_set(e, -EINVAL, "port: is empty");
	if (json_field(obj, "endPort"))
		return err_set(e, -EINVAL, "endPort: the port has a name, not a number");
	m->name = str_get(rd->r->strs, name);
	str_choose(m->name);
	return m->name ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_range(struct json_object *obj, struct port_match *m, struct err *e)
{
	int err = port_number(obj, "port", &m->lo, e);

	m->hi = m->lo;
	if (!err && json_field(obj, "endPort"))
		err = port_number(obj, "endPort", &m->hi, e);
	if (err < 0)
		return err;
	if (m->hi < m->lo)
		return err_set(e, -EINVAL, "endPort: %u is below port %u", m->hi, m->lo);
	return 0;
}

static int read_port(struct reading *rd, struct rule *rule, struct json_object *obj, struct err *e)
{
	struct json_object *port = json_field(obj, "port");
	struct port_match *m = grow(&rule->ports, &rule->n_ports, sizeof(*m));
	int err;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = read_proto(obj, &m->proto, e);
	if (err < 0)
		return err;
	if (json_object_is_type(port, json_type_string)) {
		rule->has_names = true;
		return read_named(rd, obj, m, e);
	}
	if (port)
		return read_range(obj, m, e);
	m->hi = 65535;
	return json_field(obj, "endPort") ? err_set(e, -EINVAL, "endPort: there is no port") : 0;
}

/* ---- peers ---- */

static int read_block(struct rule *rule, struct json_object *obj, struct err *e)
{
	struct json_object *except = NULL;
	const char *cidr = NULL;
	int err = json_get_str(obj, "cidr", &cidr, e);

	if (!err)
		err = json_opt_array(obj, "except", &except, e);
	if (!err)
		err = block_read(rule, cidr, except, e);
	return err < 0 ? err_prefix(e, "ipBlock") : 0;
}

static int read_selected(struct reading *rd, struct rule *rule, struct json_object *pods,
			 struct json_object *namespaces, struct err *e)
{
	struct peer **at = grow(&rule->peers, &rule->n_peers, sizeof(*at));

	if (!at)
		return err_set(e, -ENOMEM, "out of memory");
	return peer_get(rd->r->peers, PEER_PODS, namespaces ? NULL : rd->p->ns, namespaces, pods,
			at, e);
}

static int read_peer(struct reading *rd, struct rule *rule, struct json_object *obj, struct err *e)
{
	struct json_object *pods = NULL, *namespaces = NULL, *block = NULL;
	int err;

	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = json_opt_object(obj, "podSelector", &pods, e);
	if (!err)
		err = json_opt_object(obj, "namespaceSelector", &namespaces, e);
	if (!err)
		err = json_opt_object(obj, "ipBlock", &block, e);
	if (err < 0)
		return err;
	if (block && (pods || namespaces))
		return err_set(e, -EINVAL, "ipBlock: stands together with a selector");
	if (block)
		return read_block(rule, block, e);
	if (!pods && !namespaces)
		return err_set(e, -EINVAL,
			       "none of podSelector, namespaceSelector, ipBlock is there");
	return read_selected(rd, rule, pods, namespaces, e);
}

/* ---- rules ---- */

static int
read_list(struct reading *rd, struct rule *rule, struct json_object *obj, const char *field,
	  int (*read)(struct reading *, struct rule *, struct json_object *, struct err *),
	  bool *ret_any, struct err *e)
{
	struct json_object *list = NULL;
	size_t n;

	if (json_opt_array(obj, field, &list, e) < 0)
		return e->code;
	n = list ? json_object_array_length(list) : 0;
	*ret_any = !n;
	for (size_t i = 0; i < n; i++)
		if (read(rd, rule, json_object_array_get_idx(list, i), e) < 0)
			return err_prefix(e, "%s[%zu]", field, i);
	return 0;
}

static int read_rule(struct reading *rd, enum direction dir, struct json_object *obj, struct err *e)
{
	struct rule *rule = grow(&rd->p->rules[dir], &rd->p->n_rules[dir], sizeof(*rule));
	int err;

	if (!rule)
		return err_set(e, -ENOMEM, "out of memory");
	rule->action = LOOM_POL_ACCEPT;
	if (!json_object_is_type(obj, json_type_object))
		return err_set(e, -EINVAL, "want an object, found %s", json_type_word(obj));
	err = read_list(rd, rule, obj, dir == DIR_IN ? "from" : "to", read_peer, &rule->any_peer,
			e);
	err = err ?: read_list(rd, rule, obj, "ports", read_port, &rule->any_port, e);
	if (err < 0)
		return err;
	rule_join_ports(rule);
	if (rule->has_names && rule_find_spans(rule) < 0)
		return err_set(e, -ENOMEM, "out of memory");
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
	return 0;
}

static int read_types(struct policy *p, struct json_object *spec, struct err *e)
{
	struct json_object *list = NULL;
	size_t n;

	if (json_opt_array(spec, "policyTypes", &list, e) < 0)
		return e->code;
	n = list ? json_object_array_length(list) : 0;
	if (!n) {
		p->decides[DIR_IN] = true;
		p->decides[DIR_OUT] = p->n_rules[DIR_OUT] > 0;
	}
	for (size_t i = 0; i < n; i++) {
		const char *type = json_object_get_string(json_object_array_get_idx(list, i)) ?: "";
		bool in = strcmp(type, "Ingress") == 0;

		if (!in && strcmp(type, "Egress") != 0)
			return err_set(e, -EINVAL,
				       "policyTypes[%zu]: '%.32s' is none of Ingress, Egress", i,
				       type);
		p->decides[in ? DIR_IN : DIR_OUT] = true;
	}
	return 0;
}

static int read_spec(struct reading *rd, struct json_object *spec, struct err *e)
{
	struct json_object *selector = NULL;
	int err = json_opt_object(spec, "podSelector", &selector, e);

	if (!err)
		err = peer_get(rd->r->peers, PEER_PODS, rd->p->ns, NULL, selector, &rd->p->subject,
			       e);
	for (enum direction dir = 0; !err && dir < DIRS; dir++)
		err = read_rules(rd, dir, spec, e);
	return err ?: read_types(rd->p, spec, e);
}

/* A policy with its name and namespace alone. */
static int start(const struct policy_reader *r, const char *key, struct json_object *obj,
		 struct policy **ret, struct err *e)
{
	_cleanup_(policy_putp) struct policy *p = policy_new("networkpolicy", key, obj);
	const char *slash = strchr(key, '/');
	char ns[256];

	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	if (!slash || (size_t)(slash - key) >= sizeof(ns))
		return err_set(e, -EINVAL, "%.300s: has no namespace", p->name);
	memcpy(ns, key, slash - key);
	ns[slash - key] = 0;
	p->ns = str_get(r->strs, ns);
	p->tier = LOOM_TIER_NP;
	if (!p->ns)
		return err_set(e, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(p);
	return 0;
}

int policy_read(const struct policy_reader *r, const char *key, struct json_object *obj,
		struct policy **ret, struct err *e)
{
	_cleanup_(policy_putp) struct policy *p = NULL;
	struct reading rd = { .r = r };
	struct json_object *spec = NULL;
	struct err own = {};
	int err;

	e = e ?: &own;
	err = start(r, key, obj, &p, e);
	if (err < 0)
		return err;
	rd.p = p;
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

/* As read_types(), but what is not understood may be about anything. */
static void guess_types(struct policy *p, struct json_object *spec)
{
	struct json_object *egress = json_field(spec, "egress");
	struct err e = {};

	if (json_object_is_type(spec, json_type_object) && read_types(p, spec, &e) == 0) {
		bool lists = json_field(spec, "policyTypes") &&
			     json_object_array_length(json_field(spec, "policyTypes"));
		bool none = !egress || (json_object_is_type(egress, json_type_array) &&
					!json_object_array_length(egress));

		p->decides[DIR_OUT] |= !lists && !none;
		return;
	}
	p->decides[DIR_IN] = p->decides[DIR_OUT] = true;
}

int policy_read_closed(const struct policy_reader *r, const char *key, struct json_object *obj,
		       struct policy **ret)
{
	_cleanup_(policy_putp) struct policy *p = NULL;
	struct json_object *spec = json_field(obj, "spec"), *sel = json_field(spec, "podSelector");
	struct err e = {};
	int err = start(r, key, obj, &p, &e);

	err = err ?: policy_mark_unreadable(p);
	if (err < 0)
		return err;
	guess_types(p, spec);
	if (sel && !json_object_is_type(sel, json_type_object))
		sel = NULL;
	err = peer_get(r->peers, PEER_PODS, p->ns, NULL, sel, &p->subject, &e);
	if (err < 0 && sel)
		err = peer_get(r->peers, PEER_PODS, p->ns, NULL, NULL, &p->subject, &e);
	if (!err)
		*ret = TAKE_PTR(p);
	return err;
}
