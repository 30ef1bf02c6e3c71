// SPDX-License-Identifier: Apache-2.0
/* From what the world is to what the maps say. */
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/world.h"

/* ---- identities ---- */

static bool number_is_taken(struct setmap *taken, uint32_t number)
{
	static struct list *const there = (struct list *)1;

	if (setmap_find(taken, number))
		return true;
	setmap_add(taken, number, there);
	return false;
}

/* Those that had a number in an earlier run keep it, so that nothing changes for their flows while
 * the rest is written. */
static void keep_numbers(struct world *w)
{
	struct setmap taken = {};

	/* A commit before this one may have failed after it gave them. */
	for (uint32_t i = 0; i < w->ids.n_slots; i++)
		if (w->ids.slots[i] && w->ids.slots[i]->number)
			number_is_taken(&taken, w->ids.slots[i]->number);
	for (struct address *a = w->addresses; a; a = a->hh.next) {
		struct identity *id = a->claims ? a->claims->owner->identity : NULL;

		if (a->written && id && !id->number && !number_is_taken(&taken, a->written))
			id->number = a->written;
	}
	setmap_fini(&taken);
}

static bool is_given(const struct identities *ids, uint32_t number)
{
	for (uint32_t i = 0; i < ids->n_slots; i++)
		if (ids->slots[i] && ids->slots[i]->number == number)
			return true;
	return false;
}

/* After 2^31 of them they begin anew. */
static uint32_t new_number(struct identities *ids)
{
	do {
		ids->last = (ids->last + 1) & ~LOCAL_IDENTITY;
		ids->anew |= !ids->last;
	} while (!ids->last || (ids->anew && is_given(ids, ids->last | LOCAL_IDENTITY)));
	return ids->last | LOCAL_IDENTITY;
}

static void add_identity(struct world *w, struct identity *id)
{
	const struct ruleset *crowded = NULL;
	int err;

	if (!id->number)
		id->number = new_number(&w->ids);
	err = rulesets_add_identity(&w->sets, id, &crowded);
	if (crowded)
		world_problem(
			w,
			"%s: a pod of namespace '%.64s' has more than %u of the rules that hold "
			"together with it: NetworkPolicies allow it nothing there",
			crowded->policies[0]->name, id->ns ? id->ns->text : "", LOOM_POLSET_MAX);
	if (err < 0) {
		if (!id->homeless)
			world_problem(w,
				      "no room for the rules about pods of namespace '%.64s': %s",
				      id->ns ? id->ns->text : "", strerror(-err));
		id->homeless = true;
		return;
	}
	if (id->homeless)
		addresses_touch(w);
	id->homeless = id->fresh = false;
	w->ids.n_fresh--;
}

static void add_identities(struct world *w)
{
	for (uint32_t i = 0; w->ids.n_fresh && i < w->ids.n_slots; i++)
		if (w->ids.slots[i] && w->ids.slots[i]->fresh && w->ids.slots[i]->refs)
			add_identity(w, w->ids.slots[i]);
}

/* Policies look at labels, or at names of ports, that they did not look at before. To the rule sets
 * that there are, what is told apart now is the same. */
static void refresh_identities(struct world *w)
{
	bool before = w->relabelled;

	if (!w->strs.newly_chosen)
		return;
	w->strs.newly_chosen = false;
	for (struct pod *pod = w->pods; pod; pod = pod->hh.next)
		pod_refresh(w, pod);
	for (struct node *node = w->nodes; node; node = node->hh.next)
		node_refresh(w, node);
	w->relabelled = before;
}

static void write_classes(struct world *w)
{
	struct classes *c = &w->sets.classes;

	classes_sort(c);
	for (uint32_t i = 0; i < c->n; i++) {
		struct class *class = c->v[i];

		if (class->written || class->fresh || !class->refs)
			continue;
		class->seen = class->there = true;
		class->written =
			polmaps_put(&w->maps, POLMAP_CLASS, &class->key, &class->number) == 0;
	}
}

/* ---- endpoints ---- */

/* Nothing could select it, whatever it is. */
static bool is_free(const struct world *w, const struct endpoint *ep)
{
	return !w->cluster && (!ep->pod || !ep->pod->ns->policies);
}

/* False: what is there stays. */
static bool wanted(const struct world *w, const struct endpoint *ep, struct loom_epol *ret)
{
	const struct identity *id = ep->pod ? ep->pod->owner.identity : NULL;

	*ret = (struct loom_epol){};
	if (!ep->pod || (!id && is_free(w, ep))) {
		ret->flags = LOOM_EPOL_KNOWN;
		return true;
	}
	if (!id || !endpoint_is_of(ep, ep->pod))
		return true;
	if (!id->known)
		return false;
	ret->policy_in = id->rules[DIR_IN] ? id->rules[DIR_IN]->number : 0;
	ret->policy_out = id->rules[DIR_OUT] ? id->rules[DIR_OUT]->number : 0;
	ret->identity = id->number;
	ret->flags = LOOM_EPOL_KNOWN;
	return true;
}

static void hold_rules(struct world *w, struct endpoint *ep, const struct loom_epol *e)
{
	const struct identity *id = ep->pod ? ep->pod->owner.identity : NULL;

	for (enum direction dir = 0; dir < DIRS; dir++) {
		bool any = dir == DIR_IN ? e->policy_in : e->policy_out;
		struct ruleset *r = any && id ? id->rules[dir] : NULL;

		ruleset_hold(r);
		ruleset_release(&w->sets, ep->rules[dir]);
		ep->rules[dir] = r;
	}
}

static void write_endpoint(struct world *w, struct endpoint *ep)
{
	struct loom_epol e;

	if (!wanted(w, ep, &e))
		return;
	if (memcmp(&e, &ep->written, sizeof(e)) == 0 && !w->broken)
		return;
	if (polmaps_put(&w->maps, POLMAP_EPOL, &ep->ep, &e) < 0)
		return;
	/* A flow of before may have been judged by what it had. */
	w->bump |= ep->written.flags != 0 || e.policy_in || e.policy_out;
	ep->written = e;
	hold_rules(w, ep, &e);
}

static uint32_t wanted_flags(const struct world *w)
{
	bool any = w->cluster != NULL;

	for (const struct policy_entry *e = w->policies; e && !any; e = e->hh.next)
		any = e->policy != NULL;
	return any ? LOOM_EPOL_ENFORCED | (w->police_host ? LOOM_EPOL_NOT_HOST : 0) : 0;
}

/* An earlier run ended before it had closed them; the next pod with such a number must not find it.
 */
static void close_unknown(struct world *w)
{
	const struct loom_epol none = {};

	for (uint32_t number = 1; number < w->maps.max_eps; number++) {
		struct endpoint *ep;
		struct loom_epol e;

		HASH_FIND_INT(w->endpoints, &number, ep);
		if (ep || w->maps.ops->lookup(w->maps.arg, POLMAP_EPOL, &number, &e) < 0)
			continue;
		if (memcmp(&e, &none, sizeof(e)) != 0)
			polmaps_put(&w->maps, POLMAP_EPOL, &number, &none);
	}
}

static void write_endpoints(struct world *w)
{
	const struct loom_epol node = { .flags = wanted_flags(w) };
	uint32_t zero = 0;

	for (struct endpoint *ep = w->endpoints; ep; ep = ep->hh.next)
		write_endpoint(w, ep);
	if ((node.flags != w->enforced || w->broken) && !w->maps.failed &&
	    polmaps_put(&w->maps, POLMAP_EPOL, &zero, &node) == 0) {
		w->bump |= node.flags != w->enforced;
		w->enforced = node.flags;
	}
}

/* ---- all of it ---- */

void world_set_now(struct world *w, uint64_t now)
{
	w->now = w->ids.now = w->sets.now = w->sets.classes.now = now;
}

static void rewrite(struct world *w)
{
	rulesets_rewrite(&w->sets);
	classes_sort(&w->sets.classes);
	for (uint32_t i = 0; i < w->sets.classes.n; i++)
		w->sets.classes.v[i]->written = false;
	addresses_touch(w);
	w->bump = true;
}

static bool is_pending(const struct world *w, const struct endpoint *ep)
{
	struct loom_epol e;

	return wanted(w, ep, &e) && memcmp(&e, &ep->written, sizeof(e)) != 0;
}

static bool endpoints_are_pending(const struct world *w)
{
	for (const struct endpoint *ep = w->endpoints; ep; ep = ep->hh.next)
		if (is_pending(w, ep))
			return true;
	return false;
}

/* It has what an earlier run gave it, for it waits for room. */
static bool has_left(const struct endpoint *ep)
{
	return (ep->written.policy_in && !ep->rules[DIR_IN]) ||
	       (ep->written.policy_out && !ep->rules[DIR_OUT]);
}

static bool some_have_left(const struct world *w)
{
	for (const struct endpoint *ep = w->sets.n_left ? w->endpoints : NULL; ep; ep = ep->hh.next)
		if (has_left(ep))
			return true;
	return false;
}

/*
 * Addresses first: all rule sets have the sets of their new identities, those that endpoints are
 * about to leave too. But where labels have changed, what a pod is and what holds for others may
 * change at once, and the one without the other could be open. And an earlier run's rule sets know
 * no new identities. Then addresses have none until endpoints are flipped, or what they have of an
 * earlier run is gone: they match nothing, or are denied. Live flows don't see it: they are judged
 * again when all is done.
 */
static void flip(struct world *w)
{
	if (w->adopted || some_have_left(w) || (w->relabelled && endpoints_are_pending(w)))
		addresses_withdraw(w);
	else
		addresses_write(w);
	if (w->adopted && !w->maps.failed)
		close_unknown(w);
	if (!w->maps.failed)
		write_endpoints(w);
	if (!w->maps.failed && !some_have_left(w))
		addresses_write(w);
	w->relabelled = false;
}

int world_commit(struct world *w, uint64_t now_ms)
{
	world_set_now(w, now_ms);
	w->maps.failed = 0;
	w->commits++;
	w->wants_commit = false;
	if (w->broken)
		rewrite(w);
	refresh_identities(w);
	if (w->adopted)
		keep_numbers(w);
	add_identities(w);
	if (addresses_may_fit(w)) {
		w->some_unwritten = false;
		addresses_touch(w);
	}
	identities_mark_naming(w);
	identities_resolve(w);
	free(TAKE_PTR(w->hosts));
	w->n_hosts = 0;
	if (!w->maps.failed)
		write_classes(w);
	/* What they lead to is there, or nothing is flipped. */
	if (!w->maps.failed)
		flip(w);
	/* Where nothing is judged there is nothing to judge again. */
	if (!w->enforced || (w->bump && polmaps_bump(&w->maps) == 0))
		w->bump = false;
	w->broken = w->maps.failed < 0;
	w->adopted &= w->broken;
	if (!w->broken)
		policies_settle(w);
	return w->maps.failed;
}

int world_close(struct world *w)
{
	const struct loom_epol node = {
		.flags = LOOM_EPOL_ENFORCED | (w->police_host ? LOOM_EPOL_NOT_HOST : 0),
	};
	uint32_t zero = 0;
	int err = polmaps_put(&w->maps, POLMAP_EPOL, &zero, &node);

	if (!err)
		w->enforced = node.flags;
	return err;
}
