// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/ipam/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "agent/modules/ipam/range.h"

struct held {
	struct pool_entry entry;
	char *owner;
	UT_hash_handle hh;
	struct held *prev, *next; /* resting ones, in the order of their ends */
};

struct pool {
	struct range v4, v6;
	struct held *by_owner;
	struct held *resting;
};

int pool_new(struct pool **ret)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	*ret = p;
	return 0;
}

static void held_free(struct held *h)
{
	if (!h)
		return;
	free(h->owner);
	free(h);
}
DEFINE_FREEP(struct held, held_free)

void pool_free(struct pool *p)
{
	struct held *h, *tmp;

	if (!p)
		return;
	HASH_ITER (hh, p->by_owner, h, tmp) {
		HASH_DEL(p->by_owner, h);
		held_free(h);
	}
	DL_FOREACH_SAFE (p->resting, h, tmp) {
		DL_DELETE(p->resting, h);
		held_free(h);
	}
	range_fini(&p->v4);
	range_fini(&p->v6);
	free(p);
}

/* ---- ranges ---- */

/* Marks what is held in the ranges as they are now. */
static void mark(struct pool *p, struct held *h, int resting)
{
	bool in4 = range_take(&p->v4, &h->entry.ips.ip4),
	     in6 = range_take(&p->v6, &h->entry.ips.ip6);

	h->entry.foreign = (!in4 && !addr_is_zero(&h->entry.ips.ip4)) ||
			   (!in6 && !addr_is_zero(&h->entry.ips.ip6));
	p->v4.resting += in4 && resting;
	p->v6.resting += in6 && resting;
}

static void unmark(struct pool *p, const struct held *h)
{
	bool resting = !h->owner;

	if (range_holds(&p->v4, &h->entry.ips.ip4)) {
		p->v4.resting -= resting;
		range_give_back(&p->v4, &h->entry.ips.ip4);
	}
	if (range_holds(&p->v6, &h->entry.ips.ip6)) {
		p->v6.resting -= resting;
		range_give_back(&p->v6, &h->entry.ips.ip6);
	}
}

static bool same_range(const struct range *r, const struct prefix *p)
{
	return p ? r->slots && prefix_equal(&r->prefix, p) : !r->slots;
}

static int pick_families(const struct prefix *ranges, size_t n, const struct prefix **v4,
			 const struct prefix **v6, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const struct prefix **slot = addr_is_v4(&ranges[i].addr) ? v4 : v6;

		if (*slot)
			return err_set(e, -EINVAL, "two pod CIDRs of one family");
		*slot = &ranges[i];
	}
	return 0;
}

int pool_set_ranges(struct pool *p, const struct prefix *ranges, size_t n, struct err *e)
{
	const struct prefix *v4 = NULL, *v6 = NULL;
	struct range new4 = {}, new6 = {};
	struct held *h, *tmp;
	int err = pick_families(ranges, n, &v4, &v6, e);

	if (err < 0 || (same_range(&p->v4, v4) && same_range(&p->v6, v6)))
		return err;
	if (v4)
		err = range_init(&new4, v4, e);
	if (!err && v6)
		err = range_init(&new6, v6, e);
	if (err < 0) {
		range_fini(&new4);
		range_fini(&new6);
		return err;
	}
	range_fini(&p->v4);
	range_fini(&p->v6);
	p->v4 = new4;
	p->v6 = new6;
	HASH_ITER (hh, p->by_owner, h, tmp)
		mark(p, h, 0);
	DL_FOREACH (p->resting, h)
		mark(p, h, 1);
	return 0;
}

/* ---- taking ---- */

static struct held *find(const struct pool *p, const char *owner)
{
	struct held *h;

	HASH_FIND_STR(p->by_owner, owner, h);
	return h;
}

static int held_new(const char *owner, struct held **ret)
{
	_cleanup_(held_freep) struct held *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->owner = strdup(owner);
	if (!h->owner)
		return -ENOMEM;
	h->entry.owner = h->owner;
	*ret = TAKE_PTR(h);
	return 0;
}

static void put(struct pool *p, struct held *h)
{
	HASH_ADD_KEYPTR(hh, p->by_owner, h->owner, strlen(h->owner), h);
}

static int full(const struct range *r, struct err *e)
{
	char text[PREFIX_STRLEN];

	return err_set(e, -ENOSPC, "pool %s is full: %u of %u addresses in use, %u of them resting",
		       prefix_format(&r->prefix, text), r->used, range_capacity(r), r->resting);
}

int pool_room(const struct pool *p, struct err *e)
{
	if (!p->v4.slots && !p->v6.slots)
		return err_set(e, -EAGAIN, "the node has no pod CIDR yet");
	if (p->v4.slots && p->v4.used >= range_capacity(&p->v4))
		return full(&p->v4, e);
	if (p->v6.slots && p->v6.used >= range_capacity(&p->v6))
		return full(&p->v6, e);
	return 0;
}

int pool_alloc(struct pool *p, const char *owner, struct pod_ips *ret, struct err *e)
{
	_cleanup_(held_freep) struct held *h = NULL;
	int err = pool_room(p, e);

	if (err < 0)
		return err;
	if (find(p, owner))
		return err_set(e, -EEXIST, "'%.200s' has addresses already", owner);
	err = held_new(owner, &h);
	if (err < 0)
		return err_errno(e, err, "address for '%.200s'", owner);
	/* There is room in both, so neither can fail. */
	if (p->v4.slots)
		range_next(&p->v4, &h->entry.ips.ip4);
	if (p->v6.slots)
		range_next(&p->v6, &h->entry.ips.ip6);
	*ret = h->entry.ips;
	put(p, TAKE_PTR(h));
	return 0;
}

static bool share(const union loom_addr *a, const union loom_addr *b)
{
	return !addr_is_zero(a) && addr_equal(a, b);
}

static bool ips_share(const struct pod_ips *a, const struct pod_ips *b)
{
	return share(&a->ip4, &b->ip4) || share(&a->ip6, &b->ip6);
}

static const struct held *holder(const struct pool *p, const struct pod_ips *ips)
{
	struct held *h, *tmp;

	HASH_ITER (hh, p->by_owner, h, tmp) {
		if (ips_share(&h->entry.ips, ips))
			return h;
	}
	return NULL;
}

static void wake(struct pool *p, const struct pod_ips *ips)
{
	struct held *h, *tmp;

	DL_FOREACH_SAFE (p->resting, h, tmp) {
		if (!ips_share(&h->entry.ips, ips))
			continue;
		unmark(p, h);
		DL_DELETE(p->resting, h);
		held_free(h);
	}
}

static int in_use(const struct pod_ips *ips, const struct held *by, struct err *e)
{
	char text[ADDR_STRLEN];
	const union loom_addr *addr = share(&ips->ip4, &by->entry.ips.ip4) ? &ips->ip4 : &ips->ip6;

	return err_set(e, -EADDRINUSE, "address '%s' is in use by '%.200s'",
		       addr_format(addr, text), by->owner);
}

static bool ips_equal(const struct pod_ips *a, const struct pod_ips *b)
{
	return addr_equal(&a->ip4, &b->ip4) && addr_equal(&a->ip6, &b->ip6);
}

int pool_reserve(struct pool *p, const char *owner, const struct pod_ips *ips, struct err *e)
{
	_cleanup_(held_freep) struct held *h = NULL;
	const struct held *mine = find(p, owner), *other;
	int err;

	if (mine)
		return ips_equal(&mine->entry.ips, ips)
			       ? 0
			       : err_set(e, -EEXIST, "'%.200s' has other addresses", owner);
	other = holder(p, ips);
	if (other)
		return in_use(ips, other, e);
	err = held_new(owner, &h);
	if (err < 0)
		return err_errno(e, err, "address for '%.200s'", owner);
	wake(p, ips);
	h->entry.ips = *ips;
	mark(p, h, 0);
	put(p, TAKE_PTR(h));
	return 0;
}

/* ---- giving back ---- */

static int by_end(const struct held *a, const struct held *b)
{
	return a->entry.until_ms < b->entry.until_ms ? -1 : a->entry.until_ms > b->entry.until_ms;
}

static void lay_to_rest(struct pool *p, struct held *h, uint64_t until_ms)
{
	free(h->owner);
	h->owner = NULL;
	h->entry.owner = NULL;
	h->entry.until_ms = until_ms;
	DL_INSERT_INORDER(p->resting, h, by_end);
}

int pool_release(struct pool *p, const char *owner, uint64_t until_ms, struct pod_ips *ret)
{
	struct held *h = find(p, owner);

	if (!h)
		return -ENOENT;
	HASH_DEL(p->by_owner, h);
	if (ret)
		*ret = h->entry.ips;
	if (!until_ms) {
		unmark(p, h);
		held_free(h);
		return 0;
	}
	p->v4.resting += range_holds(&p->v4, &h->entry.ips.ip4);
	p->v6.resting += range_holds(&p->v6, &h->entry.ips.ip6);
	lay_to_rest(p, h, until_ms);
	return 0;
}

int pool_rest(struct pool *p, const struct pod_ips *ips, uint64_t until_ms)
{
	struct held *h;

	if (holder(p, ips))
		return -EADDRINUSE;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	wake(p, ips);
	h->entry.ips = *ips;
	mark(p, h, 1);
	lay_to_rest(p, h, until_ms);
	return 0;
}

uint64_t pool_expire(struct pool *p, uint64_t now_ms,
		     void (*fn)(const struct pod_ips *ips, void *arg), void *arg)
{
	struct held *h;

	while ((h = p->resting) && h->entry.until_ms <= now_ms) {
		DL_DELETE(p->resting, h);
		unmark(p, h);
		if (fn)
			fn(&h->entry.ips, arg);
		held_free(h);
	}
	return p->resting ? p->resting->entry.until_ms : 0;
}

/* ---- looking ---- */

const struct pool_entry *pool_find(const struct pool *p, const char *owner)
{
	const struct held *h = find(p, owner);

	return h ? &h->entry : NULL;
}

void pool_foreach(const struct pool *p, void (*fn)(const struct pool_entry *entry, void *arg),
		  void *arg)
{
	struct held *h, *tmp;

	HASH_ITER (hh, p->by_owner, h, tmp)
		fn(&h->entry, arg);
	DL_FOREACH_SAFE (p->resting, h, tmp)
		fn(&h->entry, arg);
}

void pool_stats(const struct pool *p, bool v4, struct pool_stats *ret)
{
	const struct range *r = v4 ? &p->v4 : &p->v6;

	*ret = (struct pool_stats){ .present = r->slots > 0,
				    .range = r->prefix,
				    .capacity = range_capacity(r),
				    .used = r->used,
				    .resting = r->resting };
}
