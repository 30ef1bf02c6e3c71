// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/left.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "lib/bpf/walk.h"

struct left_front {
	struct loom_svckey key;
	struct loom_svc value;
	bool claimed;
	UT_hash_handle hh;
};

struct left_range {
	struct loom_srckey key;
	bool claimed;
	UT_hash_handle hh;
};

struct left_service {
	uint32_t number;
	UT_hash_handle hh;
};

/* Numbers with the same address, port and protocol; the rest of them by `next`. */
struct left_tuple {
	struct loom_backend key;
	uint32_t first;
	UT_hash_handle hh;
};

enum left_marks { LEFT_THERE = 1 << 0, LEFT_CLAIMED = 1 << 1, LEFT_IN_TABLE = 1 << 2 };

struct left {
	struct left_front *fronts;
	struct left_range *ranges;
	struct left_service *claimed_services;
	struct left_tuple *tuples;
	struct loom_backend *backends; /* by number */
	uint8_t *marks;		       /* enum left_marks */
	uint32_t *next;		       /* number -> another one of the same tuple */
	struct region *regions;	       /* by first; size 0 when claimed */
	size_t n_regions;
};

/* ---- reading ---- */

static int read_front(const void *key, const void *value, void *arg)
{
	struct left_front *f = calloc(1, sizeof(*f));
	struct svcmaps *m = arg;

	if (!f)
		return -ENOMEM;
	memcpy(&f->key, key, sizeof(f->key));
	memcpy(&f->value, value, sizeof(f->value));
	if (f->value.service < UINT32_MAX)
		m->next_service = MAX(m->next_service, f->value.service + 1);
	HASH_ADD(hh, m->left->fronts, key, sizeof(f->key), f);
	return 0;
}

static struct loom_backend tuple_of(const struct loom_backend *b)
{
	return (struct loom_backend){
		.addr = b->addr, .port = b->port, .proto = b->proto, .scope = b->scope
	};
}

static int read_backend(const void *key, const void *value, void *arg)
{
	struct svcmaps *m = arg;
	struct left *l = m->left;
	struct loom_backend tuple;
	struct left_tuple *t;
	uint32_t number;

	memcpy(&number, key, sizeof(number));
	if (!number || number >= m->fd.max_backends)
		return 0;
	memcpy(&l->backends[number], value, sizeof(l->backends[number]));
	if (!(l->backends[number].flags & LOOM_BACKEND_PRESENT))
		return 0;
	l->marks[number] = LEFT_THERE;
	m->numbers[number] = NUMBER_USED;
	m->used_numbers++;
	m->next_number = number + 1 < m->fd.max_backends ? number + 1 : 1;
	tuple = tuple_of(&l->backends[number]);
	HASH_FIND(hh, l->tuples, &tuple, sizeof(tuple), t);
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		t->key = tuple;
		HASH_ADD(hh, l->tuples, key, sizeof(t->key), t);
	}
	l->next[number] = t->first;
	t->first = number;
	return 0;
}

static int read_vip(const void *key, const void *value, void *arg)
{
	union loom_addr none = {};
	struct svcmaps *m = arg;
	uint32_t number;
	struct vip *v;

	memcpy(&number, key, sizeof(number));
	if (number < LOOM_VIP_SERVICE_FIRST || number >= m->fd.max_vips ||
	    memcmp(value, &none, sizeof(none)) == 0)
		return 0;
	HASH_FIND(hh, m->vips, value, sizeof(v->addr), v);
	if (v)
		return svcmaps_note(m, bpf_map_update_elem(m->fd.vip, &number, &none, BPF_ANY));
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memcpy(&v->addr, value, sizeof(v->addr));
	v->number = number;
	m->is_vip_number[number] = 1;
	m->next_vip = MAX(m->next_vip, number);
	HASH_ADD(hh, m->vips, addr, sizeof(v->addr), v);
	return 0;
}

static int read_range(const void *key, const void *value, void *arg)
{
	struct left_range *r = calloc(1, sizeof(*r));
	struct svcmaps *m = arg;

	if (!r)
		return -ENOMEM;
	memcpy(&r->key, key, sizeof(r->key));
	HASH_ADD(hh, m->left->ranges, key, sizeof(r->key), r);
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct region *ra = a, *rb = b;

	return ra->first < rb->first ? -1 : ra->first > rb->first;
}

/* Frontends share tables; one that overlaps another one can't be adopted. */
static int adopt_region(struct svcmaps *m, uint32_t first, uint32_t size)
{
	struct left *l = m->left;
	struct region r = { first, size };
	int err = size ? slots_adopt(&m->slots, &r) : -EINVAL;

	if (err == -ENOMEM)
		return err;
	if (err < 0)
		return 0;
	l->regions[l->n_regions++] = r;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t number = svcmaps_slot(m, first + i);

		if (number && number < m->fd.max_backends)
			l->marks[number] |= LEFT_IN_TABLE;
	}
	return 0;
}

static int adopt_regions(struct svcmaps *m)
{
	struct left *l = m->left;
	int err = 0;

	l->regions = calloc(HASH_COUNT(l->fronts) * 2 + 1, sizeof(*l->regions));
	if (!l->regions)
		return -ENOMEM;
	for (struct left_front *f = l->fronts; f && !err; f = f->hh.next) {
		err = adopt_region(m, f->value.in, f->value.in_size);
		if (!err)
			err = adopt_region(m, f->value.out, f->value.out_size);
	}
	if (l->n_regions)
		qsort(l->regions, l->n_regions, sizeof(*l->regions), by_first);
	return err;
}

int left_read(struct svcmaps *m)
{
	struct left *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	m->left = l;
	l->backends = calloc(m->fd.max_backends, sizeof(*l->backends));
	l->marks = calloc(m->fd.max_backends, sizeof(*l->marks));
	l->next = calloc(m->fd.max_backends, sizeof(*l->next));
	if (!l->backends || !l->marks || !l->next)
		return -ENOMEM;
	err = map_walk(m->fd.svc, read_front, m);
	if (!err)
		err = map_walk(m->fd.backend, read_backend, m);
	if (!err)
		err = map_walk(m->fd.vip, read_vip, m);
	if (!err)
		err = map_walk(m->fd.srcrange, read_range, m);
	return err ? err : adopt_regions(m);
}

void left_free(struct left *l)
{
	struct left_service *s, *next_s;
	struct left_front *f, *next_f;
	struct left_range *r, *next_r;
	struct left_tuple *t, *next_t;

	if (!l)
		return;
	HASH_ITER (hh, l->fronts, f, next_f) {
		HASH_DEL(l->fronts, f);
		free(f);
	}
	HASH_ITER (hh, l->ranges, r, next_r) {
		HASH_DEL(l->ranges, r);
		free(r);
	}
	HASH_ITER (hh, l->claimed_services, s, next_s) {
		HASH_DEL(l->claimed_services, s);
		free(s);
	}
	HASH_ITER (hh, l->tuples, t, next_t) {
		HASH_DEL(l->tuples, t);
		free(t);
	}
	free(l->backends);
	free(l->marks);
	free(l->next);
	free(l->regions);
	free(l);
}

/* ---- claiming ---- */

bool left_any(const struct svcmaps *m)
{
	return m->left && m->left->fronts;
}

static struct left_front *find_front(const struct svcmaps *m, const struct loom_svckey *key)
{
	struct left_front *f = NULL;

	if (m->left)
		HASH_FIND(hh, m->left->fronts, key, sizeof(*key), f);
	return f;
}

const struct loom_svc *left_front(const struct svcmaps *m, const struct loom_svckey *key)
{
	const struct left_front *f = find_front(m, key);

	return f && !f->claimed ? &f->value : NULL;
}

bool left_claim_front(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v)
{
	struct left_front *f = find_front(m, key);
	bool same = f && !f->claimed && memcmp(&f->value, v, sizeof(*v)) == 0;

	if (f)
		f->claimed = true;
	return same;
}

bool left_claim_service(struct svcmaps *m, uint32_t number)
{
	struct left_service *s = NULL;

	if (!m->left || !number)
		return false;
	HASH_FIND(hh, m->left->claimed_services, &number, sizeof(number), s);
	if (s)
		return false;
	s = calloc(1, sizeof(*s));
	if (!s)
		return false;
	s->number = number;
	HASH_ADD(hh, m->left->claimed_services, number, sizeof(s->number), s);
	return true;
}

struct region left_claim_region(struct svcmaps *m, uint32_t first, uint32_t size)
{
	struct region want = { first, size }, *r = NULL, none = {};

	if (m->left && m->left->n_regions && size)
		r = bsearch(&want, m->left->regions, m->left->n_regions, sizeof(want), by_first);
	if (!r || r->size != size)
		return none;
	r->size = 0;
	return want;
}

static bool can_claim(const struct left *l, uint32_t number)
{
	return (l->marks[number] & (LEFT_THERE | LEFT_CLAIMED)) == LEFT_THERE &&
	       !(l->backends[number].flags & LOOM_BACKEND_GONE);
}

static bool same_tuple(const struct loom_backend *a, const struct loom_backend *b)
{
	return addr_equal(&a->addr, &b->addr) && a->port == b->port && a->proto == b->proto &&
	       a->scope == b->scope;
}

static uint32_t find_in_tables(struct svcmaps *m, const struct loom_backend *b,
			       const struct region *from, size_t n_from)
{
	for (size_t r = 0; r < n_from; r++)
		for (uint32_t i = 0; i < from[r].size; i++) {
			uint32_t number = svcmaps_slot(m, from[r].first + i);

			if (number && number < m->fd.max_backends && can_claim(m->left, number) &&
			    same_tuple(&m->left->backends[number], b))
				return number;
		}
	return 0;
}

static uint32_t find_by_tuple(const struct left *l, const struct loom_backend *b)
{
	struct loom_backend tuple = tuple_of(b);
	struct left_tuple *t;

	HASH_FIND(hh, l->tuples, &tuple, sizeof(tuple), t);
	for (uint32_t number = t ? t->first : 0; number; number = l->next[number])
		if (can_claim(l, number) && !(l->marks[number] & LEFT_IN_TABLE))
			return number;
	return 0;
}

uint32_t left_claim_backend(struct svcmaps *m, const struct loom_backend *b,
			    const struct region *from, size_t n_from)
{
	uint32_t number;

	if (!m->left)
		return 0;
	number = find_in_tables(m, b, from, n_from);
	if (!number)
		number = find_by_tuple(m->left, b);
	if (number)
		m->left->marks[number] |= LEFT_CLAIMED;
	return number;
}

bool left_claim_range(struct svcmaps *m, const struct loom_srckey *key)
{
	struct left_range *r = NULL;

	if (m->left)
		HASH_FIND(hh, m->left->ranges, key, sizeof(*key), r);
	if (!r || r->claimed)
		return false;
	r->claimed = true;
	return true;
}

const struct loom_backend *left_first_backend(struct svcmaps *m, const struct loom_svc *v)
{
	uint32_t number = v->in_size ? svcmaps_slot(m, v->in) : 0;

	if (!m->left || !number || number >= m->fd.max_backends)
		return NULL;
	return m->left->marks[number] & LEFT_THERE ? &m->left->backends[number] : NULL;
}

/* ---- the rest ---- */

static void sweep_vips(struct svcmaps *m)
{
	for (struct vip *v = m->vips; v; v = v->hh.next)
		svcmaps_vip_idle(m, v);
}

static void sweep_backends(struct svcmaps *m, void (*dying)(uint32_t number, void *arg), void *arg)
{
	for (uint32_t i = 1; i < m->fd.max_backends; i++) {
		if ((m->left->marks[i] & (LEFT_THERE | LEFT_CLAIMED)) != LEFT_THERE)
			continue;
		svcmaps_backend_end(m, i);
		dying(i, arg);
	}
}

/* In the order in which packets look: no frontend without its table, no table without backends. */
int svcmaps_sweep(struct svcmaps *m, void (*dying)(uint32_t number, void *arg), void *arg)
{
	struct left *l = m->left;
	struct left_range *r;
	struct left_front *f;
	int err = 0, one;

	if (!l)
		return 0;
	for (f = l->fronts; f; f = f->hh.next)
		if (!f->claimed) {
			one = svcmaps_front_del(m, &f->key);
			err = err ?: one;
		}
	for (r = l->ranges; r; r = r->hh.next)
		if (!r->claimed) {
			one = svcmaps_note(m, bpf_map_delete_elem(m->fd.srcrange, &r->key));
			err = err ?: one;
		}
	sweep_backends(m, dying, arg);
	for (size_t i = 0; i < l->n_regions; i++)
		slots_give(&m->slots, &l->regions[i]);
	one = svcmaps_ports_check(m);
	sweep_vips(m);
	left_free(TAKE_PTR(m->left));
	return err ?: one;
}
