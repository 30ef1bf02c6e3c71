// SPDX-License-Identifier: Apache-2.0
/* From what the world is to what the maps say. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/world.h"

static void problem(struct world *w, const char *fmt, ...) _printf_(2, 3);
static void problem(struct world *w, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	w->refused++;
	if (w->on_problem)
		w->on_problem(text, w->arg);
}

/* ---- identities ---- */

void identity_mark(struct identity *id)
{
	id->marked = true;
}

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

	for (struct address *a = w->addresses; a; a = a->hh.next) {
		struct identity *id = a->claims ? a->claims->owner->identity : NULL;

		if (a->written && id && !id->number && !number_is_taken(&taken, a->written))
			id->number = a->written;
	}
	setmap_fini(&taken);
}

static uint32_t new_number(struct identities *ids)
{
	ids->last = (ids->last + 1) & ~LOCAL_IDENTITY ?: 1;
	return ids->last | LOCAL_IDENTITY;
}

static void add_identity(struct world *w, struct identity *id)
{
	int err;

	if (!id->number)
		id->number = new_number(&w->ids);
	err = rulesets_add_identity(&w->sets, id);
	if (err < 0) {
		if (!id->homeless)
			problem(w, "no room for the rules about pods of namespace '%.64s': %s",
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

/* ---- rule sets ---- */

struct selected {
	struct policy **v;
	size_t n;
};

static int select_list(struct policy_entry *list, const struct identity *id, enum direction dir,
		       bool ns_log_only, bool log_only, struct selected *ret)
{
	for (struct policy_entry *entry = list; entry; entry = entry->next) {
		struct policy *p = entry->policy, **at;

		if (!p->decides[dir] || (p->log_only || ns_log_only) != log_only ||
		    !peer_matches(p->subject, id))
			continue;
		at = grow(&ret->v, &ret->n, sizeof(struct policy *));
		if (!at)
			return -ENOMEM;
		*at = p;
	}
	return 0;
}

static int list_hosts(struct world *w)
{
	if (w->hosts)
		return 0;
	for (struct address *a = w->addresses; a; a = a->hh.next) {
		const struct identity *id = a->claims ? a->claims->owner->identity : NULL;
		struct host *at;

		if (!id || !id->ports || !id->ports->n)
			continue;
		at = grow(&w->hosts, &w->n_hosts, sizeof(*at));
		if (!at)
			return -ENOMEM;
		*at = (struct host){ { a->key.addr, 128 }, id->ports };
	}
	return 0;
}

static int wish_hosts(struct world *w, enum direction dir, struct ruleset_wish *wish)
{
	bool named = false;
	int err;

	for (size_t i = 0; i < wish->n; i++)
		named |= policy_names_hosts(wish->policies[i], dir);
	if (!named)
		return 0;
	err = list_hosts(w);
	wish->hosts = w->hosts;
	wish->n_hosts = w->n_hosts;
	wish->hosts_gen = w->hosts_gen + 1;
	return err;
}

/* Rule sets about hosts are made anew when an address has changed. */
static void mark_naming(struct world *w)
{
	bool any = false;

	for (uint32_t i = 0; w->dirty && i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (!id || !id->rules[DIR_OUT] || !id->rules[DIR_OUT]->names_hosts)
			continue;
		identity_mark(id);
		any = true;
	}
	w->hosts_gen += any;
}

/* What is log-only counts only where nothing else holds: it must not let pass what others deny, nor
 * deny. */
static int select_policies(struct world *w, const struct identity *id, enum direction dir,
			   struct ruleset_wish *wish, struct selected *ret)
{
	struct namespace *ns = namespace_get(w, id->ns->text);
	int err = ns ? 0 : -ENOMEM;

	for (int log_only = 0; !err && !ret->n && log_only < 2; log_only++) {
		err = select_list(w->cluster, id, dir, false, log_only, ret);
		err = err ?: select_list(ns->policies, id, dir, ns->log_only, log_only, ret);
		wish->log_only = log_only;
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(ret->v[0]), policy_order);
	for (size_t i = 0; dir == DIR_IN && i < ret->n; i++)
		for (size_t k = 0; k < ret->v[i]->n_rules[dir]; k++)
			if (ret->v[i]->rules[dir][k].has_names)
				wish->ports = id->ports;
	wish->policies = ret->v;
	wish->n = ret->n;
	return err ?: wish_hosts(w, dir, wish);
}

/* Policies of the wish that the pods' present rule set does not have. */
static void name_new(const struct ruleset_wish *wish, const struct ruleset *now, char *buf,
		     size_t len)
{
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < wish->n && at + 1 < len; i++) {
		bool known = false;

		for (size_t k = 0; now && k < now->n_policies; k++)
			known |= now->policies[k] == wish->policies[i];
		if (!known)
			at += snprintf(buf + at, len - at, "%s%s", at ? ", " : "",
				       wish->policies[i]->name);
	}
}

static int resolve(struct world *w, struct identity *id, enum direction dir)
{
	struct ruleset_wish wish = { .dir = dir };
	struct selected selected = {};
	struct ruleset *r = NULL;
	struct err e = {};
	char names[600];
	int err = select_policies(w, id, dir, &wish, &selected);

	if (!err && wish.n)
		err = ruleset_get(&w->sets, &wish, &r, &e);
	if (err < 0) {
		name_new(&wish, id->rules[dir], names, sizeof(names));
		problem(w, "%s: %s rules for pods of namespace '%.64s' stay as they were: %.200s",
			names, direction_name(dir), id->ns->text, e.msg);
	} else {
		ruleset_put(&w->sets, id->rules[dir]);
		id->rules[dir] = r;
	}
	free(selected.v);
	return err;
}

void identity_resolve(struct world *w, struct identity *id)
{
	int err = 0;

	id->marked = false;
	for (enum direction dir = 0; dir < DIRS; dir++)
		err = resolve(w, id, dir) ?: err;
	/* It is tried again when there is room. */
	id->starved = err < 0;
	id->known |= !err;
}

void identity_release(struct world *w, struct identity *id)
{
	for (enum direction dir = 0; dir < DIRS; dir++) {
		ruleset_put(&w->sets, id->rules[dir]);
		id->rules[dir] = NULL;
	}
	id->known = id->starved = id->marked = false;
}

static void resolve_identities(struct world *w)
{
	for (uint32_t i = 0; i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (id && !id->n_local && id->known)
			identity_release(w, id);
		else if (id && id->marked && id->n_local)
			identity_resolve(w, id);
	}
}

static void write_classes(struct world *w)
{
	struct classes *c = &w->sets.classes;

	classes_sort(c);
	for (uint32_t i = 0; i < c->n; i++) {
		struct class *class = c->v[i];

		if (class->written || class->fresh || !class->refs)
			continue;
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

		if (r)
			r->refs++;
		ruleset_put(&w->sets, ep->rules[dir]);
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

/*
 * Addresses first: all rule sets have the sets of their new identities, those that endpoints are
 * about to leave too. But where labels have changed, what a pod is and what holds for others may
 * change at once, and the one without the other could be open. And an earlier run's rule sets know
 * no new identities. Then addresses have none until endpoints are flipped: they match nothing, or
 * are denied. Live flows don't see it: they are judged again when all is done.
 */
static void flip(struct world *w)
{
	if (w->adopted || (w->relabelled && endpoints_are_pending(w)))
		addresses_withdraw(w);
	else
		addresses_write(w);
	if (!w->maps.failed)
		write_endpoints(w);
	if (!w->maps.failed)
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
	mark_naming(w);
	resolve_identities(w);
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
