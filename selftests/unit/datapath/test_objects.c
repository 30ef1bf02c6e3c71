// SPDX-License-Identifier: Apache-2.0
/* Several BPF objects over the same maps, and the programs of one of them on a control group. */
#include <bpf/bpf.h>
#include <errno.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "agent/modules/datapath/cgroup.h"
#include "agent/modules/datapath/embed.h"
#include "lib/bpf/pins.h"
#include "selftests/unit/datapath/cgroup2.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

static struct image_config two_objects(void)
{
	struct image_config image = fixture_image();

	image.objects[image.n_objects++] = embedded_sock();
	return image;
}

void objects_share_the_maps_of_the_first(void **state)
{
	struct image_config image = two_objects();
	uint32_t id = 0, len = sizeof(uint32_t), ids[16];
	struct bpf_prog_info info = { .nr_map_ids = ARRAY_SIZE(ids), .map_ids = (uintptr_t)ids };
	struct loaded *l;
	bool found = false;
	char dir[128];

	l = fixture_load(fixture_dir("two", dir), &image, false);
	assert_true(cgroup_programs_loaded(l));
	assert_true(loaded_map_fd(l, "loom_sockrev") >= 0);
	len = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(loaded_prog(l, "loom_connect4")->fd, &info, &len),
			 0);
	id = map_id(loaded_map_fd(l, "loom_svc"));
	for (uint32_t i = 0; i < info.nr_map_ids; i++)
		found |= ids[i] == id;
	assert_true(found);
	loaded_free(l);

	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_ADOPTED);
	assert_int_equal(map_id(loaded_map_fd(l, "loom_svc")), id);
	assert_true(cgroup_programs_loaded(l));
	loaded_free(l);
}

void an_object_that_is_not_wanted_any_more_leaves_no_pin(void **state)
{
	struct image_config image = two_objects();
	char dir[128];

	loaded_free(fixture_load(fixture_dir("fewer", dir), &image, false));
	assert_true(pin_exists(dir, PIN_PROG, "loom_connect4"));
	image.n_objects = 1;
	loaded_free(fixture_load(dir, &image, false));
	assert_false(pin_exists(dir, PIN_PROG, "loom_connect4"));
	assert_false(pin_exists(dir, PIN_MAP, "loom_sockrev"));
	assert_true(pin_exists(dir, PIN_MAP, "loom_svc"));
}

/* Makes the section's first instruction one that there is not. */
static void spoil(char *elf, size_t len, const char *section)
{
	Elf *e = elf_memory(elf, len);
	size_t names;
	int done = 0;

	assert_int_equal(elf_getshdrstrndx(e, &names), 0);
	for (Elf_Scn *s = elf_nextscn(e, NULL); s; s = elf_nextscn(e, s)) {
		GElf_Shdr h;

		if (gelf_getshdr(s, &h) && strcmp(elf_strptr(e, names, h.sh_name), section) == 0) {
			elf[h.sh_offset] = (char)0xff;
			done++;
		}
	}
	elf_end(e);
	assert_int_equal(done, 1);
}

void an_object_that_the_kernel_refuses_is_left_out(void **state)
{
	struct image_config image = two_objects();
	struct image_object *o = &image.objects[1];
	_cleanup_(freep) char *elf = malloc(o->elf_len);
	struct loaded *l;
	char dir[128];

	assert_non_null(elf);
	memcpy(elf, o->elf, o->elf_len);
	elf_version(EV_CURRENT);
	spoil(elf, o->elf_len, "cgroup/sendmsg6");
	o->elf = elf;
	l = fixture_load(fixture_dir("refused", dir), &image, false);
	assert_int_equal(l->how, LOAD_FRESH);
	assert_non_null(loaded_prog(l, "loom_from_pod"));
	assert_false(cgroup_programs_loaded(l));
	assert_null(loaded_prog(l, "loom_connect4"));
	assert_false(pin_exists(dir, PIN_MAP, "loom_sockrev"));
	loaded_free(l);

	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_ADOPTED);
	loaded_free(l);

	image.objects[1] = embedded_sock();
	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_REPLACED);
	assert_true(cgroup_programs_loaded(l));
	loaded_free(l);
}

void a_shared_map_of_another_size_is_one_map_again(void **state)
{
	struct image_config image = two_objects();
	struct image_size sizes[] = { { "loom_svc", 2048 } };
	struct loom_svckey key = { .port = 80, .proto = 6 };
	struct loom_svc svc = { .flags = LOOM_SVC_EXTERNAL };
	uint32_t old;
	struct loaded *l;
	char dir[128];

	l = fixture_load(fixture_dir("resize2", dir), &image, false);
	old = map_id(loaded_map_fd(l, "loom_svc"));
	assert_int_equal(bpf_map_update_elem(loaded_map_fd(l, "loom_svc"), &key, &svc, 0), 0);
	loaded_free(l);
	image.sizes = sizes;
	image.n_sizes = 1;
	l = fixture_load(dir, &image, false);
	assert_int_equal(loaded_map(l, "loom_svc")->max_entries, 2048);
	assert_int_not_equal(map_id(loaded_map_fd(l, "loom_svc")), old);
	assert_int_equal(bpf_map_lookup_elem(loaded_map_fd(l, "loom_svc"), &key, &svc), 0);
	loaded_free(l);
}

/* ---- control groups ---- */

static void dump(struct cgroup_items *c, struct seen_list *ret)
{
	struct err e = {};

	ret->n = 0;
	assert_int_equal(cgroup_descriptor.dump(c, (struct dump_list *)ret, &e), 0);
}

static void *wanted(const char *path)
{
	struct seen_list put = {};
	uint64_t id;

	assert_int_equal(cgroup_id(path, &id, NULL), 0);
	assert_int_equal(cgroup_put((struct txn *)&put, path, id), 0);
	assert_string_equal(put.items[0].name, CGROUP_DESCRIPTOR "/sockets");
	return put.items[0].value;
}

/* What is attached equals what is wanted, or not. */
static bool matches(struct cgroup_items *c, void *item)
{
	struct seen_list l = {};
	bool ret;

	dump(c, &l);
	ret = l.n == 1 && cgroup_descriptor.equal(l.items[0].value, item);
	seen_release(&l, cgroup_descriptor.free);
	return ret;
}

static uint32_t link_id(const char *dir, const char *pin)
{
	_cleanup_(closep) int fd = pin_open(dir, PIN_LINK, pin, NULL);
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

void socket_programs_are_attached_once_and_replaced_in_place(void **state)
{
	struct image_config image = two_objects();
	struct cgroup_items c;
	struct attach_items links;
	struct seen_list none = {};
	struct err e = {};
	char dir[128], path[300];
	uint32_t link;
	void *item;

	if (cgroup2_make("objects", path, sizeof(path)) < 0)
		skip();
	c = (struct cgroup_items){ fixture_load(fixture_dir("group", dir), &image, false), dir };
	item = wanted(path);
	if (cgroup_descriptor.create(&c, "sockets", item, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(cgroup_count(dir), 8);
	assert_true(matches(&c, item));
	link = link_id(dir, "loom_connect4-cgroup");
	links = (struct attach_items){ c.loaded, { dir, c.loaded->mode } };
	assert_int_equal(attach_descriptor.dump(&links, (struct dump_list *)&none, &e), 0);
	assert_int_equal(none.n, 0);
	loaded_free((struct loaded *)c.loaded);

	image.cfg.ct_udp_s++;
	c.loaded = fixture_load(dir, &image, false);
	assert_int_equal(c.loaded->how, LOAD_REPLACED);
	assert_int_equal(link_id(dir, "loom_connect4-cgroup"), link);
	assert_true(matches(&c, item));
	cgroup_descriptor.free(item);

	/* The group goes, and comes back as another one. */
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	item = wanted(path);
	assert_false(matches(&c, item));
	assert_int_equal(cgroup_descriptor.update(&c, "sockets", item, item, &e), 0);
	assert_true(matches(&c, item));
	assert_int_equal(cgroup_descriptor.delete(&c, "sockets", item, &e), 0);
	assert_int_equal(cgroup_descriptor.delete(&c, "sockets", item, &e), 0);
	assert_int_equal(cgroup_count(dir), 0);
	assert_false(pin_exists(dir, PIN_LINK, "loom_connect4-cgroup"));
	dump(&c, &none);
	assert_int_equal(none.n, 0);
	cgroup_descriptor.free(item);
	loaded_free((struct loaded *)c.loaded);
	rmdir(path);
}

void what_is_no_control_group_is_refused_by_name(void **state)
{
	struct err e = {};
	uint64_t id;

	assert_int_equal(cgroup_id("/tmp", &id, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "'/tmp' is not a control group of version 2"));
	assert_int_equal(cgroup_id("/nowhere", &id, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "'/nowhere'"));
}
