// SPDX-License-Identifier: Apache-2.0
/* Which rules hold for the addresses of each class. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/ruleset.h"

/* "Class C is the CIDR, or an except, of that block." Chained by class, from class->marks. */
struct mark {
	uint32_t rule, block, next;
	bool except;
	const struct portmap *ports; /* of a host; NULL: it is a block's */
};

struct marks {
	struct mark *v; /* [0] is nobody's */
	size_t n;
};

/* Blocks whose excepts lie between a class and what covers it. */
struct hidden {
	const struct mark **v;
	size_t n;
};

static int mark(struct rulesets *s, struct marks *m, const struct prefix *p, struct mark what)
{
	struct class *class = class_find(&s->classes, p);
	struct mark *at = grow(&m->v, &m->n, sizeof(*at));

	if (!at || !class)
		return -ENOMEM;
	*at = what;
	at->next = class->marks;
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

static bool block_has(const struct block *b, const union loom_addr *addr)
{
	for (size_t i = 0; i < b->n_except; i++)
		if (prefix_contains(&b->except[i], addr))
			return false;
	return prefix_contains(&b->cidr, addr);
}

bool host_is_named(const struct rule *rule, const struct host *h)
{
	if (!rule->has_names || !has_name(rule, h->ports))
		return false;
	for (size_t i = 0; i < rule->n_blocks; i++)
		if (block_has(&rule->blocks[i], &h->prefix.addr))
			return true;
	return false;
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
			err = mark(s, m, &r->hosts[i].prefix,
				   (struct mark){ .rule = rule, .ports = r->hosts[i].ports });
	return err;
}

static int mark_block(struct rulesets *s, const struct block *b, uint32_t rule, uint32_t block,
		      struct marks *m)
{
	struct mark what = { .rule = rule, .block = block };
	int err = mark(s, m, &b->cidr, what);

	what.except = true;
	for (size_t i = 0; !err && i < b->n_except; i++)
		err = mark(s, m, &b->except[i], what);
	return err;
}

static int mark_all(struct rulesets *s, const struct ruleset *r, struct marks *m)
{
	int err = grow(&m->v, &m->n, sizeof(struct mark)) ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < r->n_rules; i++) {
		const struct rule *rule = r->rules[i].rule;

		for (size_t k = 0; !err && k < rule->n_blocks; k++)
			err = mark_block(s, &rule->blocks[k], i, k, m);
		err = err ?: mark_hosts(s, r, i, m);
	}
	return err;
}

static void unmark(struct ruleset *r)
{
	for (size_t i = 0; i < r->n_classes; i++)
		r->classes[i]->marks = 0;
}

static bool is_hidden(const struct hidden *h, const struct mark *m)
{
	for (size_t i = 0; i < h->n; i++)
		if (h->v[i]->rule == m->rule && h->v[i]->block == m->block)
			return true;
	return false;
}

/* From the class upwards: an except is met before the CIDR that it is cut out of. */
static int collect(const struct ruleset *r, const struct marks *m, const struct class *class,
		   struct hidden *hidden, struct rules *rules)
{
	int err = 0;

	hidden->n = 0;
	for (; class && !err; class = class->parent)
		for (uint32_t i = class->marks; i && !err; i = m->v[i].next) {
			const struct mark *at = &m->v[i], **slot;

			if (at->ports) {
				err = emit_rule(rules, &r->rules[at->rule], at->ports, EMIT_NAMES);
			} else if (at->except) {
				slot = grow(&hidden->v, &hidden->n, sizeof(*slot));
				if (!slot)
					return -ENOMEM;
				*slot = at;
			} else if (!is_hidden(hidden, at)) {
				err = emit_rule(rules, &r->rules[at->rule], r->ports,
						EMIT_NUMBERS | EMIT_NAMES);
			}
		}
	return err;
}

static int add_inherited(struct rulesets *s, struct ruleset *r, const struct class *class)
{
	struct list *list =
		class->parent ? setmap_find(&r->class_sets, class->parent->number) : NULL;

	return list ? set_put(s, r, LOOM_PEER_CLASS, class->number, list_ref(list)) : 0;
}

int ruleset_compile_classes(struct rulesets *s, struct ruleset *r)
{
	struct hidden hidden = {};
	struct marks marks = {};
	struct rules rules = {};
	struct list *list;
	int err = r->n_classes ? mark_all(s, r, &marks) : 0;

	for (uint32_t i = 0; r->n_classes && !err && i < s->classes.n; i++) {
		const struct class *class = s->classes.v[i];

		if (!class->marks) {
			err = add_inherited(s, r, class);
			continue;
		}
		err = collect(r, &marks, class, &hidden, &rules);
		err = err ?: rules_to_list(s, &rules, &list);
		if (!err && list)
			err = set_put(s, r, LOOM_PEER_CLASS, class->number, list);
	}
	unmark(r);
	free(hidden.v);
	free(marks.v);
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
