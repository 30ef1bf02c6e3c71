// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/bpf/walk.h"

static int note(struct svcmaps *m, int failed)
{
	int err = failed ? -errno : 0;

	m->writes++;
	m->failed += err < 0;
	return err;
}

/* ---- what was left ---- */

static int read_front(const void *key, const void *value, void *arg)
{
	struct left_front *f = calloc(1, sizeof(*f));
	struct svcmaps *m = arg;

	if (!f)
		return -ENOMEM;
	memcpy(&f->key, key, sizeof(f->key));
	memcpy(&f->value, value, sizeof(f->value));
	m->next_service = MAX(m->next_service, f->value.service + 1);
	HASH_ADD(hh, m->left_fronts, key, sizeof(f->key), f);
	return 0;
}

static int read_backend(const void *key, const void *value, void *arg)
{
	const struct loom_backend *b = value;
	struct left_backend *l, *first;
	struct svcmaps *m = arg;
	uint32_t number;

	memcpy(&number, key, sizeof(number));
	if (!(b->flags & LOOM_BACKEND_PRESENT) || !number || number >= m->fd.max_backends)
		return 0;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->number = number;
	l->key.addr = b->addr;
	l->key.port = b->port;
	l->key.proto = b->proto;
	m->numbers[number] = NUMBER_USED;
	m->used_numbers++;
	HASH_FIND(hh, m->left_backends, &l->key, sizeof(l->key), first);
	if (first) {
		l->next = first->next;
		first->next = l;
	} else {
		HASH_ADD(hh, m->left_backends, key, sizeof(l->key), l);
	}
	return 0;
}

static int read_vip(const void *key, const void *value, void *arg)
{
	struct svcmaps *m = arg;
	uint32_t number;
	struct vip *v;

	memcpy(&number, key, sizeof(number));
	if (number < LOOM_VIP_SERVICE_FIRST)
		return 0;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	memcpy(&v->addr, value, sizeof(v->addr));
	v->number = number;
	m->next_vip = MAX(m->next_vip, number + 1);
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
	HASH_ADD(hh, m->left_ranges, key, sizeof(r->key), r);
	return 0;
}

static int adopt_slots(struct svcmaps *m)
{
	size_t room = HASH_COUNT(m->left_fronts) * 2;
	struct left_front *f;
	struct region *v = calloc(room + 1, sizeof(*v));
	size_t n = 0, kept = 0;

	if (!v)
		return -ENOMEM;
	for (f = m->left_fronts; f; f = f->hh.next) {
		v[n++] = (struct region){ f->value.in, f->value.in_size };
		v[n++] = (struct region){ f->value.out, f->value.out_size };
	}
	if (slots_adopt(&m->slots, v, n) < 0)
		n = 0;
	for (size_t i = 0; i < n; i++)
		if (v[i].size && (!kept || memcmp(&v[kept - 1], &v[i], sizeof(*v)) != 0))
			v[kept++] = v[i];
	m->left_regions = v;
	m->n_left_regions = kept;
	return 0;
}

static int read_all(struct svcmaps *m)
{
	int err = map_walk(m->fd.svc, read_front, m);

	if (!err)
		err = map_walk(m->fd.backend, read_backend, m);
	if (!err)
		err = map_walk(m->fd.vip, read_vip, m);
	if (!err)
		err = map_walk(m->fd.srcrange, read_range, m);
	for (uint32_t i = 0; !err && i < ARRAY_SIZE(m->ports); i++)
		if (bpf_map_lookup_elem(m->fd.ports, &i, &m->ports[i]) < 0)
			err = -errno;
	return err ? err : adopt_slots(m);
}

int svcmaps_new(const struct svcmaps_fds *fd, struct svcmaps **ret)
{
	struct svcmaps *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	m->fd = *fd;
	m->next_service = 1;
	m->next_number = 1;
	m->next_vip = LOOM_VIP_SERVICE_FIRST;
	m->numbers = calloc(fd->max_backends, 1);
	slots_init(&m->slots, fd->max_slots);
	m->lut = mmap(NULL, (size_t)fd->max_slots * sizeof(*m->lut), PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd->lut, 0);
	if (m->lut == MAP_FAILED)
		m->lut = NULL;
	err = m->numbers ? read_all(m) : -ENOMEM;
	if (err < 0) {
		svcmaps_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

static void free_left(struct svcmaps *m)
{
	struct left_backend *b, *next_b, *same;
	struct left_front *f, *next_f;
	struct left_range *r, *next_r;

	HASH_ITER (hh, m->left_fronts, f, next_f) {
		HASH_DEL(m->left_fronts, f);
		free(f);
	}
	HASH_ITER (hh, m->left_ranges, r, next_r) {
		HASH_DEL(m->left_ranges, r);
		free(r);
	}
	HASH_ITER (hh, m->left_backends, b, next_b) {
		HASH_DEL(m->left_backends, b);
		while (b) {
			same = b->next;
			free(b);
			b = same;
		}
	}
	free(m->left_regions);
	m->left_regions = NULL;
	m->n_left_regions = 0;
}

void svcmaps_free(struct svcmaps *m)
{
	struct vip *v, *next;

	if (!m)
		return;
	free_left(m);
	HASH_ITER (hh, m->vips, v, next) {
		HASH_DEL(m->vips, v);
		free(v);
	}
	if (m->lut)
		munmap(m->lut, (size_t)m->fd.max_slots * sizeof(*m->lut));
	slots_fini(&m->slots);
	free(m->numbers);
	free(m);
}

static void sweep_vips(struct svcmaps *m)
{
	struct vip *v, *next;

	HASH_ITER (hh, m->vips, v, next) {
		if (v->refs)
			continue;
		v->refs = 1;
		svcmaps_vip_put(m, &v->addr);
	}
}

static void sweep_ports(struct svcmaps *m)
{
	for (uint32_t set = 0; set < LOOM_PORTS_SETS; set++)
		for (uint32_t port = 0; port < 65536; port++) {
			uint64_t *word = &m->ports[set * LOOM_PORTS_WORDS + port / 64];

			if ((*word >> (port & 63) & 1) && !m->port_refs[set][port]) {
				m->port_refs[set][port] = 1;
				svcmaps_port_put(m, set, port);
			}
		}
}

void svcmaps_sweep(struct svcmaps *m, void (*dying)(uint32_t number, void *arg), void *arg)
{
	struct left_range *r;
	struct left_front *f;

	for (f = m->left_fronts; f; f = f->hh.next)
		if (!f->claimed)
			note(m, bpf_map_delete_elem(m->fd.svc, &f->key));
	for (r = m->left_ranges; r; r = r->hh.next)
		if (!r->claimed)
			note(m, bpf_map_delete_elem(m->fd.srcrange, &r->key));
	for (struct left_backend *b = m->left_backends; b; b = b->hh.next)
		for (struct left_backend *one = b; one; one = one->next)
			if (!one->claimed) {
				svcmaps_backend_end(m, one->number);
				dying(one->number, arg);
			}
	for (size_t i = 0; i < m->n_left_regions; i++)
		slots_give(&m->slots, &m->left_regions[i]);
	sweep_ports(m);
	sweep_vips(m);
	free_left(m);
}

/* ---- backends ---- */

static struct left_backend *claim_left(struct svcmaps *m, const struct loom_backend *b)
{
	struct left_backend key = {}, *l;

	key.key.addr = b->addr;
	key.key.port = b->port;
	key.key.proto = b->proto;
	HASH_FIND(hh, m->left_backends, &key.key, sizeof(key.key), l);
	while (l && l->claimed)
		l = l->next;
	if (l)
		l->claimed = true;
	return l;
}

static uint32_t idle_number(struct svcmaps *m)
{
	for (uint32_t i = 1; i < m->fd.max_backends; i++) {
		uint32_t number = m->next_number;

		m->next_number = number + 1 < m->fd.max_backends ? number + 1 : 1;
		if (m->numbers[number] == NUMBER_IDLE)
			return number;
	}
	return 0;
}

int svcmaps_backend_set(struct svcmaps *m, uint32_t number, const struct loom_backend *b)
{
	struct loom_backend now = {}, want = *b;

	if (bpf_map_lookup_elem(m->fd.backend, &number, &now) < 0)
		return -errno;
	want.gen = now.gen;
	if (memcmp(&now, &want, sizeof(now)) == 0)
		return 0;
	return note(m, bpf_map_update_elem(m->fd.backend, &number, &want, BPF_ANY));
}

int svcmaps_backend_add(struct svcmaps *m, struct loom_backend *b, uint32_t *ret_number)
{
	struct left_backend *left = claim_left(m, b);
	struct loom_backend old = {};
	uint32_t number;
	int err;

	if (left) {
		*ret_number = left->number;
		return svcmaps_backend_set(m, left->number, b);
	}
	if (m->used_numbers + 1 >= m->fd.max_backends)
		return -ENOSPC;
	number = idle_number(m);
	if (!number)
		return -ENOSPC;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &old) < 0)
		return -errno;
	b->gen = old.gen + 1 ? old.gen + 1 : 1;
	err = note(m, bpf_map_update_elem(m->fd.backend, &number, b, BPF_ANY));
	if (err < 0)
		return err;
	m->numbers[number] = NUMBER_USED;
	m->used_numbers++;
	*ret_number = number;
	return 0;
}

void svcmaps_backend_end(struct svcmaps *m, uint32_t number)
{
	struct loom_backend b;

	m->numbers[number] = NUMBER_DYING;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &b) < 0)
		return;
	b.flags = (b.flags | LOOM_BACKEND_GONE) & ~LOOM_BACKEND_READY;
	note(m, bpf_map_update_elem(m->fd.backend, &number, &b, BPF_ANY));
}

void svcmaps_backend_forget(struct svcmaps *m, uint32_t number)
{
	struct loom_backend none = {}, b;

	if (m->numbers[number] != NUMBER_DYING)
		return;
	m->numbers[number] = NUMBER_IDLE;
	m->used_numbers--;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &b) < 0)
		return;
	none.gen = b.gen;
	note(m, bpf_map_update_elem(m->fd.backend, &number, &none, BPF_ANY));
}

/* ---- slots ---- */

/* An array's values stand 8 bytes apart, whatever their size (kernel: array_map_alloc()). */

static int by_first(const void *a, const void *b)
{
	const struct region *ra = a, *rb = b;

	return ra->first < rb->first ? -1 : ra->first > rb->first;
}

struct region svcmaps_region_claim(struct svcmaps *m, uint32_t first, uint32_t size)
{
	struct region want = { first, size }, *left, none = {};

	left = m->n_left_regions
		       ? bsearch(&want, m->left_regions, m->n_left_regions, sizeof(want), by_first)
		       : NULL;
	if (!size || !left || left->size != size)
		return none;
	left->size = 0;
	return want;
}

int svcmaps_slots_set(struct svcmaps *m, const struct region *r, const uint32_t *v)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < r->size; i++) {
		uint32_t slot = r->first + i;

		if (m->lut) {
			uint32_t *at = (uint32_t *)&m->lut[slot];

			if (__atomic_load_n(at, __ATOMIC_RELAXED) == v[i])
				continue;
			__atomic_store_n(at, v[i], __ATOMIC_RELEASE);
			m->writes++;
		} else {
			err = note(m, bpf_map_update_elem(m->fd.lut, &slot, &v[i], BPF_ANY));
		}
	}
	return err;
}

/* ---- frontends ---- */

static struct left_front *find_left(const struct svcmaps *m, const struct loom_svckey *key)
{
	struct left_front *f;

	HASH_FIND(hh, m->left_fronts, key, sizeof(*key), f);
	return f;
}

const struct loom_svc *svcmaps_front_left(const struct svcmaps *m, const struct loom_svckey *key)
{
	const struct left_front *f = find_left(m, key);

	return f && !f->claimed ? &f->value : NULL;
}

int svcmaps_front_set(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v)
{
	struct left_front *f = find_left(m, key);
	bool same = f && !f->claimed && memcmp(&f->value, v, sizeof(*v)) == 0;

	if (f)
		f->claimed = true;
	return same ? 0 : note(m, bpf_map_update_elem(m->fd.svc, key, v, BPF_ANY));
}

int svcmaps_front_del(struct svcmaps *m, const struct loom_svckey *key)
{
	int err = note(m, bpf_map_delete_elem(m->fd.svc, key));

	return err == -ENOENT ? 0 : err;
}

/* ---- addresses ---- */

uint32_t svcmaps_vip_get(struct svcmaps *m, const union loom_addr *addr)
{
	struct vip *v;

	HASH_FIND(hh, m->vips, addr, sizeof(*addr), v);
	if (v) {
		v->refs++;
		return v->number;
	}
	/* Numbers go round, so that a flow's last packets don't meet another address. */
	for (uint32_t i = LOOM_VIP_SERVICE_FIRST; i < m->fd.max_vips; i++) {
		uint32_t number =
			m->next_vip < m->fd.max_vips ? m->next_vip : LOOM_VIP_SERVICE_FIRST;
		union loom_addr at = {};

		m->next_vip = number + 1;
		if (bpf_map_lookup_elem(m->fd.vip, &number, &at) < 0 || at.d[0] || at.d[1])
			continue;
		v = calloc(1, sizeof(*v));
		if (!v || note(m, bpf_map_update_elem(m->fd.vip, &number, addr, BPF_ANY)) < 0) {
			free(v);
			return 0;
		}
		*v = (struct vip){ .addr = *addr, .number = number, .refs = 1 };
		HASH_ADD(hh, m->vips, addr, sizeof(v->addr), v);
		return number;
	}
	return 0;
}

void svcmaps_vip_put(struct svcmaps *m, const union loom_addr *addr)
{
	union loom_addr none = {};
	struct vip *v;

	HASH_FIND(hh, m->vips, addr, sizeof(*addr), v);
	if (!v || --v->refs)
		return;
	note(m, bpf_map_update_elem(m->fd.vip, &v->number, &none, BPF_ANY));
	HASH_DEL(m->vips, v);
	free(v);
}

/* ---- source ranges ---- */

static struct loom_srckey range_key(uint32_t service, const struct prefix *p)
{
	return (struct loom_srckey){ .prefixlen = 32 + p->len,
				     .service = service,
				     .addr = p->addr };
}

int svcmaps_range_add(struct svcmaps *m, uint32_t service, const struct prefix *p)
{
	struct loom_srckey key = range_key(service, p);
	struct left_range *left;
	uint32_t one = 1;

	HASH_FIND(hh, m->left_ranges, &key, sizeof(key), left);
	if (left && !left->claimed) {
		left->claimed = true;
		return 0;
	}
	return note(m, bpf_map_update_elem(m->fd.srcrange, &key, &one, BPF_ANY));
}

void svcmaps_range_del(struct svcmaps *m, uint32_t service, const struct prefix *p)
{
	struct loom_srckey key = range_key(service, p);

	note(m, bpf_map_delete_elem(m->fd.srcrange, &key));
}

/* ---- ports ---- */

static void write_port(struct svcmaps *m, enum loom_port_set set, uint16_t port, bool on)
{
	uint32_t word = set * LOOM_PORTS_WORDS + port / 64;
	uint64_t bit = 1ull << (port & 63);

	if (!!(m->ports[word] & bit) == on)
		return;
	m->ports[word] ^= bit;
	note(m, bpf_map_update_elem(m->fd.ports, &word, &m->ports[word], BPF_ANY));
}

void svcmaps_port_get(struct svcmaps *m, enum loom_port_set set, uint16_t port)
{
	if (!m->port_refs[set][port]++)
		write_port(m, set, port, true);
}

void svcmaps_port_put(struct svcmaps *m, enum loom_port_set set, uint16_t port)
{
	if (!--m->port_refs[set][port])
		write_port(m, set, port, false);
}
