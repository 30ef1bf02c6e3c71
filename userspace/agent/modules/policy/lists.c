// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/lists.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lists_init(struct lists *l, uint32_t room)
{
	*l = (struct lists){};
	return slots_init(&l->slots, room);
}

static void discard(struct lists *l, struct list *list)
{
	if (list->hashed)
		HASH_DEL(l->all, list);
	if (list->count)
		HASH_DELETE(by_first, l->firsts, list);
	free(list);
}

void lists_fini(struct lists *l)
{
	struct list *list, *next;

	HASH_ITER (by_first, l->firsts, list, next)
		discard(l, list);
	HASH_ITER (hh, l->all, list, next)
		discard(l, list);
	slots_fini(&l->slots);
}

static size_t bytes(const struct rules *r)
{
	return r->n * sizeof(r->v[0]);
}

static struct list *find(struct lists *l, const struct rules *r)
{
	const void *content = r->n ? (const void *)r->v : "";
	struct list *list;

	HASH_FIND(hh, l->all, content, bytes(r), list);
	return list;
}

static struct list *add(struct lists *l, uint32_t first, const struct rules *r)
{
	struct list *list = calloc(1, sizeof(*list) + bytes(r));

	if (!list)
		return NULL;
	list->first = first;
	list->count = r->n;
	list->refs = 1;
	if (r->n)
		memcpy(list->v, r->v, bytes(r));
	if (!find(l, r)) {
		list->hashed = true;
		HASH_ADD_KEYPTR(hh, l->all, list->v, bytes(r), list);
	}
	if (r->n)
		HASH_ADD(by_first, l->firsts, first, sizeof(first), list);
	return list;
}

int list_get(struct lists *l, const struct rules *rules, struct list **ret)
{
	struct list *list = find(l, rules);
	struct region region = {};
	int err;

	if (list) {
		*ret = list_ref(list);
		return 0;
	}
	err = slots_take(&l->slots, rules->n, &region);
	if (err < 0)
		return err;
	list = add(l, region.first, rules);
	if (!list) {
		slots_give(&l->slots, &region);
		return -ENOMEM;
	}
	list->fresh = rules->n > 0;
	*ret = list;
	return 0;
}

int list_adopt(struct lists *l, uint32_t first, const struct rules *rules, struct list **ret)
{
	const struct region region = { first, rules->n };
	struct list *list = NULL;

	if (!rules->n)
		return list_get(l, rules, ret);
	HASH_FIND(by_first, l->firsts, &first, sizeof(first), list);
	if (list && list->count == rules->n) {
		*ret = list_ref(list);
		return 0;
	}
	if (list || slots_adopt(&l->slots, &region) < 0)
		return -EINVAL;
	list = add(l, first, rules);
	if (!list)
		return -ENOMEM;
	*ret = list;
	return 0;
}

struct list *list_ref(struct list *l)
{
	l->refs++;
	return l;
}

void list_put(struct lists *l, struct list *list)
{
	const struct region region = { list->first, list->count };

	if (--list->refs)
		return;
	slots_give(&l->slots, &region);
	discard(l, list);
}
