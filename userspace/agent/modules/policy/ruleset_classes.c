// SPDX-License-Identifier: Apache-2.0
/* Which rules hold for the addresses of each class. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/reach.h"
#include "agent/modules/policy/ruleset.h"

/*
 * "Class C is the CIDR, or an except, of that block." Chained by class, from class->marks; those of
 * one rule stand together, so that what is left of a rule can be skipped once it is known to hold.
 */
struct mark {
	uint32_t group;	     /* rule * 2, and one more for hosts */
	uint32_t block;	     /* of all rules, from 0 */
	uint32_t next, skip; /* skip: the first of another group */
	bool except;
	const struct portmap *ports; /* of a host; NULL: it is a block's */
};

struct marks {
	struct mark *v; /* [0] is nobody's */
	size_t n;
	uint32_t turn;	  /* of the class whose rules are collected */
	uint32_t *held;	  /* by group: the turn in which it was found to hold */
	uint32_t *hidden; /* by block: the turn in which an except of it was met */
	bool excepts;	  /* there are some */
};

/*
 * The marks and ports that the excepts of a rule set may be compared with: what is left around each
 * of them is collected anew, so that a thousand rules about 0.0.0.0/0 with an except each are a
 * million. A port takes as long as many marks, most of which are skipped.
 */
#define MAX_LOOKS  (1u << 27)
#define PORT_LOOKS 128

static int mark(struct rulesets *s, struct marks *m, const struct prefix *p, struct mark what)
{
	struct class *class = class_find(&s->classes, p);
	struct mark *at = grow(&m->v, &m->n, sizeof(*at)), *head;

	if (!at || !class)
		return -ENOMEM;
	head = class->marks ? &m->v[class->marks] : NULL;
	*at = what;
	at->next = class->marks;
	at->skip = head && head->group == what.group ? head->skip : class->marks;
	class->marks = m->n - 1;
	return 0;
}

static bool has_name(const struct rule *rule, const struct portmap *ports)
{
	for (size_t i = 0; i < rule->n_ports; i++)
		for (uint32_t k = 0; k < ports->n; k++)
			if (rule->ports[i].name && rule->ports[i].name == ports->v[k].name)
				return true;
	return false;
}

bool host_is_named(const struct rule *rule, const struct host *h)
{
	return rule->n_spans && has_name(rule, h->ports) && rule_reaches(rule, &h->prefix.addr);
}

bool policy_names_hosts(const struct policy *p, enum direction dir)
{
	for (size_t i = 0; dir == DIR_OUT && i < p->n_rules[dir]; i++)
		if (p->rules[dir][i].has_names && p->rules[dir][i].n_blocks)
			return true;
	return false;
}

static int mark_hosts(struct rulesets *s, const struct ruleset *r, uint32_t rule, struct marks *m)
{
	int err = 0;

	for (size_t i = 0; !err && i < r->n_hosts; i++)
		if (host_is_named(r->rules[rule].rule, &r->hosts[i]))
			err = mark(
				s, m, &r->hosts[i].prefix,
				(struct mark){ .group = rule * 2 + 1, .ports = r->hosts[i].ports });
	return err;
}

static int mark_block(struct rulesets *s, const struct block *b, uint32_t rule, uint32_t block,
		      struct marks *m)
{
	struct mark what = { .group = rule * 2, .block = block };
	int err = mark(s, m, &b->cidr, what);

	what.except = true;
	m->excepts |= b->n_except;
	for (size_t i = 0; !err && i < b->n_except; i++)
		err = mark(s, m, &b->except[i], what);
	return err;
}

static int mark_all(struct rulesets *s, const struct ruleset *r, struct marks *m)
{
	int err = grow(&m->v, &m->n, sizeof(struct mark)) ? 0 : -ENOMEM;
	uint32_t block = 0;

	for (size_t i = 0; !err && i < r->n_rules; i++) {
		const struct rule *rule = r->rules[i].rule;

		for (size_t k = 0; !err && k < rule->n_blocks; k++)
			err = mark_block(s, &rule->blocks[k], i, block++, m);
		err = err ?: mark_hosts(s, r, i, m);
	}
	m->held = calloc(r->n_rules * 2 + 1, sizeof(*m->held));
	m->hidden = calloc(block + 1, sizeof(*m->hidden));
	return m->held && m->hidden ? err : -ENOMEM;
}

static void marks_fini(struct marks *m)
{
	free(m->v);
	free(m->held);
	free(m->hidden);
}

static void unmark(struct ruleset *r)
{
	for (size_t i = 0; i < r->n_classes; i++)
		r->classes[i]->marks = 0;
}

/* No block that covers it loses it. */
static bool is_whole(const struct marks *m, const struct class *class)
{
	for (uint32_t i = class->marks; i; i = m->v[i].next)
		if (m->v[i].except)
			return false;
	return true;
}

static uint64_t looks_at(const struct ruleset *r, const struct marks *m, const struct class *class)
{
	uint64_t looks = 0;

	for (uint32_t i = class->marks; i; i = m->v[i].next) {
		const struct rule *rule = r->rules[m->v[i].group / 2].rule;

		looks++;
		/* The last of a rule's. */
		if (m->v[i].skip == m->v[i].next)
			looks += PORT_LOOKS * (rule->any_port ? 1 : rule->n_ports);
	}
	return looks;
}

/* Before they are made: who tries what fits is not to pay for it each time. */
static int bound_excepts(const struct rulesets *s, const struct ruleset *r, const struct marks *m,
			 struct err *e)
{
	_cleanup_(freep) uint64_t *above = m->excepts ? calloc(s->classes.n, sizeof(*above)) : NULL;
	uint64_t looks = 0;

	if (!m->excepts)
		return 0;
	if (!above)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->classes.n; i++) {
		const struct class *class = s->classes.v[i];

		above[i] = looks_at(r, m, class) + (class->parent ? above[class->parent->at] : 0);
		if (!is_whole(m, class))
			looks += above[i];
	}
	if (looks > MAX_LOOKS)
		return err_set(e, -E2BIG,
			       "too many excepts within CIDRs of too many rules and ports");
	return 0;
}

/* What holds for those above it, which has its set by now. */
static int collect_above(const struct ruleset *r, const struct class *class, struct rules *rules)
{
	const struct list *list =
		class->parent ? setmap_find(&r->class_sets, class->parent->number) : NULL;
	int err = 0;

	for (uint32_t i = 0; list && !err && i < list->count; i++)
		err = rules_add(rules, &list->v[i]);
	return err;
}

/* From the class upwards: an except is met before the CIDR that it is cut out of. */
static int collect(const struct ruleset *r, struct marks *m, const struct class *class,
		   struct rules *rules)
{
	bool whole = is_whole(m, class);
	int err = whole ? collect_above(r, class, rules) : 0;

	m->turn++;
	for (; class && !err; class = whole ? NULL : class->parent)
		for (uint32_t i = class->marks; i && !err;) {
			const struct mark *at = &m->v[i];
			const struct ruleset_rule *rule = &r->rules[at->group / 2];

			i = at->skip;
			if (m->held[at->group] == m->turn)
				continue;
			if (at->except || (!at->ports && m->hidden[at->block] == m->turn)) {
				m->hidden[at->block] = m->turn;
				i = at->next;
				continue;
			}
			m->held[at->group] = m->turn;
			err = at->ports
				      ? emit_rule(rules, rule, at->ports, EMIT_NAMES)
				      : emit_rule(rules, rule, r->ports, EMIT_NUMBERS | EMIT_NAMES);
		}
	return err;
}

static int add_inherited(struct rulesets *s, struct ruleset *r, const struct class *class)
{
	struct list *list =
		class->parent ? setmap_find(&r->class_sets, class->parent->number) : NULL;

	return list ? set_put(s, r, LOOM_PEER_CLASS, class->number, list_ref(list)) : 0;
}

int ruleset_compile_classes(struct rulesets *s, struct ruleset *r, struct err *e)
{
	struct marks marks = {};
	struct rules rules = {};
	struct list *list;
	int err = r->n_classes ? mark_all(s, r, &marks) : 0;

	err = err ?: bound_excepts(s, r, &marks, e);
	for (uint32_t i = 0; r->n_classes && !err && i < s->classes.n; i++) {
		const struct class *class = s->classes.v[i];

		if (!class->marks) {
			err = add_inherited(s, r, class);
			continue;
		}
		err = collect(r, &marks, class, &rules);
		err = err ?: rules_to_list(s, &rules, &list);
		if (!err && list)
			err = set_put(s, r, LOOM_PEER_CLASS, class->number, list);
	}
	unmark(r);
	marks_fini(&marks);
	rules_fini(&rules);
	return err;
}

/* What covers a class stands before it, and has its set when the class's turn comes. */
int rulesets_add_classes(struct rulesets *s)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < s->classes.n; i++) {
		struct class *class = s->classes.v[i];

		if (!class->fresh)
			continue;
		for (struct ruleset *r = s->all; r && !err; r = r->hh.next)
			if (r->class_sets.n && !setmap_find(&r->class_sets, class->number))
				err = add_inherited(s, r, class);
		class->fresh = err < 0;
	}
	return err;
}

void rulesets_drop_class(struct rulesets *s, struct class *class)
{
	for (struct ruleset *r = s->all; r; r = r->hh.next)
		set_drop(s, r, LOOM_PEER_CLASS, class->number);
}
