// SPDX-License-Identifier: Apache-2.0
#include "selftests/fuzz/services/memory_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "lib/bpf/walk.h"

/* No descriptors of the process: the table of slots can't be mapped, and is written by calls. */
#define FIRST_FD 100000

enum { SVC, LUT, BACKEND, VIP, PORTS, SRCRANGE, N_MAPS };

#define MAX_ENTRIES 2048

static struct memory_map {
	bool hash;
	uint32_t key_size, value_size, n, used;
	bool there[MAX_ENTRIES];
	uint8_t keys[MAX_ENTRIES][24], values[MAX_ENTRIES][32];
} maps[N_MAPS];

static void make(int map, bool hash, uint32_t key, uint32_t value, uint32_t n)
{
	memset(&maps[map], 0, sizeof(maps[map]));
	maps[map].hash = hash;
	maps[map].key_size = key;
	maps[map].value_size = value;
	maps[map].n = n;
}

void memory_maps_reset(struct fake_maps *ret)
{
	make(SVC, true, sizeof(struct loom_svckey), sizeof(struct loom_svc), 24);
	make(LUT, false, 4, 4, 512);
	make(BACKEND, false, 4, sizeof(struct loom_backend), 24);
	make(VIP, false, 4, 16, LOOM_VIP_SERVICE_FIRST + 8);
	make(PORTS, false, 4, 8, LOOM_PORTS_SETS * LOOM_PORTS_WORDS);
	make(SRCRANGE, true, sizeof(struct loom_srckey), 4, 24);
	*ret = (struct fake_maps){ .svc = FIRST_FD + SVC,
				   .lut = FIRST_FD + LUT,
				   .backend = FIRST_FD + BACKEND,
				   .vip = FIRST_FD + VIP,
				   .ports = FIRST_FD + PORTS,
				   .srcrange = FIRST_FD + SRCRANGE,
				   .sockrev = -1,
				   .max_fronts = maps[SVC].n,
				   .max_backends = maps[BACKEND].n,
				   .max_slots = maps[LUT].n,
				   .max_vips = maps[VIP].n,
				   .max_ranges = maps[SRCRANGE].n };
}

static struct memory_map *map_of(int fd)
{
	if (fd < FIRST_FD || fd >= FIRST_FD + N_MAPS)
		abort();
	return &maps[fd - FIRST_FD];
}

static int fail(int err)
{
	errno = err;
	return -1;
}

/* Index of the entry, or -1. */
static long find(const struct memory_map *m, const void *key)
{
	uint32_t index;

	if (!m->hash) {
		memcpy(&index, key, sizeof(index));
		return index < m->n ? (long)index : -1;
	}
	for (uint32_t i = 0; i < m->n; i++)
		if (m->there[i] && memcmp(m->keys[i], key, m->key_size) == 0)
			return i;
	return -1;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct memory_map *m = map_of(fd);
	long i = find(m, key);

	if (i < 0)
		return fail(ENOENT);
	memcpy(value, m->values[i], m->value_size);
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct memory_map *m = map_of(fd);
	long i = find(m, key);

	for (uint32_t k = 0; m->hash && i < 0 && k < m->n; k++)
		if (!m->there[k])
			i = k;
	if (i < 0)
		return fail(m->hash ? E2BIG : EINVAL);
	m->there[i] = true;
	if (m->hash)
		memcpy(m->keys[i], key, m->key_size);
	memcpy(m->values[i], value, m->value_size);
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct memory_map *m = map_of(fd);
	long i = find(m, key);

	if (i < 0)
		return fail(ENOENT);
	m->there[i] = false;
	return 0;
}

int map_walk(int fd, map_entry_fn fn, void *arg)
{
	struct memory_map *m = map_of(fd);
	int stop = 0;

	for (uint32_t i = 0; i < m->n && !stop; i++)
		if (!m->hash || m->there[i])
			stop = fn(m->hash ? (const void *)m->keys[i] : &i, m->values[i], arg);
	return stop;
}
