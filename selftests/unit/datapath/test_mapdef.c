// SPDX-License-Identifier: Apache-2.0
/* Pinned maps whose values had other fields: which go on to be used. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/modules/datapath/mapdef.h"
#include "lib/bpf/pins.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

/* A struct of fields of u32, "a b c*2": the last one an array of two. The type's number. */
static int add_struct(struct btf *b, int u32, const char *fields)
{
	char name[8][16];
	int types[8], elems[8], n = 0, used, id, at = 0;

	for (; sscanf(fields, " %15[a-z2]%n", name[n], &used) == 1; n++) {
		fields += used;
		elems[n] = *fields == '*' ? fields[1] - '0' : 1;
		types[n] = *fields == '*' ? btf__add_array(b, u32, u32, elems[n]) : u32;
		fields += *fields == '*' ? 2 : 0;
	}
	for (int i = 0; i < n; i++)
		at += elems[i];
	id = btf__add_struct(b, "value", at * 4);
	at = 0;
	for (int i = 0; i < n; at += elems[i++])
		assert_int_equal(btf__add_field(b, name[i], types[i], at * 32, 0), 0);
	return id;
}

static struct btf *struct_btf(const char *fields, int *ret_id)
{
	struct btf *b = btf__new_empty();

	*ret_id = add_struct(b, btf__add_int(b, "u32", 4, 0), fields);
	assert_true(*ret_id > 0);
	return b;
}

void reserved_fields_take_the_place_of_any(void **state)
{
	static const struct {
		const char *name, *new, *old;
		bool fits;
	} cases[] = {
		{ "the same", "a b c*2", "a b c*2", true },
		{ "another name", "a x c*2", "a b c*2", false },
		{ "one for one", "a reserved c*2", "a b c*2", true },
		{ "one for two", "reserved*2 c*2", "a b c*2", true },
		{ "two of them", "a reserved reserved2*2", "a b c*2", true },
		{ "reserved before already", "reserved*2 c*2", "a reserved c*2", true },
		{ "half of a field", "a b c reserved", "a b c*2", false },
		{ "over an edge", "a reserved*2 c", "a b c*2", false },
		{ "given a meaning", "a b c*2", "a reserved c*2", false },
		{ "longer", "a b c*2 reserved", "a b c*2", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int new_id, old_id;
		struct btf *new = struct_btf(cases[i].new, &new_id);
		struct btf *old = struct_btf(cases[i].old, &old_id);

		if (btf_fits(new, new_id, old, old_id) != cases[i].fits)
			fail_msg("%s", cases[i].name);
		btf__free(new);
		btf__free(old);
	}
}

/* struct loom_ipkey */
static int add_ipkey(struct btf *b, int u32)
{
	int u8 = btf__add_int(b, "u8", 1, 0), u64 = btf__add_int(b, "u64", 8, 0);
	int bytes = btf__add_array(b, u32, u8, 16), words = btf__add_array(b, u32, u32, 4);
	int longs = btf__add_array(b, u32, u64, 2), addr = btf__add_union(b, "loom_addr", 16), id;

	assert_int_equal(btf__add_field(b, "b", bytes, 0, 0), 0);
	assert_int_equal(btf__add_field(b, "w", words, 0, 0), 0);
	assert_int_equal(btf__add_field(b, "d", longs, 0, 0), 0);
	id = btf__add_struct(b, "loom_ipkey", 24);
	assert_int_equal(btf__add_field(b, "scope", u32, 0, 0), 0);
	assert_int_equal(btf__add_field(b, "pad", u32, 32, 0), 0);
	assert_int_equal(btf__add_field(b, "addr", addr, 64, 0), 0);
	return id;
}

/* A pinned loom_ip of before, one entry in it. */
static void put_old_map(const char *dir, const char *fields, const struct loom_ipkey *key,
			const struct loom_remote *value)
{
	struct btf *b = btf__new_empty();
	int u32 = btf__add_int(b, "u32", 4, 0), fd;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_key_type_id = add_ipkey(b, u32),
		    .btf_value_type_id = add_struct(b, u32, fields));
	struct err e = {};

	assert_int_equal(btf__load_into_kernel(b), 0);
	opts.btf_fd = btf__fd(b);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "loom_ip", sizeof(*key), sizeof(*value), 65536,
			    &opts);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
	assert_int_equal(pins_prepare(dir, &e), 0);
	assert_int_equal(pin_put(fd, dir, PIN_MAP, "loom_ip", &e), 0);
	close(fd);
	btf__free(b);
}

void a_map_with_fields_that_are_reserved_now_keeps_its_entries(void **state)
{
	const struct loom_ipkey key = { .addr.w = { 0, 0, LOOM_V4_MARK, 1 } };
	const struct loom_remote value = { .node = 3 };
	struct image_config image = fixture_image();
	struct loom_remote got;
	struct loaded *l;
	char dir[128];

	put_old_map(fixture_dir("reserved", dir), "identity node ipclass flags", &key, &value);
	l = fixture_load(dir, &image, false);
	assert_int_equal(bpf_map_lookup_elem(loaded_map_fd(l, "loom_ip"), &key, &got), 0);
	assert_int_equal(got.node, 3);
	loaded_free(l);

	put_old_map(fixture_dir("others", dir), "node a b flags", &key, &value);
	l = fixture_load(dir, &image, false);
	assert_int_equal(bpf_map_lookup_elem(loaded_map_fd(l, "loom_ip"), &key, &got), -ENOENT);
	loaded_free(l);
}

void a_map_of_other_fields_starts_empty(void **state)
{
	struct image_config image = fixture_image();
	struct err e = {};
	struct loaded *l;
	char dir[128];
	int fd;

	fixture_dir("fields", dir);
	assert_int_equal(pins_prepare(dir, &e), 0);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "loom_ct", 12, 20, 64, NULL);
	assert_int_equal(pin_put(fd, dir, PIN_MAP, "loom_ct", &e), 0);
	close(fd);
	l = fixture_load(dir, &image, false);
	assert_int_equal(map_count(loaded_map_fd(l, "loom_ct")), 0);
	loaded_free(l);
}
