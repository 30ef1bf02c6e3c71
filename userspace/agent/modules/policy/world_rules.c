// SPDX-License-Identifier: Apache-2.0
/*
 * Which rule sets the identities of this node's pods have; and where their policies do not all fit,
 * which of them hold.
 *
 * A policy that does not fit is refused whole, on all of the node: it is not the policies of others
 * that pay for it. Which one that is shows by trying, from the least suspect to the most: Admin and
 * Baseline before NetworkPolicies, those that held before those that are new, small ones before
 * large ones.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/modules/policy/world.h"

void world_problem(struct world *w, const char *fmt, ...)
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

void identity_mark(struct identity *id)
{
	id->marked = true;
}

/* ---- what selects an identity ---- */

struct selected {
	struct policy_entry **entries;
	struct policy **v;
	size_t n_entries, n;
};

static void selected_clear(struct selected *s)
{
	free(s->entries);
	free(s->v);
	*s = (struct selected){};
}

static struct policy *text_of(const struct policy_entry *entry)
{
	struct policy *const texts[] = {
		[USE_LATEST] = entry->policy,
		[USE_BEFORE] = entry->before,
		[USE_CLOSED] = entry->closed,
	};

	return texts[entry->use];
}

static int select_list(struct policy_entry *list, const struct identity *id, enum direction dir,
		       bool ns_log_only, bool log_only, struct selected *ret)
{
	for (struct policy_entry *entry = list; entry; entry = entry->next) {
		struct policy *p = text_of(entry), **at;
		struct policy_entry **slot;

		if (!p->decides[dir] || (p->log_only || ns_log_only) != log_only ||
		    !peer_matches(p->subject, id))
			continue;
		at = grow(&ret->v, &ret->n, sizeof(struct policy *));
		slot = grow(&ret->entries, &ret->n_entries, sizeof(*slot));
		if (!at || !slot)
			return -ENOMEM;
		*at = p;
		*slot = entry;
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

/* ---- one identity ---- */

/* As the entries say now. 0 and what holds (counted; NULL: nothing does), or what does not fit. */
static int find_rules(struct world *w, const struct identity *id, enum direction dir,
		      struct ruleset **ret, struct err *e)
{
	struct ruleset_wish wish = { .dir = dir };
	struct selected selected = {};
	struct ruleset *r = NULL;
	int err = select_policies(w, id, dir, &wish, &selected);

	if (!err && wish.n)
		err = ruleset_get(&w->sets, &wish, &r, e);
	selected_clear(&selected);
	if (!err)
		*ret = r;
	return err;
}

/* ---- what does not fit ---- */

struct fit {
	struct world *w;
	struct identity *id;
	enum direction dir;
	struct policy_entry **v; /* the least suspect first */
	enum policy_use *most;	 /* of each: how it came */
	size_t n;
	unsigned int trials;
	size_t effort;
	bool too_much; /* there were no more trials: `e` is of the last */
	struct err e;  /* of the last that did not fit */
	/* Of it, see policy_entry: what room could not help. */
	bool lasting;
	struct identity *crowded;
	bool names_hosts; /* they come and go */
};

/*
 * What may be tried to see which policies of a pod, in one direction, fit together. Each costs what
 * compiling them all costs; where these are long, there are fewer, yet enough to come down to one.
 */
#define MAX_TRIALS 64
#define MIN_TRIALS 16
#define MAX_EFFORT 500000 /* of weight() */

static size_t weight(const struct policy *p)
{
	size_t n = 0;

	for (enum direction dir = 0; dir < DIRS; dir++)
		for (size_t i = 0; i < p->n_rules[dir]; i++) {
			const struct rule *r = &p->rules[dir][i];

			n += 1 + r->n_ports + r->n_peers + r->n_blocks;
			for (size_t k = 0; k < r->n_blocks; k++)
				n += r->blocks[k].n_except;
		}
	return n;
}

static int by_suspicion(const void *va, const void *vb)
{
	const struct policy_entry *a = *(struct policy_entry *const *)va;
	const struct policy_entry *b = *(struct policy_entry *const *)vb;
	bool np_a = a->policy->tier == LOOM_TIER_NP, np_b = b->policy->tier == LOOM_TIER_NP;
	size_t weight_a = weight(a->policy), weight_b = weight(b->policy);

	if (np_a != np_b)
		return np_a - np_b;
	if (a->settled != b->settled)
		return b->settled - a->settled;
	if (weight_a != weight_b)
		return weight_a < weight_b ? -1 : 1;
	return strcmp(a->key, b->key);
}

static void count_trial(struct fit *f)
{
	f->trials++;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->use != USE_CLOSED)
			f->effort += weight(f->v[i]->policy);
}

static bool is_enough(const struct fit *f)
{
	return f->trials >= MAX_TRIALS || (f->trials >= MIN_TRIALS && f->effort >= MAX_EFFORT);
}

static bool fits(struct fit *f)
{
	struct rulesets *sets = &f->w->sets;
	uint32_t before = sets->last;
	struct ruleset *r = NULL;
	struct err e = {};

	count_trial(f);
	if (find_rules(f->w, f->id, f->dir, &r, &e) < 0) {
		f->e = e;
		f->lasting = e.code == -E2BIG && !f->names_hosts;
		f->crowded = e.code == -E2BIG ? sets->crowded : NULL;
		return false;
	}
	ruleset_put(sets, r);
	/* It was only to see: its room is for the next one. */
	if (r && !r->refs && sets->last != before)
		ruleset_undo(sets, r);
	return true;
}

static void blame(struct fit *f, struct policy_entry *entry)
{
	const struct policy *p = entry->policy;
	struct namespace *ns = p->ns ? namespace_get(f->w, p->ns->text) : NULL;

	entry->untried = f->too_much;
	f->w->some_untried |= f->too_much;
	entry->lasting = f->lasting && !f->too_much && (ns || !p->ns);
	if (ns)
		ns->some_lasting |= f->lasting;
	f->id->blamed = true;
	if (f->crowded)
		f->crowded->crowded = true;
	entry->subject = f->id;
	entry->crowded = f->crowded;
}

static void refuse(struct fit *f, struct policy_entry *entry)
{
	static const char *const instead[] = {
		[USE_BEFORE] = "its text of before holds",
		[USE_CLOSED] = "no text of before holds, it lets nothing through",
	};
	const char *what = f->too_much ? "is not tried yet: many policies of a pod do not fit"
				       : "does not fit";
	char *text = NULL;

	blame(f, entry);
	if (asprintf(&text, "%s %s: %s; %s", entry->key, what, f->e.msg, instead[entry->use]) < 0)
		return;
	if (!entry->unfit || strcmp(entry->unfit, text) != 0)
		world_problem(f->w, "%s", text);
	free(entry->unfit);
	entry->unfit = text;
}

/* It does not fit: what stands for it? */
static void admit_one(struct fit *f, struct policy_entry *entry, enum policy_use most)
{
	struct identity *crowded = f->crowded;
	bool lasting = f->lasting;

	if (entry->use == USE_LATEST && entry->before)
		entry->use = USE_BEFORE;
	if (entry->use == most || !fits(f))
		entry->use = USE_CLOSED;
	f->lasting &= lasting;
	f->crowded = crowded;
	if (entry->use != most)
		refuse(f, entry);
}

/* What held until now, if that fits; else nothing. Until their turn comes. */
static void admit_untried(struct fit *f, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct policy_entry *entry = f->v[i];

		entry->use = f->most[i];
		if (entry->use == USE_LATEST && !entry->settled)
			entry->use = entry->before ? USE_BEFORE : USE_CLOSED;
	}
	if (!fits(f))
		for (size_t i = from; i < to; i++)
			f->v[i]->use = USE_CLOSED;
	f->too_much = true;
	for (size_t i = from; i < to; i++)
		if (f->v[i]->use != f->most[i])
			refuse(f, f->v[i]);
}

/* Those from `from` on are closed: which of the first of them need not be? */
static void admit(struct fit *f, size_t from, size_t to)
{
	size_t half = from + (to - from) / 2;

	if (is_enough(f)) {
		admit_untried(f, from, to);
		return;
	}
	for (size_t i = from; i < to; i++)
		f->v[i]->use = f->most[i];
	if (fits(f))
		return;
	if (to - from == 1) {
		admit_one(f, f->v[from], f->most[from]);
		return;
	}
	for (size_t i = from; i < to; i++)
		f->v[i]->use = USE_CLOSED;
	admit(f, from, half);
	admit(f, half, to);
}

static int close_all(struct fit *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct policy_entry *entry = f->v[i];

		f->most[i] = entry->use;
		if (!entry->closed)
			entry->closed = policy_closed(entry->policy);
		if (!entry->closed)
			return -ENOMEM;
	}
	for (size_t i = 0; i < f->n; i++)
		f->v[i]->use = USE_CLOSED;
	return 0;
}

static int admit_all(struct fit *f)
{
	int err = close_all(f);

	if (err < 0)
		return err;
	if (!fits(f)) {
		for (size_t i = 0; i < f->n; i++)
			f->v[i]->use = f->most[i];
		return f->e.code;
	}
	if (f->n)
		admit(f, 0, f->n);
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i]->use != f->most[i]) {
			entry_mark(f->w, f->v[i]);
			f->w->some_unfit = f->w->remarked = true;
		}
	return 0;
}

/* Refuses policies until the others fit. */
static int make_fit(struct world *w, struct identity *id, enum direction dir, struct err *e)
{
	struct fit f = { .w = w, .id = id, .dir = dir };
	struct ruleset_wish wish = { .dir = dir };
	struct selected selected = {};
	int err = select_policies(w, id, dir, &wish, &selected);

	f.v = selected.entries;
	f.n = selected.n_entries;
	f.most = calloc(f.n + 1, sizeof(f.most[0]));
	if (!f.most)
		err = -ENOMEM;
	if (!err) {
		f.names_hosts = wish.hosts_gen;
		qsort(f.v, f.n, sizeof(f.v[0]), by_suspicion);
		err = admit_all(&f);
	}
	if (err < 0)
		err_set(e, err, "%s", f.e.code ? f.e.msg : strerror(-err));
	free(f.most);
	selected_clear(&selected);
	return err;
}

/* ---- all of them ---- */

/*
 * What was replaced a moment ago, or an earlier run has left, holds the room until it goes. Until
 * then it is tried with each commit; what the pods have holds meanwhile, and their policies are not
 * settled. But there may always be something that is about to go.
 */
static bool wait_for_room(struct world *w, struct identity *id, enum direction dir)
{
	struct ruleset_wish wish = { .dir = dir };
	struct selected selected = {};

	if (!w->sets.n_idle && !w->sets.classes.n_idle && !w->ids.n_idle)
		return false;
	if (!id->waiting)
		id->waits_since = w->now;
	if (w->now - id->waits_since >= ROOM_AFTER_MS)
		return false;
	select_policies(w, id, dir, &wish, &selected);
	for (size_t i = 0; i < selected.n_entries; i++)
		selected.entries[i]->waits = w->commits;
	selected_clear(&selected);
	w->some_wait = id->waiting = true;
	return true;
}

/* 0; -EAGAIN: they are waited for; or they stay as they were, which is said. */
static int find_fitting(struct world *w, struct identity *id, enum direction dir,
			struct ruleset **ret)
{
	struct err e = {};
	int err = find_rules(w, id, dir, ret, &e);

	if (err == -ENOSPC && wait_for_room(w, id, dir))
		return -EAGAIN;
	if (err == -E2BIG || err == -ENOSPC) {
		err = make_fit(w, id, dir, &e);
		err = err ?: find_rules(w, id, dir, ret, &e);
	}
	if (err < 0 && (!id->starved || id->waiting))
		world_problem(w, "%s rules for pods of namespace '%.64s' stay as they were: %.300s",
			      direction_name(dir), id->ns->text, e.code ? e.msg : strerror(-err));
	return err;
}

static int resolve(struct world *w, struct identity *id, enum direction dir)
{
	struct ruleset *r = NULL, *before = id->rules[dir];
	int err;

	/* Its room is for what replaces it. */
	ruleset_put(&w->sets, before);
	err = find_fitting(w, id, dir, &r);
	if (err < 0) {
		ruleset_retake(&w->sets, before);
		return err;
	}
	ruleset_write(&w->sets, r);
	id->rules[dir] = r;
	/* What has come and gone in one commit is no room that others have waited for. */
	if (before && !before->refs && !before->given)
		ruleset_undo(&w->sets, before);
	return 0;
}

static void identity_resolve(struct world *w, struct identity *id)
{
	int in = resolve(w, id, DIR_IN), out = resolve(w, id, DIR_OUT);

	id->marked = false;
	/* It is tried again when there is room. */
	id->starved = in < 0 || out < 0;
	id->waiting = in == -EAGAIN || out == -EAGAIN;
	id->known |= !id->starved;
}

void identity_release(struct world *w, struct identity *id)
{
	for (enum direction dir = 0; dir < DIRS; dir++) {
		ruleset_put(&w->sets, id->rules[dir]);
		id->rules[dir] = NULL;
	}
	if (id->blamed)
		subject_relent(w, id);
	id->known = id->starved = id->waiting = id->marked = id->blamed = false;
}

void identity_leave(struct world *w, struct identity *id)
{
	identity_release(w, id);
	if (id->crowded)
		peer_relent(w, id);
	rulesets_drop_identity(&w->sets, id);
	identity_forget(&w->ids, id);
}

static void resolve_marked(struct world *w)
{
	for (uint32_t i = 0; i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (id && !id->n_local && (id->known || id->blamed || id->starved))
			identity_release(w, id);
		else if (id && id->n_local && (id->marked || id->waiting))
			identity_resolve(w, id);
	}
}

void identities_resolve(struct world *w)
{
	/* What is refused is so for those too that had it already; in one commit nothing that was
	 * refused comes back, so this ends. */
	do {
		w->remarked = w->some_wait = false;
		resolve_marked(w);
	} while (w->remarked);
}

/* Idle ones count: they may come back before they go. */
void identities_mark_naming(struct world *w)
{
	if (!w->dirty || !w->sets.n_naming)
		return;
	w->hosts_gen++;
	for (uint32_t i = 0; i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (id && id->rules[DIR_OUT] && id->rules[DIR_OUT]->names_hosts)
			identity_mark(id);
	}
}
