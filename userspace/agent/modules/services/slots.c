// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/slots.h"

#include <errno.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/base/util.h"

int slots_init(struct slots *s, uint32_t n)
{
	*s = (struct slots){ .n = n, .room = 16 };
	s->gaps = calloc(s->room, sizeof(*s->gaps));
	if (!s->gaps)
		return -ENOMEM;
	s->gaps[0] = (struct region){ 0, n };
	s->n_gaps = n > 0;
	return 0;
}

void slots_fini(struct slots *s)
{
	free(s->gaps);
	*s = (struct slots){};
}

/* First gap that begins at `first` or behind it. */
static size_t gap_from(const struct slots *s, uint32_t first)
{
	size_t low = 0, high = s->n_gaps;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->gaps[mid].first < first)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int insert(struct slots *s, size_t at, struct region gap)
{
	if (grow_room(&s->gaps, &s->room, s->n_gaps + 1, sizeof(*s->gaps)) < 0)
		return -ENOMEM;
	memmove(&s->gaps[at + 1], &s->gaps[at], (s->n_gaps - at) * sizeof(gap));
	s->gaps[at] = gap;
	s->n_gaps++;
	return 0;
}

static void erase(struct slots *s, size_t at)
{
	s->n_gaps--;
	memmove(&s->gaps[at], &s->gaps[at + 1], (s->n_gaps - at) * sizeof(s->gaps[0]));
}

int slots_take(struct slots *s, uint32_t size, struct region *ret)
{
	if (!size) {
		*ret = (struct region){};
		return 0;
	}
	for (size_t i = 0; i < s->n_gaps; i++) {
		struct region *gap = &s->gaps[i];

		if (gap->size < size)
			continue;
		*ret = (struct region){ gap->first, size };
		s->used += size;
		gap->first += size;
		gap->size -= size;
		if (!gap->size)
			erase(s, i);
		return 0;
	}
	return -ENOSPC;
}

uint32_t slots_largest(const struct slots *s)
{
	uint32_t size = 0;

	for (size_t i = 0; i < s->n_gaps; i++)
		size = MAX(size, s->gaps[i].size);
	return size;
}

int slots_give(struct slots *s, const struct region *r)
{
	size_t at = gap_from(s, r->first);
	struct region *before = at ? &s->gaps[at - 1] : NULL;
	struct region *after = at < s->n_gaps ? &s->gaps[at] : NULL;
	int err = 0;

	if (!r->size)
		return 0;
	if (before && before->first + before->size == r->first) {
		before->size += r->size;
		if (after && r->first + r->size == after->first) {
			before->size += after->size;
			erase(s, at);
		}
	} else if (after && r->first + r->size == after->first) {
		after->first = r->first;
		after->size += r->size;
	} else {
		err = insert(s, at, *r);
	}
	if (!err)
		s->used -= r->size;
	return err;
}

int slots_adopt(struct slots *s, const struct region *r)
{
	size_t at = gap_from(s, r->first + 1);
	struct region *gap = at ? &s->gaps[at - 1] : NULL, rest;
	int err;

	if (!r->size || r->first >= s->n || r->size > s->n - r->first)
		return -EINVAL;
	if (!gap || r->first - gap->first >= gap->size ||
	    r->size > gap->size - (r->first - gap->first))
		return -EBUSY;
	rest.first = r->first + r->size;
	rest.size = gap->first + gap->size - rest.first;
	if (rest.size) {
		err = insert(s, at, rest);
		if (err < 0)
			return err;
		gap = &s->gaps[at - 1];
	}
	gap->size = r->first - gap->first;
	if (!gap->size)
		erase(s, at - 1);
	s->used += r->size;
	return 0;
}
