// SPDX-License-Identifier: Apache-2.0
/* What nobody uses any more, and what an earlier run has left. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/policy/world.h"

/* ---- what nobody uses any more ---- */

static bool is_due(const struct world *w, uint64_t idle_at)
{
	return w->now >= idle_at + REAP_AFTER_MS;
}

static bool reap_rulesets(struct world *w)
{
	struct ruleset *r, *next;
	bool any = false;

	if (!w->sets.n_idle)
		return false;
	HASH_ITER (hh, w->sets.all, r, next)
		if (!r->refs && !r->held && is_due(w, r->idle_at)) {
			ruleset_forget(&w->sets, r);
			any = true;
		}
	return any;
}

/* First the prefix, so that nobody finds the number; later the sets. */
static bool reap_class(struct world *w, struct class *class)
{
	if (class->there && polmaps_del(&w->maps, POLMAP_CLASS, &class->key) == 0) {
		class->written = class->there = false;
		class->idle_at = w->now;
	} else if (!class->there) {
		rulesets_drop_class(&w->sets, class);
		class_forget(&w->sets.classes, class);
		return true;
	}
	return false;
}

static bool reap_classes(struct world *w)
{
	struct classes *c = &w->sets.classes;
	bool any = false;

	for (uint32_t i = 0; c->n_idle && i < c->n; i++)
		if (c->v[i] && !c->v[i]->refs && is_due(w, c->v[i]->idle_at))
			any |= reap_class(w, c->v[i]);
	classes_sort(c);
	return any;
}

static bool reap_identities(struct world *w)
{
	bool any = false;

	for (uint32_t i = 0; w->ids.n_idle && i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (!id || id->refs || !is_due(w, id->idle_at))
			continue;
		identity_leave(w, id);
		any = true;
	}
	return any;
}

static void reap_objects(struct world *w)
{
	struct namespace *ns, *next_ns;
	struct node *node, *next_node;

	HASH_ITER (hh, w->namespaces, ns, next_ns)
		if (!ns->labels && !ns->pods && !ns->policies)
			namespace_free(w, ns);
	HASH_ITER (hh, w->nodes, node, next_node)
		if (!node->labels->n && !node->owner.addrs.n)
			node_free(w, node);
}

bool world_reap(struct world *w, uint64_t now_ms)
{
	bool freed;

	world_set_now(w, now_ms);
	w->wants_commit = false;
	if (w->broken)
		return true;
	reap_objects(w);
	freed = reap_rulesets(w);
	freed |= reap_classes(w);
	freed |= reap_identities(w);
	if (w->maps.failed)
		w->broken = true;
	w->wants_commit = freed && (policies_retry(w) || w->ids.n_fresh);
	/* What it waits for may have come back to life instead of going. */
	w->wants_commit |= w->some_wait || addresses_may_fit(w);
	w->wants_commit |= policies_go_on(w);
	return w->wants_commit || w->sets.n_idle || w->sets.classes.n_idle || w->ids.n_idle;
}

/* ---- an earlier run ---- */

static int adopt_address(const void *key, void *ctx)
{
	struct world *w = ctx;
	struct address *a = address_get(w, key);

	if (!a)
		return -ENOMEM;
	w->maps.ops->lookup(w->maps.arg, POLMAP_IDENT, key, &a->written);
	w->n_written += a->written != 0;
	w->ids.last = MAX(w->ids.last, a->written & ~LOCAL_IDENTITY);
	return 0;
}

static int adopt_class(const void *key, void *ctx)
{
	struct world *w = ctx;
	uint32_t number = 0;

	w->maps.ops->lookup(w->maps.arg, POLMAP_CLASS, key, &number);
	class_adopt(&w->sets.classes, key, number);
	return 0;
}

struct adoption {
	struct world *w;
	struct loom_polkey *bad;
	size_t n_bad;
};

/* One that makes no sense takes nobody's room, and goes. */
static int adopt_set(const void *key, void *ctx)
{
	struct adoption *ad = ctx;
	struct world *w = ad->w;
	struct loom_polkey *bad;
	struct loom_polset set;
	int err = w->maps.ops->lookup(w->maps.arg, POLMAP_POL, key, &set);

	err = err ?: rulesets_adopt(&w->sets, key, &set);
	if (err != -EINVAL)
		return err;
	bad = grow(&ad->bad, &ad->n_bad, sizeof(*bad));
	if (!bad)
		return -ENOMEM;
	memcpy(bad, key, sizeof(*bad));
	return 0;
}

static int adopt_sets(struct world *w)
{
	struct adoption ad = { .w = w };
	int err = w->maps.ops->each(w->maps.arg, POLMAP_POL, adopt_set, &ad);

	for (size_t i = 0; i < ad.n_bad; i++)
		polmaps_del(&w->maps, POLMAP_POL, &ad.bad[i]);
	free(ad.bad);
	return err;
}

int world_adopt(struct world *w)
{
	const struct polmaps *m = &w->maps;
	struct loom_epol node = {};
	uint32_t zero = 0;
	int err = m->ops->lookup(m->arg, POLMAP_EPOL, &zero, &node);

	err = err ?: m->ops->each(m->arg, POLMAP_IDENT, adopt_address, w);
	err = err ?: m->ops->each(m->arg, POLMAP_CLASS, adopt_class, w);
	err = err ?: adopt_sets(w);
	w->enforced = node.flags;
	w->adopted = true;
	/* It may have ended before it told live flows of what it wrote. */
	w->bump = true;
	addresses_touch(w);
	return err;
}
