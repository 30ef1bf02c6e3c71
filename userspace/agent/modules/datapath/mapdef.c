// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/datapath/mapdef.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

#define MAX_NESTING 16

/* A type of one of the two. */
struct type {
	const struct btf *btf;
	uint32_t id;
};

static const struct btf_type *skip_modifiers(struct type *at)
{
	const struct btf_type *t = btf__type_by_id(at->btf, at->id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t))) {
		at->id = t->type;
		t = btf__type_by_id(at->btf, at->id);
	}
	return t;
}

static bool fits(struct type new, struct type old, int depth);

static const char *member_name(const struct btf *btf, const struct btf_type *t, int i)
{
	return btf__name_by_offset(btf, btf_members(t)[i].name_off) ?: "";
}

/* The first bit behind the member; 0 when that can't be told. */
static int64_t member_end(const struct btf *btf, const struct btf_type *t, int i)
{
	int64_t size = btf__resolve_size(btf, btf_members(t)[i].type);

	return size < 0 ? 0 : btf_member_bit_offset(t, i) + size * 8;
}

static bool is_reserved(const char *name)
{
	return strncmp(name, "reserved", strlen("reserved")) == 0;
}

/* Members of `old` from *i on that lie within member `n` of `new` are passed over. */
static bool skip_reserved(struct type new, const struct btf_type *nt, int n, struct type old,
			  const struct btf_type *ot, int *i)
{
	int64_t start = btf_member_bit_offset(nt, n), end = member_end(new.btf, nt, n);

	for (; *i < btf_vlen(ot) && btf_member_bit_offset(ot, *i) < end; ++*i)
		if (btf_member_bit_offset(ot, *i) < start || !member_end(old.btf, ot, *i) ||
		    member_end(old.btf, ot, *i) > end)
			return false;
	return end > 0;
}

static bool member_fits(struct type new, const struct btf_type *nt, int n, struct type old,
			const struct btf_type *ot, int i)
{
	return strcmp(member_name(new.btf, nt, n), member_name(old.btf, ot, i)) == 0 &&
	       btf_member_bit_offset(nt, n) == btf_member_bit_offset(ot, i) &&
	       btf_member_bitfield_size(nt, n) == btf_member_bitfield_size(ot, i);
}

static bool members_fit(struct type new, const struct btf_type *nt, struct type old,
			const struct btf_type *ot, int depth)
{
	int i = 0;

	for (int n = 0; n < btf_vlen(nt); n++) {
		if (btf_is_struct(nt) && is_reserved(member_name(new.btf, nt, n))) {
			if (!skip_reserved(new, nt, n, old, ot, &i))
				return false;
			continue;
		}
		if (i == btf_vlen(ot) || !member_fits(new, nt, n, old, ot, i) ||
		    !fits((struct type){ new.btf, btf_members(nt)[n].type },
			  (struct type){ old.btf, btf_members(ot)[i].type }, depth + 1))
			return false;
		i++;
	}
	return i == btf_vlen(ot);
}

static bool fits(struct type new, struct type old, int depth)
{
	const struct btf_type *nt = skip_modifiers(&new), *ot = skip_modifiers(&old);

	if (!nt || !ot || depth > MAX_NESTING || btf_kind(nt) != btf_kind(ot))
		return false;
	if (btf_is_array(nt))
		return btf_array(nt)->nelems == btf_array(ot)->nelems &&
		       fits((struct type){ new.btf, btf_array(nt)->type },
			    (struct type){ old.btf, btf_array(ot)->type }, depth + 1);
	if (btf_is_ptr(nt))
		return true;
	return nt->size == ot->size &&
	       (!btf_is_composite(nt) || members_fit(new, nt, old, ot, depth));
}

bool btf_fits(const struct btf *new, uint32_t new_id, const struct btf *old, uint32_t old_id)
{
	return fits((struct type){ new, new_id }, (struct type){ old, old_id }, 0);
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
	return btf_fits(btf, key, old_btf, old->btf_key_type) &&
	       btf_fits(btf, value, old_btf, old->btf_value_type);
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
