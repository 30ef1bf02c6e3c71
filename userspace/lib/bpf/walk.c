// SPDX-License-Identifier: Apache-2.0
#include "lib/bpf/walk.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#define BATCH 1024

struct walk {
	int fd;
	struct map_shape shape;
	size_t value_len;
	map_entry_fn fn;
	void *arg;
};

int map_shape(int map_fd, struct map_shape *ret)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(map_fd, &info, &len) < 0)
		return -errno;
	*ret = (struct map_shape){
		.type = info.type,
		.key_size = info.key_size,
		.value_size = info.value_size,
		.max_entries = info.max_entries,
		.flags = info.map_flags,
		.id = info.id,
		.btf_id = info.btf_id,
		.btf_key_type = info.btf_key_type_id,
		.btf_value_type = info.btf_value_type_id,
	};
	return 0;
}

bool map_is_array(const struct map_shape *s)
{
	return s->type == BPF_MAP_TYPE_ARRAY || s->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

bool map_is_percpu(const struct map_shape *s)
{
	return s->type == BPF_MAP_TYPE_PERCPU_ARRAY || s->type == BPF_MAP_TYPE_PERCPU_HASH ||
	       s->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

size_t map_user_value_size(const struct map_shape *s)
{
	if (!map_is_percpu(s))
		return s->value_size;
	return (size_t)ALIGN_UP(s->value_size, 8) * libbpf_num_possible_cpus();
}

static int walk_keys(const struct walk *w)
{
	_cleanup_(freep) char *key = calloc(2, w->shape.key_size);
	_cleanup_(freep) char *value = malloc(w->value_len);
	char *next = key + w->shape.key_size;
	const char *prev = NULL;
	int err;

	if (!key || !value)
		return -ENOMEM;
	while (bpf_map_get_next_key(w->fd, prev, next) == 0) {
		memcpy(key, next, w->shape.key_size);
		prev = key;
		if (bpf_map_lookup_elem(w->fd, key, value) < 0)
			continue;
		err = w->fn(key, value, w->arg);
		if (err)
			return err;
	}
	return errno == ENOENT ? 0 : -errno;
}

static int hand_out(const struct walk *w, const char *keys, const char *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int err = w->fn(keys + (size_t)i * w->shape.key_size, values + i * w->value_len,
				w->arg);

		if (err)
			return err;
	}
	return 0;
}

/*
 * The cursor is the kernel's: a key for arrays and tries, a 32-bit bucket for hashes. -EOPNOTSUPP
 * before anything was handed out: the type has no batches. -ENOSPC: one bucket holds more than a
 * batch takes.
 */
static int walk_batches(const struct walk *w, uint32_t batch)
{
	size_t cursor_len = MAX(w->shape.key_size, sizeof(uint32_t));
	_cleanup_(freep) char *cursor = calloc(2, cursor_len);
	_cleanup_(freep) char *keys = malloc((size_t)batch * w->shape.key_size);
	_cleanup_(freep) char *values = malloc(batch * w->value_len);
	char *in = cursor, *out = cursor ? cursor + cursor_len : NULL;
	bool first = true;

	if (!cursor || !keys || !values)
		return -ENOMEM;
	for (;;) {
		uint32_t n = batch;
		int err, got;

		errno = 0;
		got = bpf_map_lookup_batch(w->fd, first ? NULL : in, out, keys, values, &n, NULL);
		got = got < 0 ? -errno : 0;
		if (got < 0 && got != -ENOENT)
			return first ? -EOPNOTSUPP : got;
		err = hand_out(w, keys, values, n);
		if (err || got == -ENOENT)
			return err;
		memcpy(in, out, cursor_len);
		first = false;
	}
}

int map_walk(int map_fd, map_entry_fn fn, void *arg)
{
	struct walk w = { .fd = map_fd, .fn = fn, .arg = arg };
	int err = map_shape(map_fd, &w.shape);

	if (err < 0)
		return err;
	w.value_len = map_user_value_size(&w.shape);
	if (map_is_percpu(&w.shape))
		return walk_keys(&w);
	err = walk_batches(&w, MIN((uint32_t)BATCH, MAX(w.shape.max_entries, 1u)));
	return err == -EOPNOTSUPP ? walk_keys(&w) : err;
}

bool map_value_is_zero(const void *value, size_t len)
{
	const unsigned char *b = value;

	return len == 0 || (b[0] == 0 && memcmp(b, b + 1, len - 1) == 0);
}

struct count {
	size_t value_len;
	bool array;
	int n;
};

static int count_entry(const void *key, const void *value, void *arg)
{
	struct count *c = arg;

	if (!c->array || !map_value_is_zero(value, c->value_len))
		c->n++;
	return 0;
}

int map_count(int map_fd)
{
	struct map_shape shape;
	struct count c = {};
	int err = map_shape(map_fd, &shape);

	if (err < 0)
		return err;
	c.value_len = map_user_value_size(&shape);
	c.array = map_is_array(&shape);
	err = map_walk(map_fd, count_entry, &c);
	return err < 0 ? err : c.n;
}

void map_percpu_sum(const void *values, size_t value_size, void *ret)
{
	size_t n = value_size / sizeof(uint64_t), stride = ALIGN_UP(value_size, 8);
	uint64_t *sum = ret;

	memset(ret, 0, value_size);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++) {
		const uint64_t *v = (const void *)((const char *)values + cpu * stride);

		for (size_t i = 0; i < n; i++)
			sum[i] += v[i];
	}
}
