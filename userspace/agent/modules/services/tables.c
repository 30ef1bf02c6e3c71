// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/tables.h"

#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"

struct table {
	struct services *s;
	struct side *side;
	const struct wants *w;
	const uint32_t *numbers;
	const bool *usable;
	enum table_kind kind;
	uint32_t *slots; /* indexes into w->v, then numbers */
	uint32_t n;
	struct region region;
};

/* Room for t->n slots, if there is: in place when there are so many already. */
static bool place(struct table *t)
{
	const struct region *now = &t->side->tables[t->kind];

	if (t->n <= now->size) {
		t->region = (struct region){ t->n ? now->first : 0, t->n };
		return true;
	}
	return slots_take(&t->s->maps->slots, t->n, &t->region) == 0;
}

/* As many slots as there are: each backend in it is right, but not all are. */
static void place_some(struct table *t)
{
	const struct region *now = &t->side->tables[t->kind];
	uint32_t largest = slots_largest(&t->s->maps->slots);

	if (largest > now->size && slots_take(&t->s->maps->slots, largest, &t->region) == 0) {
		t->n = largest;
		return;
	}
	t->n = now->size;
	t->region = *now;
}

static void tell(const struct table *t, uint32_t wanted)
{
	problems_add(&t->side->program->service->problems,
		     "port %u: %u slots in place of %u: all %u of loom_lut are in use",
		     t->side->program->port.port, t->n, wanted, t->s->maps->fd.max_slots);
}

static uint32_t slots_per_backend(const struct table *t)
{
	const struct agent_config *cfg = agent_cfg(t->s->agent);

	return t->kind == TABLE_OUT ? cfg->services.maglev_slots : cfg->services.local_weight;
}

/* Coarser and coarser until it fits. */
static int fill(struct table *t)
{
	uint32_t per = slots_per_backend(t), wanted = 0;
	int err;

	for (;; per /= 2) {
		err = compile_table(t->w, t->kind, t->usable, per, &t->slots, &t->n);
		if (err < 0)
			return err;
		wanted = wanted ?: t->n;
		if (place(t))
			break;
		if (per <= 1) {
			place_some(t);
			break;
		}
		free(TAKE_PTR(t->slots));
	}
	if (t->n < wanted)
		tell(t, wanted);
	for (uint32_t i = 0; i < t->n; i++)
		t->slots[i] = t->numbers[t->slots[i]];
	return svcmaps_slots_set(t->s->maps, &t->region, t->slots);
}

/* What is left of the old region when the new one is in use. */
static struct region rest_of(const struct region *old, const struct region *now)
{
	if (!old->size || !now->size || now->first != old->first)
		return *old;
	return (struct region){ old->first + now->size, old->size - now->size };
}

static void set_one(struct table *t, bool needed, struct region *freed)
{
	struct region *now = &t->side->tables[t->kind];
	int err = needed ? fill(t) : 0;

	if (err < 0) {
		services_fail(t->s, err);
		if (t->region.size && t->region.first != now->first)
			slots_give(&t->s->maps->slots, &t->region);
		return;
	}
	*freed = rest_of(now, &t->region);
	*now = t->region;
}

void tables_set(struct services *s, struct side *side, const struct wants *w,
		const uint32_t *numbers, struct region freed[N_TABLES])
{
	_cleanup_(freep) bool *usable = calloc(w->n + 1, sizeof(*usable));
	const struct program *p = side->program;
	unsigned int needs = 0;

	if (!usable)
		return services_fail(s, -ENOMEM);
	for (size_t i = 0; i < w->n; i++)
		usable[i] = numbers[i] != 0;
	if (w->n)
		needs = compile_needs(p->service->obj, &p->port, side->family);
	for (enum table_kind kind = 0; kind < N_TABLES; kind++) {
		struct table t = { .s = s,
				   .side = side,
				   .w = w,
				   .numbers = numbers,
				   .usable = usable,
				   .kind = kind };

		set_one(&t, needs & 1u << kind, &freed[kind]);
		free(t.slots);
	}
}
