// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/reach.h"

#include <errno.h>
#include <stdlib.h>

/* ---- spans ---- */

static struct span span_of(const struct prefix *p)
{
	struct span span = { .first = p->addr, .last = p->addr, .v4 = addr_is_v4(&p->addr) };

	addr_mask(&span.first, p->len);
	for (unsigned int bit = p->len; bit < 128; bit++)
		span.last.b[bit / 8] |= 0x80 >> bit % 8;
	return span;
}

/* The address behind it, which there is. */
static union loom_addr after(union loom_addr a)
{
	for (int i = 15; i >= 0 && !++a.b[i];)
		i--;
	return a;
}

static union loom_addr before(union loom_addr a)
{
	for (int i = 15; i >= 0 && !a.b[i]--;)
		i--;
	return a;
}

static int by_place(const void *va, const void *vb)
{
	const struct span *a = va, *b = vb;

	if (a->v4 != b->v4)
		return a->v4 - b->v4;
	return addr_cmp(&a->first, &b->first);
}

/* ---- making ---- */

static int add(struct rule *rule, struct span span)
{
	struct span *at = grow(&rule->spans, &rule->n_spans, sizeof(*at));

	if (!at)
		return -ENOMEM;
	*at = span;
	return 0;
}

/* What the excepts, which are sorted and may lie in each other, leave of the block. */
static int add_rest(struct rule *rule, struct span block, const struct span *except, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct span left = block;

		if (addr_cmp(&except[i].last, &block.first) < 0)
			continue;
		left.last = before(except[i].first);
		if (addr_cmp(&except[i].first, &block.first) > 0)
			err = add(rule, left);
		if (addr_cmp(&except[i].last, &block.last) >= 0)
			return err;
		block.first = after(except[i].last);
	}
	return err ?: add(rule, block);
}

static int add_block(struct rule *rule, const struct block *b)
{
	struct span *except = calloc(b->n_except + 1, sizeof(*except));
	int err;

	if (!except)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_except; i++)
		except[i] = span_of(&b->except[i]);
	if (b->n_except)
		qsort(except, b->n_except, sizeof(*except), by_place);
	err = add_rest(rule, span_of(&b->cidr), except, b->n_except);
	free(except);
	return err;
}

/* Of sorted ones those that overlap become one. */
static void join(struct rule *rule)
{
	size_t kept = 0;

	for (size_t i = 0; i < rule->n_spans; i++) {
		struct span *at = &rule->spans[i], *last = kept ? &rule->spans[kept - 1] : NULL;

		if (!last || last->v4 != at->v4 || addr_cmp(&at->first, &last->last) > 0)
			rule->spans[kept++] = *at;
		else if (addr_cmp(&at->last, &last->last) > 0)
			last->last = at->last;
	}
	rule->n_spans = kept;
}

int rule_find_spans(struct rule *rule)
{
	int err = 0;

	for (size_t i = 0; i < rule->n_blocks && !err; i++)
		err = add_block(rule, &rule->blocks[i]);
	if (err < 0 || !rule->n_spans)
		return err;
	qsort(rule->spans, rule->n_spans, sizeof(rule->spans[0]), by_place);
	join(rule);
	return 0;
}

/* ---- asking ---- */

bool rule_reaches(const struct rule *rule, const union loom_addr *addr)
{
	const struct span one = { .first = *addr, .v4 = addr_is_v4(addr) };
	size_t low = 0, high = rule->n_spans;

	/* The first that begins behind the address. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (by_place(&rule->spans[mid], &one) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low && rule->spans[low - 1].v4 == one.v4 &&
	       addr_cmp(&rule->spans[low - 1].last, addr) >= 0;
}
