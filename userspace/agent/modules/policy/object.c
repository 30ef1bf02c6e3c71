// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/object.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json/json.h"

const char *direction_name(enum direction dir)
{
	return dir == DIR_IN ? "ingress" : "egress";
}

const char *action_name(enum loom_pol_action action)
{
	static const char *const names[] = {
		[LOOM_POL_ACCEPT] = "Accept",
		[LOOM_POL_DENY] = "Deny",
		[LOOM_POL_PASS] = "Pass",
	};

	return names[action];
}

bool object_is_log_only(struct json_object *obj)
{
	struct json_object *mode =
		json_field(json_path(obj, "metadata.annotations"), POLICY_MODE_ANNOTATION);

	return json_object_is_type(mode, json_type_string) &&
	       strcmp(json_object_get_string(mode), POLICY_MODE_LOG_ONLY) == 0;
}

/* ---- life ---- */

static void rule_clear(struct rule *r)
{
	for (size_t i = 0; i < r->n_peers; i++)
		peer_put(r->peers[i]);
	for (size_t i = 0; i < r->n_blocks; i++)
		free(r->blocks[i].except);
	for (size_t i = 0; i < r->n_ports; i++) {
		str_unchoose(r->ports[i].name);
		str_put(r->ports[i].name);
	}
	free(r->peers);
	free(r->blocks);
	free(r->ports);
	free(r->spans);
	free(r->name);
}

struct policy *policy_new(const char *kind, const char *key, struct json_object *obj)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->refs = 1;
	p->log_only = object_is_log_only(obj);
	if (asprintf(&p->name, "%s %s", kind, key) < 0)
		p->name = NULL;
	if (asprintf(&p->text, "%d%s", p->log_only, json_text(json_field(obj, "spec")) ?: "") < 0)
		p->text = NULL;
	if (p->name && p->text)
		return p;
	policy_put(p);
	return NULL;
}

struct policy *policy_ref(struct policy *p)
{
	p->refs++;
	return p;
}

void policy_put(struct policy *p)
{
	if (!p || --p->refs)
		return;
	for (enum direction dir = 0; dir < DIRS; dir++) {
		for (size_t i = 0; i < p->n_rules[dir]; i++)
			rule_clear(&p->rules[dir][i]);
		free(p->rules[dir]);
	}
	peer_put(p->subject);
	str_put(p->ns);
	free(p->name);
	free(p->text);
	free(p);
}

/* ---- closed ---- */

/* An Accept without peers matches nothing. */
void rule_close(struct rule *rule)
{
	if (rule->action == LOOM_POL_ACCEPT) {
		for (size_t i = 0; i < rule->n_peers; i++)
			peer_put(rule->peers[i]);
		for (size_t i = 0; i < rule->n_blocks; i++)
			free(rule->blocks[i].except);
		rule->n_peers = rule->n_blocks = 0;
		return;
	}
	rule->action = LOOM_POL_DENY;
	rule->any_peer = rule->any_port = true;
}

static int close_rules(struct policy *p, const struct policy *of, enum direction dir)
{
	for (size_t i = 0; i < of->n_rules[dir]; i++) {
		const struct rule *from = &of->rules[dir][i];
		struct rule *rule = grow(&p->rules[dir], &p->n_rules[dir], sizeof(*rule));

		if (!rule)
			return -ENOMEM;
		rule->action = from->action;
		rule->name = from->name ? strdup(from->name) : NULL;
		rule_close(rule);
	}
	return 0;
}

static char *closed_name(const struct policy *p)
{
	char *name;

	return asprintf(&name, "%s%s", p->name, p->unreadable ? "" : CLOSED_MARK) < 0 ? NULL : name;
}

int policy_mark_unreadable(struct policy *p)
{
	char *name = closed_name(p);

	if (!name)
		return -ENOMEM;
	free(p->name);
	p->name = name;
	p->unreadable = true;
	return 0;
}

struct policy *policy_closed(const struct policy *of)
{
	struct policy *p = calloc(1, sizeof(*p));
	int err = 0;

	if (!p)
		return NULL;
	*p = (struct policy){
		.refs = 1,
		.tier = of->tier,
		.name = closed_name(of),
		.text = strdup(of->text),
		.ns = str_ref(of->ns),
		.priority = of->priority,
		.log_only = of->log_only,
		.subject = peer_ref(of->subject),
	};
	memcpy(p->decides, of->decides, sizeof(p->decides));
	for (enum direction dir = 0; !err && of->tier != LOOM_TIER_NP && dir < DIRS; dir++)
		err = close_rules(p, of, dir);
	if (!err && p->name && p->text)
		return p;
	policy_put(p);
	return NULL;
}

/* ---- parts ---- */

static int except_read(struct block *b, struct json_object *v, struct err *e)
{
	struct prefix p, *at;
	char cidr[PREFIX_STRLEN];

	if (!json_object_is_type(v, json_type_string))
		return err_set(e, -EINVAL, "want a string, found %s", json_type_word(v));
	if (prefix_parse_legacy(json_object_get_string(v), &p, e) < 0)
		return e->code;
	if (p.len <= b->cidr.len || !prefix_contains(&b->cidr, &p.addr))
		return err_set(e, -EINVAL, "'%.64s' is not a part of '%s'",
			       json_object_get_string(v), prefix_format(&b->cidr, cidr));
	at = grow(&b->except, &b->n_except, sizeof(*at));
	if (!at)
		return err_set(e, -ENOMEM, "out of memory");
	*at = p;
	return 0;
}

int block_read(struct rule *rule, const char *cidr, struct json_object *except, struct err *e)
{
	struct block *b = grow(&rule->blocks, &rule->n_blocks, sizeof(*b));

	if (!b)
		return err_set(e, -ENOMEM, "out of memory");
	if (prefix_parse_legacy(cidr, &b->cidr, e) < 0)
		return err_prefix(e, "cidr");
	for (size_t i = 0; except && i < json_object_array_length(except); i++)
		if (except_read(b, json_object_array_get_idx(except, i), e) < 0)
			return err_prefix(e, "except[%zu]", i);
	return 0;
}

int policy_check_size(const struct policy *p, struct err *e)
{
	size_t n = 0;

	for (enum direction dir = 0; dir < DIRS; dir++)
		for (size_t i = 0; i < p->n_rules[dir]; i++)
			for (size_t k = 0; k < p->rules[dir][i].n_blocks; k++)
				n += 1 + p->rules[dir][i].blocks[k].n_except;
	if (n > POLICY_MAX_PREFIXES)
		return err_set(e, -E2BIG, "has %zu CIDRs and excepts, of which there can be %u", n,
			       POLICY_MAX_PREFIXES);
	return 0;
}

/* By protocol and number; those with names first. */
static int by_port(const void *va, const void *vb)
{
	const struct port_match *a = va, *b = vb;

	if (!a->name != !b->name)
		return a->name ? -1 : 1;
	if (a->proto != b->proto)
		return (int)a->proto - b->proto;
	return (int)a->lo - b->lo;
}

void rule_join_ports(struct rule *r)
{
	size_t kept = 0;

	if (r->n_ports <= LOOM_POLSET_MAX)
		return;
	qsort(r->ports, r->n_ports, sizeof(r->ports[0]), by_port);
	for (size_t i = 0; i < r->n_ports; i++) {
		struct port_match *m = &r->ports[i], *last = kept ? &r->ports[kept - 1] : NULL;

		if (m->name || !last || last->name || last->proto != m->proto ||
		    m->lo > last->hi + 1)
			r->ports[kept++] = *m;
		else
			last->hi = m->hi > last->hi ? m->hi : last->hi;
	}
	r->n_ports = kept;
}

int port_number(struct json_object *obj, const char *field, uint16_t *ret, struct err *e)
{
	int64_t port = 0;
	int err = json_get_int(obj, field, 1, 65535, &port, e);

	if (!err)
		*ret = port;
	return err;
}
