// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/nodesync/holders.h"

#include <errno.h>
#include <search.h>

struct holding {
	struct prefix what;
	void *holder;
};

struct prefix held_id(uint32_t id)
{
	return (struct prefix){ .addr.w[3] = id, .len = 128 };
}

struct prefix held_addr(const union loom_addr *addr)
{
	return (struct prefix){ .addr = *addr, .len = 128 };
}

/* Equal means: overlaps. That is an order as long as nothing in the tree overlaps. */
static int compare(const void *a, const void *b)
{
	const struct holding *x = a, *y = b;

	return prefix_overlaps(&x->what, &y->what) ? 0 : addr_cmp(&x->what.addr, &y->what.addr);
}

static struct holding *find(const struct holders *h, enum held kind, const struct prefix *what)
{
	const struct holding key = { .what = *what };
	struct holding *const *at = tfind(&key, &h->trees[kind], compare);

	return at ? *at : NULL;
}

void *holders_find(const struct holders *h, enum held kind, const struct prefix *what)
{
	const struct holding *found = find(h, kind, what);

	return found ? found->holder : NULL;
}

int holders_take(struct holders *h, enum held kind, const struct prefix *what, void *holder)
{
	_cleanup_(freep) struct holding *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	*new = (struct holding){ *what, holder };
	if (!tsearch(new, &h->trees[kind], compare))
		return -ENOMEM;
	TAKE_PTR(new);
	return 0;
}

void holders_drop(struct holders *h, enum held kind, const struct prefix *what)
{
	struct holding *old = find(h, kind, what);

	if (!old)
		return;
	tdelete(old, &h->trees[kind], compare);
	free(old);
}

void holders_fini(struct holders *h)
{
	for (enum held kind = 0; kind < HELD_KINDS; kind++) {
		tdestroy(h->trees[kind], free);
		h->trees[kind] = NULL;
	}
}
