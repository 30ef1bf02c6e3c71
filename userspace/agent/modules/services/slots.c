// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/slots.h"

#include <errno.h>
#include <string.h>

#include "lib/base/util.h"

/* 1, 2, 3, 4, 6, 8, 12, 16, 24 …: powers of two and what is halfway between them. */
static uint32_t class_size(unsigned int class)
{
	uint64_t size;

	if (class < 2)
		return class + 1;
	size = (class & 1 ? 4ull : 3ull) << (class - 2) / 2;
	return MIN(size, UINT32_MAX);
}

static unsigned int class_of(uint32_t size)
{
	unsigned int c = 0;

	while (c < SLOT_CLASSES - 1 && class_size(c) < size)
		c++;
	return c;
}

void slots_init(struct slots *s, uint32_t n)
{
	*s = (struct slots){ .n = n };
}

void slots_fini(struct slots *s)
{
	for (size_t i = 0; i < SLOT_CLASSES; i++)
		free(s->idle[i].v);
	*s = (struct slots){};
}

/* What can't be noted for want of memory is lost until the next start. */
static void add_idle(struct slots *s, unsigned int class, uint32_t first)
{
	size_t room = s->idle[class].room;
	uint32_t *v;

	if (s->idle[class].n == room) {
		room = room ? room * 2 : 16;
		v = realloc(s->idle[class].v, room * sizeof(*v));
		if (!v)
			return;
		s->idle[class].v = v;
		s->idle[class].room = room;
	}
	s->idle[class].v[s->idle[class].n++] = first;
}

/* Free slots first..end, as regions as large as they get. */
static void add_gap(struct slots *s, uint32_t first, uint32_t end)
{
	while (first < end) {
		unsigned int c = class_of(end - first);

		if (class_size(c) > end - first)
			c--;
		add_idle(s, c, first);
		first += class_size(c);
	}
}

/* A larger idle region, of which the rest stays idle. */
static bool split(struct slots *s, unsigned int class, uint32_t *ret_first)
{
	for (unsigned int c = class + 1; c < SLOT_CLASSES; c++) {
		if (!s->idle[c].n)
			continue;
		*ret_first = s->idle[c].v[--s->idle[c].n];
		add_gap(s, *ret_first + class_size(class), *ret_first + class_size(c));
		return true;
	}
	return false;
}

int slots_take(struct slots *s, uint32_t size, struct region *ret)
{
	unsigned int c = class_of(size);
	uint32_t first;

	if (!size) {
		*ret = (struct region){};
		return 0;
	}
	if (s->idle[c].n) {
		first = s->idle[c].v[--s->idle[c].n];
	} else if (class_size(c) <= s->n - s->end) {
		first = s->end;
		s->end += class_size(c);
	} else if (!split(s, c, &first)) {
		return -ENOSPC;
	}
	s->used += class_size(c);
	*ret = (struct region){ first, size };
	return 0;
}

void slots_give(struct slots *s, const struct region *r)
{
	unsigned int c = class_of(r->size);

	if (!r->size)
		return;
	s->used -= class_size(c);
	add_idle(s, c, r->first);
}

static int by_first(const void *a, const void *b)
{
	const struct region *ra = a, *rb = b;

	if (ra->first != rb->first)
		return ra->first < rb->first ? -1 : 1;
	return ra->size < rb->size ? -1 : ra->size > rb->size;
}

int slots_adopt(struct slots *s, struct region *used, size_t n)
{
	uint32_t at = 0;

	qsort(used, n, sizeof(*used), by_first);
	for (size_t i = 0; i < n; i++) {
		uint32_t size = class_size(class_of(used[i].size));

		if (!used[i].size ||
		    (i && used[i].first == used[i - 1].first && used[i].size == used[i - 1].size))
			continue;
		if (used[i].first < at || size > s->n || used[i].first > s->n - size) {
			uint32_t all = s->n;

			slots_fini(s);
			slots_init(s, all);
			return -EINVAL;
		}
		add_gap(s, at, used[i].first);
		at = used[i].first + size;
		s->used += size;
	}
	s->end = at;
	return 0;
}
