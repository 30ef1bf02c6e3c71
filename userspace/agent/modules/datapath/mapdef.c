// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/mapdef.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#define MAX_NESTING 16

static uint64_t mix(uint64_t h, uint64_t v)
{
	for (int i = 0; i < 8; i++, v >>= 8)
		h = (h ^ (v & 0xff)) * 0x100000001b3u;
	return h;
}

static uint64_t mix_text(uint64_t h, const char *s)
{
	for (; s && *s; s++)
		h = (h ^ (uint8_t)*s) * 0x100000001b3u;
	return mix(h, 0);
}

static const struct btf_type *skip_modifiers(const struct btf *btf, uint32_t *id)
{
	const struct btf_type *t = btf__type_by_id(btf, *id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		*id = t->type;
		t = btf__type_by_id(btf, *id);
	}
	return t;
}

static uint64_t layout(const struct btf *btf, uint32_t id, uint64_t h, int depth)
{
	const struct btf_type *t = skip_modifiers(btf, &id);

	if (!t || depth > MAX_NESTING)
		return mix(h, 0xff);
	h = mix(h, btf_kind(t));
	if (btf_is_array(t)) {
		h = mix(h, btf_array(t)->nelems);
		return layout(btf, btf_array(t)->type, h, depth + 1);
	}
	if (!btf_is_composite(t))
		return mix(h, btf_is_ptr(t) ? 8 : t->size);
	h = mix(h, t->size);
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = btf_members(t) + i;

		h = mix_text(h, btf__name_by_offset(btf, m->name_off));
		h = mix(h, btf_member_bit_offset(t, i));
		h = layout(btf, m->type, h, depth + 1);
	}
	return h;
}

uint64_t btf_layout(const struct btf *btf, uint32_t type_id)
{
	return layout(btf, type_id, 0xcbf29ce484222325u, 0);
}

DEFINE_FREEP(struct btf, btf__free)

/* A map without type information (made by a kernel or a loader that keeps none) can only be judged
 * by its sizes. */
static bool same_layout(const struct bpf_map *wanted, struct bpf_object *obj,
			const struct map_shape *old)
{
	_cleanup_(btf__freep) struct btf *old_btf = NULL;
	const struct btf *btf = bpf_object__btf(obj);
	uint32_t key = bpf_map__btf_key_type_id(wanted);
	uint32_t value = bpf_map__btf_value_type_id(wanted);

	if (!old->btf_id || !old->btf_value_type || !btf || !value)
		return true;
	old_btf = btf__load_from_kernel_by_id(old->btf_id);
	if (!old_btf)
		return true;
	return btf_layout(btf, key) == btf_layout(old_btf, old->btf_key_type) &&
	       btf_layout(btf, value) == btf_layout(old_btf, old->btf_value_type);
}

/* The kernel sets this flag by itself where a program's .rodata is concerned; it is no property of
 * the definition. */
#define DEFINED_FLAGS(f) ((f) & ~(uint32_t)(BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))

enum map_fate mapdef_fate(const struct bpf_map *wanted, struct bpf_object *obj, int old_fd,
			  const char **why)
{
	struct map_shape old;

	if (map_shape(old_fd, &old) < 0)
		return MAP_FRESH;
	if (old.key_size != bpf_map__key_size(wanted) ||
	    old.value_size != bpf_map__value_size(wanted)) {
		*why = "its keys or values have another size now";
		return MAP_REPLACE;
	}
	if (!same_layout(wanted, obj, &old)) {
		*why = "its keys or values have other fields now";
		return MAP_REPLACE;
	}
	if (old.type == bpf_map__type(wanted) && old.max_entries == bpf_map__max_entries(wanted) &&
	    DEFINED_FLAGS(old.flags) == DEFINED_FLAGS(bpf_map__map_flags(wanted)))
		return MAP_REUSE;
	if (map_is_percpu(&old) || old.type == BPF_MAP_TYPE_RINGBUF) {
		*why = "its size changed, and counters and events start anew";
		return MAP_REPLACE;
	}
	*why = "its size, type or flags changed";
	return MAP_COPY;
}

struct copying {
	int to;
	bool only_absent;
	struct map_shape from_shape, to_shape;
	_Alignas(8) char present[256];
	struct map_copy *count;
};

static bool array_has(struct copying *c, const void *key)
{
	return c->to_shape.value_size <= sizeof(c->present) &&
	       bpf_map_lookup_elem(c->to, key, c->present) == 0 &&
	       !map_value_is_zero(c->present, c->to_shape.value_size);
}

static int copy_entry(const void *key, const void *value, void *arg)
{
	struct copying *c = arg;
	bool array = map_is_array(&c->to_shape);
	uint64_t flags = c->only_absent && !array ? BPF_NOEXIST : BPF_ANY;

	if (array && map_value_is_zero(value, c->from_shape.value_size))
		return 0;
	if (array && c->only_absent && array_has(c, key))
		return 0;
	if (bpf_map_update_elem(c->to, key, value, flags) == 0)
		c->count->copied++;
	else if (errno != EEXIST)
		c->count->left++;
	return 0;
}

int map_copy(int from, int to, bool only_absent, struct map_copy *ret)
{
	struct map_copy count = {};
	struct copying c = { .to = to, .only_absent = only_absent, .count = &count };
	int err = map_shape(from, &c.from_shape);

	if (!err)
		err = map_shape(to, &c.to_shape);
	if (err < 0)
		return err;
	err = map_walk(from, copy_entry, &c);
	if (err < 0)
		return err;
	*ret = count;
	return 0;
}
