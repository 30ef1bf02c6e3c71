// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <utlist.h>

#include "agent/modules/services/left.h"

#define LUT_STEP 65536 /* slots; each further step doubles what is mapped */

int svcmaps_note(struct svcmaps *m, int failed)
{
	int err = failed ? -errno : 0;

	m->writes++;
	m->failed += err < 0;
	return err;
}

/* An array's values stand 8 bytes apart, whatever their size (kernel: array_map_alloc()). */
static size_t lut_bytes(uint32_t slots)
{
	return (size_t)slots * sizeof(uint64_t);
}

static int read_ports(struct svcmaps *m)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(m->ports); i++)
		if (bpf_map_lookup_elem(m->fd.ports, &i, &m->ports[i]) < 0)
			return -errno;
	return 0;
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
	m->next_vip = LOOM_VIP_SERVICE_FIRST - 1;
	m->numbers = calloc(fd->max_backends, 1);
	m->is_vip_number = calloc(fd->max_vips, 1);
	err = m->numbers && m->is_vip_number ? slots_init(&m->slots, fd->max_slots) : -ENOMEM;
	if (!err)
		err = read_ports(m);
	if (!err)
		err = left_read(m);
	if (err < 0) {
		svcmaps_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

void svcmaps_free(struct svcmaps *m)
{
	struct vip *v, *next;

	if (!m)
		return;
	left_free(m->left);
	HASH_ITER (hh, m->vips, v, next) {
		HASH_DEL(m->vips, v);
		free(v);
	}
	if (m->lut)
		munmap(m->lut, lut_bytes(m->mapped));
	slots_fini(&m->slots);
	free(m->is_vip_number);
	free(m->numbers);
	free(m);
}

uint32_t svcmaps_service_new(struct svcmaps *m)
{
	return m->next_service++ ?: m->next_service++;
}

/* ---- backends ---- */

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
	return svcmaps_note(m, bpf_map_update_elem(m->fd.backend, &number, &want, BPF_ANY));
}

int svcmaps_backend_adopt(struct svcmaps *m, const struct loom_backend *b,
			  const struct region *from, size_t n_from, uint32_t *ret_number)
{
	uint32_t number = left_claim_backend(m, b, from, n_from);

	if (!number)
		return -ENOENT;
	*ret_number = number;
	return svcmaps_backend_set(m, number, b);
}

int svcmaps_backend_add(struct svcmaps *m, struct loom_backend *b, const struct region *from,
			size_t n_from, uint32_t *ret_number)
{
	int err = svcmaps_backend_adopt(m, b, from, n_from, ret_number);
	struct loom_backend old = {};
	uint32_t number;

	if (err != -ENOENT)
		return err;
	if (m->used_numbers + 1 >= m->fd.max_backends)
		return -ENOSPC;
	number = idle_number(m);
	if (!number)
		return -ENOSPC;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &old) < 0)
		return -errno;
	b->gen = old.gen + 1 ?: 1;
	err = svcmaps_note(m, bpf_map_update_elem(m->fd.backend, &number, b, BPF_ANY));
	if (err < 0)
		return err;
	m->numbers[number] = NUMBER_USED;
	m->used_numbers++;
	*ret_number = number;
	return 0;
}

int svcmaps_backend_end(struct svcmaps *m, uint32_t number)
{
	struct loom_backend b, want;

	m->numbers[number] = NUMBER_DYING;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &b) < 0)
		return -errno;
	want = b;
	want.flags = (b.flags | LOOM_BACKEND_GONE) & ~LOOM_BACKEND_READY;
	if (memcmp(&b, &want, sizeof(b)) == 0)
		return 0;
	return svcmaps_note(m, bpf_map_update_elem(m->fd.backend, &number, &want, BPF_ANY));
}

int svcmaps_backend_forget(struct svcmaps *m, uint32_t number)
{
	struct loom_backend none = {}, b;

	if (m->numbers[number] != NUMBER_DYING)
		return 0;
	m->numbers[number] = NUMBER_IDLE;
	m->used_numbers--;
	if (bpf_map_lookup_elem(m->fd.backend, &number, &b) < 0)
		return -errno;
	none.gen = b.gen;
	return svcmaps_note(m, bpf_map_update_elem(m->fd.backend, &number, &none, BPF_ANY));
}

/* ---- slots ---- */

/* All pages of a mapping count as this process's memory, so only what is in use is mapped: slots
 * are taken from the front. */
static void map_slots(struct svcmaps *m, uint32_t slot)
{
	uint32_t want = MAX(m->mapped * 2, (uint32_t)LUT_STEP);
	void *at;

	if (m->unmappable)
		return;
	while (want <= slot)
		want *= 2;
	want = MIN(want, m->fd.max_slots);
	at = mmap(NULL, lut_bytes(want), PROT_READ | PROT_WRITE, MAP_SHARED, m->fd.lut, 0);
	if (at == MAP_FAILED) {
		m->unmappable = true;
		return;
	}
	if (m->lut)
		munmap(m->lut, lut_bytes(m->mapped));
	m->lut = at;
	m->mapped = want;
}

/* NULL: it is to be reached by system calls. */
static uint32_t *slot_at(struct svcmaps *m, uint32_t slot)
{
	if (slot >= m->mapped && slot < m->fd.max_slots)
		map_slots(m, slot);
	return slot < m->mapped ? (uint32_t *)&m->lut[slot] : NULL;
}

uint32_t svcmaps_slot(struct svcmaps *m, uint32_t slot)
{
	const uint32_t *at = slot_at(m, slot);
	uint32_t number = 0;

	if (at)
		return __atomic_load_n(at, __ATOMIC_RELAXED);
	bpf_map_lookup_elem(m->fd.lut, &slot, &number);
	return number;
}

static int slot_set(struct svcmaps *m, uint32_t slot, uint32_t number)
{
	uint32_t *at = slot_at(m, slot);

	if (!at)
		return svcmaps_note(m, bpf_map_update_elem(m->fd.lut, &slot, &number, BPF_ANY));
	__atomic_store_n(at, number, __ATOMIC_RELEASE);
	m->writes++;
	return 0;
}

int svcmaps_slots_set(struct svcmaps *m, const struct region *r, const uint32_t *v)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < r->size; i++)
		if (svcmaps_slot(m, r->first + i) != v[i])
			err = slot_set(m, r->first + i, v[i]);
	return err;
}

/* ---- frontends ---- */

int svcmaps_front_set(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v)
{
	if (left_claim_front(m, key, v))
		return 0;
	return svcmaps_note(m, bpf_map_update_elem(m->fd.svc, key, v, BPF_ANY));
}

int svcmaps_front_del(struct svcmaps *m, const struct loom_svckey *key)
{
	int err = svcmaps_note(m, bpf_map_delete_elem(m->fd.svc, key));

	return err == -ENOENT ? 0 : err;
}

/* ---- addresses ---- */

/* A number that no address has; there is one. */
static uint32_t free_vip(struct svcmaps *m)
{
	do {
		if (++m->next_vip >= m->fd.max_vips)
			m->next_vip = LOOM_VIP_SERVICE_FIRST;
	} while (m->is_vip_number[m->next_vip]);
	return m->next_vip;
}

static struct vip *vip_write(struct svcmaps *m, struct vip *v, uint32_t number,
			     const union loom_addr *addr)
{
	if (svcmaps_note(m, bpf_map_update_elem(m->fd.vip, &number, addr, BPF_ANY)) < 0)
		return NULL;
	v->addr = *addr;
	v->number = number;
	HASH_ADD(hh, m->vips, addr, sizeof(v->addr), v);
	return v;
}

static struct vip *vip_new(struct svcmaps *m, const union loom_addr *addr)
{
	struct vip *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	if (!vip_write(m, v, free_vip(m), addr)) {
		free(v);
		return NULL;
	}
	m->is_vip_number[v->number] = 1;
	return v;
}

/* Of an address that has been nobody's for the longest; its own one stays when the write fails. */
static struct vip *vip_reuse(struct svcmaps *m, const union loom_addr *addr)
{
	struct vip *v = m->idle_vips;
	union loom_addr was;

	if (!v)
		return NULL;
	was = v->addr;
	HASH_DEL(m->vips, v);
	if (vip_write(m, v, v->number, addr)) {
		DL_DELETE(m->idle_vips, v);
		return v;
	}
	v->addr = was;
	HASH_ADD(hh, m->vips, addr, sizeof(v->addr), v);
	return NULL;
}

static bool is_idle(const struct vip *v)
{
	return v->prev; /* a list's first one has its last one before it */
}

uint32_t svcmaps_vip_get(struct svcmaps *m, const union loom_addr *addr)
{
	struct vip *v;

	HASH_FIND(hh, m->vips, addr, sizeof(*addr), v);
	if (v && is_idle(v))
		DL_DELETE(m->idle_vips, v);
	else if (!v && HASH_COUNT(m->vips) + LOOM_VIP_SERVICE_FIRST < m->fd.max_vips)
		v = vip_new(m, addr);
	else if (!v)
		v = vip_reuse(m, addr);
	if (!v)
		return 0;
	v->prev = v->next = NULL;
	v->refs++;
	return v->number;
}

void svcmaps_vip_idle(struct svcmaps *m, struct vip *v)
{
	if (!v->refs && !is_idle(v))
		DL_APPEND(m->idle_vips, v);
}

void svcmaps_vip_put(struct svcmaps *m, const union loom_addr *addr)
{
	struct vip *v;

	HASH_FIND(hh, m->vips, addr, sizeof(*addr), v);
	if (!v)
		return;
	v->refs--;
	svcmaps_vip_idle(m, v);
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
	uint32_t one = 1;

	if (left_claim_range(m, &key))
		return 0;
	return svcmaps_note(m, bpf_map_update_elem(m->fd.srcrange, &key, &one, BPF_ANY));
}

int svcmaps_range_del(struct svcmaps *m, uint32_t service, const struct prefix *p)
{
	struct loom_srckey key = range_key(service, p);
	int err = svcmaps_note(m, bpf_map_delete_elem(m->fd.srcrange, &key));

	return err == -ENOENT ? 0 : err;
}

/* ---- ports ---- */

static int write_word(struct svcmaps *m, uint32_t word, uint64_t want)
{
	int err;

	if (m->ports[word] == want)
		return 0;
	err = svcmaps_note(m, bpf_map_update_elem(m->fd.ports, &word, &want, BPF_ANY));
	if (!err)
		m->ports[word] = want;
	return err;
}

static int write_port(struct svcmaps *m, enum loom_port_set set, uint16_t port, bool on)
{
	uint32_t word = set * LOOM_PORTS_WORDS + port / 64;
	uint64_t bit = 1ull << (port & 63);

	return write_word(m, word, on ? m->ports[word] | bit : m->ports[word] & ~bit);
}

int svcmaps_port_get(struct svcmaps *m, enum loom_port_set set, uint16_t port)
{
	return m->port_refs[set][port]++ ? 0 : write_port(m, set, port, true);
}

int svcmaps_port_put(struct svcmaps *m, enum loom_port_set set, uint16_t port)
{
	return --m->port_refs[set][port] ? 0 : write_port(m, set, port, false);
}

int svcmaps_ports_check(struct svcmaps *m)
{
	int err = 0;

	for (uint32_t word = 0; word < ARRAY_SIZE(m->ports); word++) {
		const uint32_t *refs =
			m->port_refs[word / LOOM_PORTS_WORDS] + word % LOOM_PORTS_WORDS * 64;
		uint64_t want = 0;
		int one;

		for (uint32_t bit = 0; bit < 64; bit++)
			want |= (uint64_t)(refs[bit] > 0) << bit;
		one = write_word(m, word, want);
		err = err ?: one;
	}
	return err;
}
