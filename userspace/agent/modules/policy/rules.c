// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/rules.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/grow.h"
#include "lib/base/util.h"

int rules_add(struct rules *r, const struct loom_polrule *rule)
{
	if (grow_room(&r->v, &r->room, r->n + 1, sizeof(*r->v)) < 0)
		return -ENOMEM;
	r->v[r->n++] = *rule;
	return 0;
}

void rules_fini(struct rules *r)
{
	free(r->v);
	*r = (struct rules){};
}

/* ---- order ---- */

static unsigned int tier_of(const struct loom_polrule *r)
{
	return r->verdict >> 4;
}

static int compare(long a, long b)
{
	return (a > b) - (a < b);
}

static int by_order(const void *va, const void *vb)
{
	const struct loom_polrule *a = va, *b = vb;

	return compare(tier_of(a), tier_of(b)) ?: compare(a->order, b->order) ?:
	       compare(a->proto, b->proto) ?: compare(a->lo, b->lo) ?: compare(a->hi, b->hi);
}

static long width(const struct loom_polrule *r)
{
	return r->proto ? r->hi - r->lo : 65536;
}

/* Of the np tier all accept, so the widest come first: they make others needless. */
static int by_reach(const void *va, const void *vb)
{
	const struct loom_polrule *a = va, *b = vb;

	if (tier_of(a) == LOOM_TIER_NP && tier_of(b) == LOOM_TIER_NP)
		return compare(width(b), width(a)) ?: by_order(a, b);
	return by_order(a, b);
}

static int by_port(const void *va, const void *vb)
{
	const struct loom_polrule *a = va, *b = vb;

	return compare(tier_of(a), tier_of(b)) ?: compare(a->proto, b->proto) ?:
	       compare(a->lo, b->lo) ?: compare(a->hi, b->hi);
}

/* ---- needless ones ---- */

static bool covers(const struct loom_polrule *a, const struct loom_polrule *b)
{
	if (tier_of(a) != tier_of(b))
		return false;
	return !a->proto || (a->proto == b->proto && a->lo <= b->lo && a->hi >= b->hi);
}

static bool is_covered(const struct loom_polrule *v, size_t n, const struct loom_polrule *r)
{
	for (size_t i = 0; i < n; i++)
		if (covers(&v[i], r))
			return true;
	return false;
}

int rules_add_new(struct rules *r, const struct loom_polrule *rule)
{
	const struct loom_polrule *last = r->n ? &r->v[r->n - 1] : NULL;

	if (last && covers(last, rule) && last->order <= rule->order)
		return 0;
	return rules_add(r, rule);
}

/* Drops what an earlier one covers. The first that are kept are those in front, so their number
 * bounds the work. */
static bool drop_covered(struct rules *r)
{
	size_t kept = 0;

	qsort(r->v, r->n, sizeof(r->v[0]), by_reach);
	for (size_t i = 0; i < r->n; i++) {
		struct loom_polrule rule = r->v[i];

		if (is_covered(r->v, kept, &rule))
			continue;
		if (kept == LOOM_POLSET_MAX)
			return false;
		/* Swapped, not overwritten: who gives up still has all of them. */
		r->v[i] = r->v[kept];
		r->v[kept++] = rule;
	}
	r->n = kept;
	return true;
}

/* Rules of the np tier whose ports touch become one, at the price of which of them it was. */
static void join(struct rules *r)
{
	size_t kept = 0;

	qsort(r->v, r->n, sizeof(r->v[0]), by_port);
	for (size_t i = 0; i < r->n; i++) {
		struct loom_polrule rule = r->v[i], *last = kept ? &r->v[kept - 1] : NULL;

		if (!last || tier_of(&rule) != LOOM_TIER_NP || tier_of(last) != LOOM_TIER_NP ||
		    last->proto != rule.proto || rule.lo > last->hi + 1) {
			r->v[kept++] = rule;
			continue;
		}
		last->hi = MAX(last->hi, rule.hi);
		last->order = MIN(last->order, rule.order);
	}
	r->n = kept;
}

void rules_drop_tier(struct rules *r, unsigned int tier)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n; i++)
		if (tier_of(&r->v[i]) != tier)
			r->v[kept++] = r->v[i];
	r->n = kept;
}

int rules_settle(struct rules *r)
{
	if (!r->n)
		return 0;
	if (!drop_covered(r)) {
		join(r);
		if (!drop_covered(r))
			return -E2BIG;
	}
	qsort(r->v, r->n, sizeof(r->v[0]), by_order);
	return 0;
}
