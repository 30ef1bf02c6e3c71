// SPDX-License-Identifier: Apache-2.0
/* All rule sets: what an earlier run has left, and everything once more. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/ruleset.h"

int rulesets_init(struct rulesets *s, struct identities *ids, struct peers *peers,
		  struct polmaps *maps)
{
	*s = (struct rulesets){ .ids = ids, .peers = peers, .maps = maps };
	return lists_init(&s->lists, maps->max_rules);
}

void rulesets_fini(struct rulesets *s)
{
	struct ruleset *r, *next;

	s->closing = true;
	HASH_ITER (hh, s->all, r, next)
		ruleset_forget(s, r);
	classes_fini(&s->classes);
	lists_fini(&s->lists);
}

static int by_name(const struct policy *a, const struct policy *b)
{
	return strcmp(a->name, b->name);
}

int policy_order(const void *va, const void *vb)
{
	const struct policy *a = *(struct policy *const *)va, *b = *(struct policy *const *)vb;

	if (a->tier != b->tier)
		return a->tier < b->tier ? -1 : 1;
	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	return by_name(a, b);
}

/* ---- what is not used, or was only tried ---- */

uint32_t rulesets_room(const struct rulesets *s, uint32_t max)
{
	return s->modest ? max - max / 8 : max;
}

void rulesets_count_idle(struct rulesets *s, const struct ruleset *r, int sign)
{
	if (r->refs)
		return;
	s->n_idle += r->held ? 0 : sign;
	s->n_idle_sets += sign * ruleset_sets(r);
}

void ruleset_put(struct rulesets *s, struct ruleset *r)
{
	if (!r || --r->refs)
		return;
	r->idle_at = s->now;
	rulesets_count_idle(s, r, 1);
}

void ruleset_retake(struct rulesets *s, struct ruleset *r)
{
	if (!r)
		return;
	rulesets_count_idle(s, r, -1);
	r->refs++;
}

void ruleset_hold(struct ruleset *r)
{
	if (!r)
		return;
	r->held++;
	r->given = true;
}

void ruleset_release(struct rulesets *s, struct ruleset *r)
{
	if (!r || --r->held || r->refs)
		return;
	r->idle_at = s->now;
	s->n_idle++;
}

/* Prefixes of what did not fit: no address has found them, so they need not wait. */
void rulesets_drop_unseen(struct rulesets *s)
{
	struct classes *c = &s->classes;

	for (uint32_t i = 0; c->n_idle && i < c->n; i++) {
		struct class *class = c->v[i];

		if (!class || class->refs || class->seen)
			continue;
		rulesets_drop_class(s, class);
		class_forget(c, class);
	}
	classes_sort(c);
}

void ruleset_undo(struct rulesets *s, struct ruleset *r)
{
	ruleset_forget(s, r);
	rulesets_drop_unseen(s);
}

/* ---- to the maps ---- */

static void rewrite_sets(struct rulesets *s, struct ruleset *r, uint32_t kind,
			 const struct setmap *m)
{
	for (uint32_t i = 0; i < m->room; i++)
		if (m->v[i].peer)
			set_write(s, r, kind, m->v[i].peer, m->v[i].list);
}

static void write_all(struct rulesets *s, struct ruleset *r)
{
	r->written = true;
	rewrite_sets(s, r, LOOM_PEER_IDENTITY, &r->ident_sets);
	rewrite_sets(s, r, LOOM_PEER_CLASS, &r->class_sets);
	/* Last: without it the policy denies. */
	if (r->any)
		set_write(s, r, LOOM_PEER_ANY, 0, r->any);
}

void ruleset_write(struct rulesets *s, struct ruleset *r)
{
	if (r && !r->written)
		write_all(s, r);
}

void rulesets_rewrite(struct rulesets *s)
{
	for (struct list *l = s->lists.firsts; l; l = l->by_first.next)
		l->fresh = true;
	for (struct ruleset *r = s->all; r; r = r->hh.next)
		write_all(s, r);
}

/* ---- of an earlier run ---- */

static struct ruleset *left_get(struct rulesets *s, uint32_t number)
{
	const struct {
		uint64_t mark;
		uint32_t number, pad;
	} key = { .mark = ~0ull, .number = number };
	struct ruleset *r;

	HASH_FIND(hh, s->all, &key, sizeof(key), r);
	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->of = s;
	r->left = r->written = true;
	r->number = number;
	r->key = malloc(sizeof(key));
	if (!r->key) {
		free(r);
		return NULL;
	}
	memcpy(r->key, &key, sizeof(key));
	r->key_len = sizeof(key);
	s->last = MAX(s->last, number);
	s->n_idle++;
	s->n_left++;
	HASH_ADD_KEYPTR(hh, s->all, r->key, r->key_len, r);
	return r;
}

static int read_list(struct rulesets *s, const struct loom_polset *set, struct rules *rules)
{
	struct loom_polrule rule;
	int err = 0;

	for (uint32_t i = 0; !err && i < set->count; i++) {
		uint32_t index = set->first + i;

		err = s->maps->ops->lookup(s->maps->arg, POLMAP_RULE, &index, &rule);
		err = err ?: rules_add(rules, &rule);
	}
	return err;
}

int rulesets_adopt(struct rulesets *s, const struct loom_polkey *key, const struct loom_polset *set)
{
	struct ruleset *r = left_get(s, key->policy);
	struct rules rules = {};
	struct list *list = NULL;
	int err = r ? 0 : -ENOMEM;

	if (!err && (set->count > LOOM_POLSET_MAX || (!key->peer && key->kind != LOOM_PEER_ANY)))
		err = -EINVAL;
	err = err ?: read_list(s, set, &rules);

	err = err ?: list_adopt(&s->lists, set->first, &rules, &list);
	rules_fini(&rules);
	if (err < 0)
		return err;
	if (key->kind == LOOM_PEER_ANY) {
		r->flags = set->flags;
		r->any = list;
	} else {
		err = setmap_add(key->kind == LOOM_PEER_CLASS ? &r->class_sets : &r->ident_sets,
				 key->peer, list);
	}
	if (err < 0) {
		list_put(&s->lists, list);
		return err;
	}
	/* Its peers may be gone from all other maps, but nobody new is to be taken for them. */
	if (key->kind == LOOM_PEER_CLASS)
		s->classes.last = MAX(s->classes.last, key->peer);
	else
		s->ids->last = MAX(s->ids->last, key->peer & ~LOCAL_IDENTITY);
	s->n_sets++;
	s->n_idle_sets++;
	return 0;
}
