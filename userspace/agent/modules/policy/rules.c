// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/rules.h"

#include <errno.h>
#include <netinet/in.h>
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
	free(r->wide);
	*r = (struct rules){};
}

static unsigned int tier_of(const struct loom_polrule *r)
{
	return r->verdict >> 4;
}

/* ---- many ---- */

/* Of the np tier, where all accept, by protocol and number. */
struct wide {
	bool used, any;
	uint16_t order; /* the least */
	uint64_t ports[3][65536 / 64];
};
static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
#define MANY (2 * LOOM_POLSET_MAX)

static uint64_t *ports_of(struct wide *w, uint8_t proto)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i] == proto)
			return w->ports[i];
	return NULL;
}

static void set_ports(uint64_t *ports, uint32_t lo, uint32_t hi)
{
	for (; lo <= hi && lo % 64; lo++)
		ports[lo / 64] |= 1ull << lo % 64;
	for (; lo + 63 <= hi; lo += 64)
		ports[lo / 64] = ~0ull;
	for (; lo <= hi; lo++)
		ports[lo / 64] |= 1ull << lo % 64;
}

static bool widen(struct wide *w, const struct loom_polrule *rule)
{
	uint64_t *ports = ports_of(w, rule->proto);

	if (tier_of(rule) != LOOM_TIER_NP || (rule->proto && !ports))
		return false;
	if (ports)
		set_ports(ports, rule->lo, rule->hi);
	w->any |= !ports;
	w->order = MIN(w->order, rule->order);
	return true;
}

/* Those that are there by now too. */
static int go_wide(struct rules *r)
{
	size_t kept = 0;

	if (!r->wide)
		r->wide = malloc(sizeof(*r->wide));
	if (!r->wide)
		return -ENOMEM;
	*r->wide = (struct wide){ .used = true, .order = UINT16_MAX };
	for (size_t i = 0; i < r->n; i++)
		if (!widen(r->wide, &r->v[i]))
			r->v[kept++] = r->v[i];
	r->n = kept;
	return 0;
}

/* The next port from `at` on that is set, or is not; 65536: there is none. */
static uint32_t next_port(const uint64_t *ports, uint32_t at, bool set)
{
	while (at < 65536) {
		uint64_t word = (set ? ports[at / 64] : ~ports[at / 64]) >> at % 64;

		if (word)
			return at + __builtin_ctzll(word);
		at += 64 - at % 64;
	}
	return at;
}

static int narrow_ports(struct rules *r, size_t proto)
{
	struct loom_polrule rule = {
		.order = r->wide->order,
		.proto = protos[proto],
		.verdict = LOOM_TIER_NP << 4 | LOOM_POL_ACCEPT,
	};
	const uint64_t *ports = r->wide->ports[proto];
	uint32_t lo, hi;
	int err = 0;

	for (lo = next_port(ports, 0, true); lo < 65536 && !err; lo = next_port(ports, hi, true)) {
		hi = next_port(ports, lo, false);
		rule.lo = lo;
		rule.hi = hi - 1;
		err = rules_add(r, &rule);
	}
	return err;
}

static int narrow(struct rules *r)
{
	const struct loom_polrule any = {
		.order = r->wide->order,
		.verdict = LOOM_TIER_NP << 4 | LOOM_POL_ACCEPT,
	};
	int err = r->wide->any ? rules_add(r, &any) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(protos) && !err && !r->wide->any; i++)
		err = narrow_ports(r, i);
	r->wide->used = false;
	return err;
}

/* ---- order ---- */

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
	if (r->n >= MANY && (!r->wide || !r->wide->used) && go_wide(r) < 0)
		return -ENOMEM;
	if (r->wide && r->wide->used && widen(r->wide, rule))
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

	if (r->wide && tier == LOOM_TIER_NP)
		r->wide->used = false;
	for (size_t i = 0; i < r->n; i++)
		if (tier_of(&r->v[i]) != tier)
			r->v[kept++] = r->v[i];
	r->n = kept;
}

int rules_settle(struct rules *r)
{
	if (r->wide && r->wide->used && narrow(r) < 0)
		return -ENOMEM;
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
