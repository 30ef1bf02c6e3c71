// SPDX-License-Identifier: Apache-2.0
/* What has come to stay, and what was refused: when it is tried again. */
#include <utlist.h>

#include "agent/modules/policy/world.h"

static void relent(struct world *w, struct policy_entry *entry)
{
	w->some_unfit |= entry->lasting;
	entry->lasting = false;
}

void subject_relent(struct world *w, const struct identity *subject)
{
	for (struct policy_entry *e = w->policies; e; e = e->hh.next)
		if (e->lasting && e->subject == subject)
			relent(w, e);
}

void peer_relent(struct world *w, const struct identity *peer)
{
	for (struct policy_entry *e = w->policies; e; e = e->hh.next)
		if (e->lasting && e->crowded == peer)
			relent(w, e);
}

/* ---- from one commit to the next ---- */

void policies_settle(struct world *w)
{
	struct policy_entry *e, *next;

	DL_FOREACH_SAFE2(w->unsettled, e, next, next_new)
	{
		if (e->waits == w->commits)
			continue;
		DL_DELETE2(w->unsettled, e, prev_new, next_new);
		e->prev_new = NULL;
		e->settled = e->use == USE_LATEST;
		w->some_unfit |= !e->settled;
		if (!e->settled)
			continue;
		policy_put(TAKE_PTR(e->before));
		policy_put(TAKE_PTR(e->closed));
		free(TAKE_PTR(e->unfit));
	}
}

static void relent_list(struct world *w, struct policy_entry *list)
{
	for (struct policy_entry *e = list; e; e = e->next)
		relent(w, e);
}

void namespace_relent(struct world *w, struct namespace *ns)
{
	relent_list(w, w->cluster);
	if (ns->some_lasting)
		relent_list(w, ns->policies);
	ns->some_lasting = false;
}

void policies_relent(struct world *w, const struct policy *p)
{
	struct namespace *ns = p && p->ns ? namespace_get(w, p->ns->text) : NULL;

	if (ns)
		namespace_relent(w, ns);
	for (struct policy_entry *e = p && !p->ns ? w->policies : NULL; e; e = e->hh.next)
		relent(w, e);
}

bool policies_retry(struct world *w)
{
	bool any = false;

	for (struct policy_entry *e = w->some_unfit ? w->policies : NULL; e; e = e->hh.next) {
		if (e->use == USE_LATEST || e->lasting)
			continue;
		entry_unsettle(w, e);
		entry_mark(w, e);
		any = true;
	}
	w->some_unfit = false;
	for (uint32_t i = 0; i < w->ids.n_slots; i++) {
		struct identity *id = w->ids.slots[i];

		if (!id || !id->starved)
			continue;
		identity_mark(id);
		any = true;
	}
	return any;
}

bool policies_go_on(struct world *w)
{
	bool any = false;

	for (struct policy_entry *e = w->some_untried ? w->policies : NULL; e; e = e->hh.next) {
		if (!e->untried)
			continue;
		entry_unsettle(w, e);
		entry_mark(w, e);
		any = true;
	}
	w->some_untried = false;
	return any;
}
