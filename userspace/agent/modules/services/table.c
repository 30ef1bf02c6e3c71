// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "agent/modules/services/compile.h"
#include "agent/modules/services/maglev.h"

/* FNV-1a of address and port: the backend's name, the same on all nodes. */
static uint64_t name_of(const struct want *w)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < sizeof(w->addr); i++)
		h = (h ^ w->addr.b[i]) * 0x100000001b3u;
	h = (h ^ (w->port >> 8)) * 0x100000001b3u;
	return (h ^ (w->port & 0xff)) * 0x100000001b3u;
}

static bool stands_in(const struct wants *w, size_t i, enum table_kind kind, const bool *usable)
{
	return usable[i] && (w->v[i].tables & 1u << kind);
}

static int list_table(const struct wants *w, enum table_kind kind, const bool *usable,
		      uint32_t local_weight, uint32_t **ret_slots, uint32_t *ret_n)
{
	uint32_t n = 0, *slots;

	for (int round = 0; round < 2; round++) {
		if (round && !n)
			return 0;
		slots = round ? calloc(n, sizeof(*slots)) : NULL;
		if (round && !slots)
			return -ENOMEM;
		n = 0;
		for (size_t i = 0; i < w->n; i++) {
			bool local = kind == TABLE_CLUSTER && (w->v[i].flags & LOOM_BACKEND_LOCAL);

			for (uint32_t k = local ? local_weight : 1;
			     k && stands_in(w, i, kind, usable); k--, n++)
				if (round)
					slots[n] = i;
		}
	}
	*ret_slots = slots;
	*ret_n = n;
	return 0;
}

static int maglev_table(const struct wants *w, const bool *usable, uint32_t per_backend,
			uint32_t **ret_slots, uint32_t *ret_n)
{
	_cleanup_(freep) uint64_t *who = calloc(w->n + 1, sizeof(*who));
	_cleanup_(freep) uint32_t *index = calloc(w->n + 1, sizeof(*index));
	_cleanup_(freep) uint32_t *slots = NULL;
	uint32_t size;
	size_t n = 0;

	if (!who || !index)
		return -ENOMEM;
	for (size_t i = 0; i < w->n; i++)
		if (stands_in(w, i, TABLE_OUT, usable)) {
			who[n] = name_of(&w->v[i]);
			index[n++] = i;
		}
	if (!n)
		return 0;
	size = maglev_size(n, per_backend);
	slots = calloc(size, sizeof(*slots));
	if (!slots || maglev_fill(who, n, size, slots) < 0)
		return -ENOMEM;
	for (uint32_t s = 0; s < size; s++)
		slots[s] = index[slots[s]];
	*ret_slots = TAKE_PTR(slots);
	*ret_n = size;
	return 0;
}

int compile_table(const struct wants *w, enum table_kind kind, const bool *usable, uint32_t per,
		  uint32_t **ret_slots, uint32_t *ret_n)
{
	*ret_slots = NULL;
	*ret_n = 0;
	if (kind == TABLE_OUT)
		return maglev_table(w, usable, per, ret_slots, ret_n);
	return list_table(w, kind, usable, per, ret_slots, ret_n);
}
