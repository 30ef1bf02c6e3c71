// SPDX-License-Identifier: Apache-2.0
/*
 * Which rules hold for each identity. 64 identities are looked at together, which is a word of each
 * selector's answers: most rules are about none of them, and are skipped for all 64 at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "agent/modules/policy/ruleset.h"

/* A rule that is about some of the 64. */
struct pick {
	const struct ruleset_rule *rule;
	uint64_t ids;
	unsigned int what; /* EMIT_… */
};

struct picks {
	struct pick *v; /* in the order of the rules */
	size_t n, room;
};

static int picks_make_room(struct picks *p, size_t n)
{
	struct pick *v = n > p->room ? reallocarray(p->v, n, sizeof(*v)) : p->v;

	if (n > p->room && !v)
		return -ENOMEM;
	p->v = v;
	p->room = n > p->room ? n : p->room;
	return 0;
}

static uint64_t ids_of(const struct rule *rule, uint32_t word)
{
	uint64_t ids = 0;

	for (size_t i = 0; i < rule->n_peers; i++)
		ids |= peer_word(rule->peers[i], word);
	return ids;
}

/* Of everybody's rules the ports that have names, for at egress they are the peer's. */
static int pick(const struct ruleset *r, uint32_t word, struct picks *ret)
{
	int err = picks_make_room(ret, r->n_rules);

	ret->n = 0;
	for (size_t i = 0; !err && i < r->n_rules; i++) {
		const struct rule *rule = r->rules[i].rule;
		struct pick p = { .rule = &r->rules[i], .what = EMIT_NUMBERS | EMIT_NAMES };

		if (!rule->any_peer) {
			p.ids = ids_of(rule, word);
		} else if (rule->has_names && r->dir == DIR_OUT) {
			p.ids = ~0ull;
			p.what = EMIT_NAMES;
		}
		if (p.ids)
			ret->v[ret->n++] = p;
	}
	return err;
}

static int emit_identity(const struct ruleset *r, const struct picks *picks,
			 const struct identity *id, struct rules *rules)
{
	const struct portmap *ports = r->dir == DIR_IN ? r->ports : id->ports;
	uint64_t bit = 1ull << (id->slot % 64);
	int err = 0;

	for (size_t i = 0; !err && i < picks->n; i++)
		if (picks->v[i].ids & bit)
			err = emit_rule(rules, picks->v[i].rule, ports, picks->v[i].what);
	return err;
}

static int put_identity(struct rulesets *s, struct ruleset *r, struct identity *id,
			struct rules *rules)
{
	struct list *list = NULL;
	int err = rules_to_list(s, rules, &list);

	if (err || !list)
		return err;
	err = set_put(s, r, LOOM_PEER_IDENTITY, id->number, list);
	id->n_sets += !err;
	return err;
}

/* All rules that are about one of the two are about both, and mean the same to them. */
static bool is_alike(const struct ruleset *r, const struct picks *picks, const struct identity *a,
		     const struct identity *b)
{
	uint64_t both = 1ull << (a->slot % 64) | 1ull << (b->slot % 64);

	if (r->dir == DIR_OUT && a->ports != b->ports)
		return false;
	for (size_t i = 0; i < picks->n; i++)
		if ((picks->v[i].ids & both) && (picks->v[i].ids & both) != both)
			return false;
	return true;
}

static int put_same(struct rulesets *s, struct ruleset *r, struct identity *id,
		    const struct identity *as)
{
	struct list *list = setmap_find(&r->ident_sets, as->number);
	int err = list ? set_put(s, r, LOOM_PEER_IDENTITY, id->number, list_ref(list)) : 0;

	id->n_sets += list && !err;
	return err;
}

static int compile_identity(struct rulesets *s, struct ruleset *r, const struct picks *picks,
			    struct identity *id, struct rules *rules)
{
	return emit_identity(r, picks, id, rules) ?: put_identity(s, r, id, rules);
}

/* Instead of more rules than a set can hold: Admin and Baseline alone, and where these are too
 * many, nothing. */
static int close_identity(struct rulesets *s, struct ruleset *r, const struct picks *picks,
			  struct identity *id, struct rules *rules)
{
	const struct loom_polrule deny = { .verdict = LOOM_TIER_ADMIN << 4 | LOOM_POL_DENY };
	int err = emit_identity(r, picks, id, rules);

	rules_drop_tier(rules, LOOM_TIER_NP);
	err = err ?: put_identity(s, r, id, rules);
	if (err != -E2BIG)
		return err;
	return rules_add(rules, &deny) ?: put_identity(s, r, id, rules);
}

static int compile_word(struct rulesets *s, struct ruleset *r, uint32_t word, struct picks *picks,
			struct rules *rules)
{
	const struct identity *last = NULL;
	int err = pick(r, word, picks);

	for (uint32_t i = word * 64; !err && picks->n && i < word * 64 + 64; i++) {
		struct identity *id = i < s->ids->n_slots ? s->ids->slots[i] : NULL;

		/* A fresh one gets its sets of all rule sets at once. */
		if (!id || id->fresh)
			continue;
		if (last && is_alike(r, picks, id, last))
			err = put_same(s, r, id, last);
		else
			err = compile_identity(s, r, picks, id, rules);
		last = id;
		if (err == -E2BIG)
			s->crowded = id;
	}
	return err;
}

int ruleset_compile_identities(struct rulesets *s, struct ruleset *r)
{
	struct picks picks = {};
	struct rules rules = {};
	int err = 0;

	if (!(r->flags & LOOM_POLSET_SELECTS))
		return 0;
	for (uint32_t word = 0; !err && word * 64 < s->ids->n_slots; word++)
		err = compile_word(s, r, word, &picks, &rules);
	rules_fini(&rules);
	free(picks.v);
	return err;
}

/* ---- one that is new, or gone ---- */

static int add_to(struct rulesets *s, struct ruleset *r, struct identity *id, struct picks *picks,
		  struct rules *rules, const struct ruleset **ret_crowded)
{
	int err = pick(r, id->slot / 64, picks);

	err = err ?: compile_identity(s, r, picks, id, rules);
	if (err != -E2BIG)
		return err;
	*ret_crowded = r;
	return close_identity(s, r, picks, id, rules);
}

int rulesets_add_identity(struct rulesets *s, struct identity *id,
			  const struct ruleset **ret_crowded)
{
	int err = peers_look(s->peers, id);
	struct picks picks = {};
	struct rules rules = {};

	for (struct ruleset *r = s->all; r && !err; r = r->hh.next)
		if (!r->left && (r->flags & LOOM_POLSET_SELECTS))
			err = add_to(s, r, id, &picks, &rules, ret_crowded);
	rules_fini(&rules);
	free(picks.v);
	if (err < 0)
		rulesets_drop_identity(s, id);
	return err;
}

void rulesets_drop_identity(struct rulesets *s, struct identity *id)
{
	for (struct ruleset *r = s->all; r; r = r->hh.next)
		set_drop(s, r, LOOM_PEER_IDENTITY, id->number);
	id->n_sets = 0;
}

void ruleset_uncount_identities(struct rulesets *s, struct ruleset *r)
{
	/* An earlier run's were never counted, though the numbers may be the same. */
	if (r->left || !r->ident_sets.n)
		return;
	for (uint32_t i = 0; i < s->ids->n_slots; i++) {
		struct identity *id = s->ids->slots[i];

		if (id && id->n_sets && setmap_find(&r->ident_sets, id->number))
			id->n_sets--;
	}
}
