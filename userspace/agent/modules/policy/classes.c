// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/classes.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/grow.h"

/* 0.0.0.0/0 */
static const struct prefix all_v4 = {
	.addr.b = { [10] = 0xff, [11] = 0xff },
	.len = 96,
};

static bool is_v4(const struct prefix *p)
{
	return p->len >= all_v4.len && addr_is_v4(&p->addr);
}

const struct prefix *class_barrier(const struct prefix *p)
{
	union loom_addr masked = all_v4.addr;

	if (p->len >= all_v4.len)
		return NULL;
	addr_mask(&masked, p->len);
	return addr_equal(&masked, &p->addr) ? &all_v4 : NULL;
}

static struct loom_cidrkey key_of(const struct prefix *p)
{
	return (struct loom_cidrkey){ .prefixlen = 32 + p->len, .addr = p->addr };
}

struct class *class_find(const struct classes *c, const struct prefix *p)
{
	struct loom_cidrkey key = key_of(p);
	struct class *class;

	HASH_FIND(hh, c->all, &key, sizeof(key), class);
	return class;
}

/* After 2^32 of them they begin anew. */
static uint32_t new_number(struct classes *c)
{
	do {
		c->last++;
	} while (!c->last || setmap_find(&c->numbers, c->last));
	return c->last;
}

static bool note_number(struct classes *c, uint32_t number)
{
	static struct list *const there = (struct list *)1;

	return !number || setmap_find(&c->numbers, number) ||
	       setmap_add(&c->numbers, number, there) == 0;
}

static struct class *add(struct classes *c, const struct loom_cidrkey *key, uint32_t number)
{
	struct class *class;

	if (grow_room(&c->v, &c->room, c->n + 1, sizeof(struct class *)) < 0)
		return NULL;
	class = calloc(1, sizeof(*class));
	if (!class || !note_number(c, number)) {
		free(class);
		return NULL;
	}
	class->number = number;
	class->key = *key;
	class->prefix = (struct prefix){ .addr = key->addr, .len = key->prefixlen - 32 };
	HASH_ADD(hh, c->all, key, sizeof(class->key), class);
	class->at = c->n;
	c->v[c->n++] = class;
	c->unsorted = true;
	return class;
}

struct class *class_get(struct classes *c, const struct prefix *p)
{
	struct class *class = class_find(c, p);
	struct loom_cidrkey key = key_of(p);

	if (class) {
		c->n_idle -= !class->refs++;
		return class;
	}
	class = add(c, &key, new_number(c));
	if (!class)
		return NULL;
	class->refs = 1;
	class->fresh = true;
	return class;
}

void class_put(struct classes *c, struct class *class)
{
	if (--class->refs)
		return;
	class->idle_at = c->now;
	c->n_idle++;
}

struct class *class_adopt(struct classes *c, const struct loom_cidrkey *key, uint32_t number)
{
	struct class *class;

	HASH_FIND(hh, c->all, key, sizeof(*key), class);
	if (class)
		return NULL;
	class = add(c, key, number);
	if (!class)
		return NULL;
	class->written = class->there = class->seen = true;
	c->last = MAX(c->last, number);
	c->n_idle++;
	return class;
}

void class_forget(struct classes *c, struct class *class)
{
	c->v[class->at] = NULL;
	c->unsorted = true;
	c->n_idle -= !class->refs;
	setmap_take(&c->numbers, class->number);
	HASH_DEL(c->all, class);
	free(class);
}

static int by_place(const void *va, const void *vb)
{
	const struct class *a = *(struct class *const *)va, *b = *(struct class *const *)vb;

	return addr_cmp(&a->prefix.addr, &b->prefix.addr) ?: (int)a->prefix.len - b->prefix.len;
}

static bool covers(const struct class *a, const struct class *b)
{
	return is_v4(&a->prefix) == is_v4(&b->prefix) &&
	       prefix_contains(&a->prefix, &b->prefix.addr);
}

static void close_gaps(struct classes *c)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i])
			c->v[kept++] = c->v[i];
	c->n = kept;
}

void classes_sort(struct classes *c)
{
	struct class *last[2] = {};

	if (!c->unsorted)
		return;
	close_gaps(c);
	if (c->n)
		qsort(c->v, c->n, sizeof(c->v[0]), by_place);
	for (uint32_t i = 0; i < c->n; i++) {
		bool v4 = is_v4(&c->v[i]->prefix);
		struct class *up = last[v4];

		while (up && !covers(up, c->v[i]))
			up = up->parent;
		c->v[i]->parent = up;
		c->v[i]->at = i;
		last[v4] = c->v[i];
	}
	c->unsorted = false;
}

void classes_fini(struct classes *c)
{
	struct class *class, *next;

	HASH_ITER (hh, c->all, class, next) {
		HASH_DEL(c->all, class);
		free(class);
	}
	free(c->v);
	setmap_fini(&c->numbers);
	*c = (struct classes){};
}
