// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/ranges.h"

#include <errno.h>
#include <string.h>

/* Of the map's entries one Service has at most one in so many. */
#define SHARE	 8
#define V4_BEGIN 96 /* length of ::ffff:0:0/96, which IPv4 addresses are in */

/* By family first: of what is in order then, a range comes right before all that is within it. */
static int by_range(const void *a, const void *b)
{
	const struct prefix *ra = a, *rb = b;
	int order = addr_is_v4(&rb->addr) - addr_is_v4(&ra->addr);

	order = order ?: addr_cmp(&ra->addr, &rb->addr);
	return order ?: (int)ra->len - (int)rb->len;
}

static const struct prefix *find(const struct prefix *v, size_t n, const struct prefix *one)
{
	return n ? bsearch(one, v, n, sizeof(*v), by_range) : NULL;
}

static size_t drop_covered(struct prefix *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!kept || v[kept - 1].len > v[i].len ||
		    !prefix_contains(&v[kept - 1], &v[i].addr))
			v[kept++] = v[i];
	return kept;
}

/* Has it, in the maps' form, also IPv4 addresses in it? */
static bool spans_v4(const struct prefix *p)
{
	union loom_addr v4;

	if (p->len >= V4_BEGIN)
		return false;
	addr_from_v4(0, &v4);
	addr_mask(&v4, p->len);
	return addr_equal(&v4, &p->addr);
}

/* "::/0" is all of IPv6 and nothing of IPv4: the halves that are left when it is cut, again and
 * again, around ::ffff:0:0/96. */
static size_t cut_around_v4(const struct prefix *p, struct prefix *ret)
{
	size_t n = 0;

	for (unsigned int bit = p->len; bit < V4_BEGIN; bit++) {
		struct prefix *half = &ret[n++];

		addr_from_v4(0, &half->addr);
		addr_mask(&half->addr, bit + 1);
		half->addr.b[bit / 8] ^= 0x80 >> bit % 8;
		half->len = bit + 1;
	}
	return n;
}

int ranges_list(const struct service_object *obj, struct prefix **ret, size_t *ret_n)
{
	struct prefix *v, one;
	size_t n = obj->n_ranges;

	if (!n) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	v = calloc(n + V4_BEGIN, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memcpy(v, obj->ranges, n * sizeof(*v));
	qsort(v, n, sizeof(*v), by_range);
	n = drop_covered(v, n);
	/* There is one at most: those within it are gone. */
	for (size_t i = 0; i < n; i++) {
		if (!spans_v4(&v[i]))
			continue;
		one = v[i];
		v[i] = v[--n];
		n += cut_around_v4(&one, &v[n]);
		qsort(v, n, sizeof(*v), by_range);
		break;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

/* Entries that the service's other ports have. */
static size_t others(const struct program *p)
{
	size_t n = 0;

	for (const struct program *o = p->service->programs; o; o = o->next)
		if (o != p && !o->stale)
			n += o->n_ranges;
	return n;
}

static void tell(const struct services *s, const struct program *p, size_t left_out, size_t n,
		 bool full)
{
	if (full)
		problems_add(&p->service->problems,
			     "port %u: %zu of %zu source ranges are left out: all %u entries of "
			     "loom_srcrange are in use",
			     p->port.port, left_out, n, s->maps->fd.max_ranges);
	else if (left_out)
		problems_add(&p->service->problems,
			     "port %u: %zu of %zu source ranges are left out: the ports of a "
			     "Service have %u of them together at most",
			     p->port.port, left_out, n, s->maps->fd.max_ranges / SHARE);
}

void ranges_open(struct services *s, struct program *p, const struct prefix *v, size_t n)
{
	size_t limit = s->maps->fd.max_ranges / SHARE, taken = others(p), at = p->n_ranges;
	struct prefix *all = n ? realloc(p->ranges, (at + n) * sizeof(*all)) : NULL;
	size_t fit = taken < limit ? MIN(n, limit - taken) : 0, left_out = n - fit;
	bool full = false;

	if (!n)
		return;
	if (!all)
		return services_fail(s, -ENOMEM);
	p->ranges = all;
	for (size_t i = 0; i < fit; i++) {
		int err;

		if (find(all, p->n_ranges, &v[i]))
			continue;
		err = svcmaps_range_add(s->maps, p->number, &v[i]);
		if (!err)
			all[at++] = v[i];
		else if (err != -ENOSPC)
			services_fail(s, err);
		full |= err == -ENOSPC;
		left_out += err == -ENOSPC;
	}
	if (at > p->n_ranges)
		qsort(all, at, sizeof(*all), by_range);
	p->n_ranges = at;
	tell(s, p, left_out, n, full);
}

/* One that can't be removed stays noted. */
void ranges_close(struct services *s, struct program *p, const struct prefix *v, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct prefix one = p->ranges[i];
		bool stays = find(v, n, &one);
		int err = stays ? 0 : svcmaps_range_del(s->maps, p->number, &one);

		services_fail(s, err);
		if (stays || err < 0)
			p->ranges[kept++] = one;
		else
			services_room(s);
	}
	p->n_ranges = kept;
}
