// SPDX-License-Identifier: Apache-2.0
/* The XDP program on the uplink: one end of a veth pair, whose driver has native XDP; lo has none.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/datapath/embed.h"
#include "agent/modules/datapath/xdp.h"
#include "lib/bpf/pins.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

#define PIN XDP_PROG "-uplink"

static struct image_config with_xdp(void)
{
	struct image_config image = fixture_image();

	image.objects[image.n_objects++] = embedded_xdp();
	return image;
}

static void *wanted(const char *ifname)
{
	struct seen_list put = {};

	assert_int_equal(xdp_put((struct txn *)&put, ifname, if_nametoindex(ifname)), 0);
	assert_string_equal(put.items[0].name, XDP_DESCRIPTOR "/uplink");
	return put.items[0].value;
}

/* What is attached equals what is wanted, or not. */
static bool matches(struct xdp_items *c, void *item)
{
	struct seen_list l = {};
	struct err e = {};
	bool ret;

	assert_int_equal(xdp_descriptor.dump(c, (struct dump_list *)&l, &e), 0);
	ret = l.n == 1 && xdp_descriptor.equal(l.items[0].value, item);
	seen_release(&l, xdp_descriptor.free);
	return ret;
}

static uint32_t prog_on(const char *ifname)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id(if_nametoindex(ifname), 0, &id), 0);
	return id;
}

static uint32_t link_id(const char *dir)
{
	_cleanup_(closep) int fd = pin_open(dir, PIN_LINK, PIN, NULL);
	struct bpf_link_info info = {};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

void the_xdp_program_is_attached_once_and_replaced_in_place(void **state)
{
	struct image_config image = with_xdp();
	struct xdp_items c = {};
	struct attach_items links;
	struct seen_list none = {};
	struct err e = {};
	uint32_t link;
	char dir[128];
	void *item;

	assert_int_equal(fixture_veth("xup", 0), 0);
	c.dir = fixture_dir("xdp", dir);
	c.loaded = fixture_load(dir, &image, false);
	item = wanted("xup");
	assert_string_equal(xdp_mode_name(dir), "off");
	if (xdp_descriptor.create(&c, "uplink", item, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(xdp_mode_name(dir), "native");
	assert_true(matches(&c, item));
	link = link_id(dir);
	links = (struct attach_items){ c.loaded, { dir, c.loaded->mode } };
	assert_int_equal(attach_descriptor.dump(&links, (struct dump_list *)&none, &e), 0);
	assert_int_equal(none.n, 0);
	loaded_free((struct loaded *)c.loaded);

	/* The agent starts again, as it was and with another configuration. */
	c.loaded = fixture_load(dir, &image, false);
	assert_int_equal(c.loaded->how, LOAD_ADOPTED);
	assert_true(matches(&c, item));
	loaded_free((struct loaded *)c.loaded);
	image.cfg.ct_udp_s++;
	c.loaded = fixture_load(dir, &image, false);
	assert_int_equal(c.loaded->how, LOAD_REPLACED);
	assert_int_equal(link_id(dir), link);
	assert_int_equal(prog_on("xup"), loaded_prog(c.loaded, XDP_PROG)->id);
	assert_true(matches(&c, item));

	assert_int_equal(xdp_descriptor.delete(&c, "uplink", item, &e), 0);
	assert_int_equal(xdp_descriptor.delete(&c, "uplink", item, &e), 0);
	assert_int_equal(prog_on("xup"), 0);
	assert_false(pin_exists(dir, PIN_LINK, PIN));
	xdp_descriptor.free(item);
	loaded_free((struct loaded *)c.loaded);
	fixture_link_del("xup");
}

void an_uplink_that_goes_and_another_one_get_the_xdp_program_anew(void **state)
{
	struct image_config image = with_xdp();
	struct xdp_items c = {};
	struct err e = {};
	char dir[128];
	void *first, *again, *other;

	assert_int_equal(fixture_veth("xup", 0), 0);
	assert_int_equal(fixture_veth("xother", 0), 0);
	c.dir = fixture_dir("xdp2", dir);
	c.loaded = fixture_load(dir, &image, false);
	first = wanted("xup");
	assert_int_equal(xdp_descriptor.create(&c, "uplink", first, &e), 0);
	fixture_link_del("xup");
	assert_false(matches(&c, first));
	assert_string_equal(xdp_mode_name(dir), "off");
	assert_int_equal(fixture_veth("xup", 0), 0);
	again = wanted("xup");
	assert_int_equal(xdp_descriptor.update(&c, "uplink", first, again, &e), 0);
	assert_true(matches(&c, again));
	other = wanted("xother");
	assert_int_equal(xdp_descriptor.update(&c, "uplink", again, other, &e), 0);
	assert_true(matches(&c, other));
	assert_int_equal(prog_on("xup"), 0);
	assert_int_equal(xdp_descriptor.delete(&c, "uplink", other, &e), 0);
	xdp_descriptor.free(first);
	xdp_descriptor.free(again);
	xdp_descriptor.free(other);
	loaded_free((struct loaded *)c.loaded);
	fixture_link_del("xup");
	fixture_link_del("xother");
}

static int stranger(void)
{
	static const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "stranger", "GPL", pass, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

void an_xdp_program_of_somebody_else_is_named_and_left_alone(void **state)
{
	struct image_config image = with_xdp();
	struct xdp_items c = { .must = true };
	struct err e = {};
	char dir[128], id[32];
	int fd = stranger();
	void *item;

	assert_int_equal(fixture_veth("xup", 0), 0);
	assert_int_equal(bpf_xdp_attach(if_nametoindex("xup"), fd, XDP_FLAGS_DRV_MODE, NULL), 0);
	c.dir = fixture_dir("xdp3", dir);
	c.loaded = fixture_load(dir, &image, false);
	item = wanted("xup");
	snprintf(id, sizeof(id), "id %u ('stranger')", prog_on("xup"));
	assert_int_equal(xdp_descriptor.create(&c, "uplink", item, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "uplink.xdp: 'xup' has an XDP program of somebody else"));
	assert_non_null(strstr(e.msg, id));
	assert_int_equal(c.problem.code, -EBUSY);
	/* Told, and no failure, where it need not be. */
	c.must = false;
	assert_int_equal(xdp_descriptor.create(&c, "uplink", item, &e), 0);
	assert_int_equal(c.problem.code, -EBUSY);
	assert_non_null(strstr(id, "stranger"));
	assert_int_equal(bpf_xdp_detach(if_nametoindex("xup"), XDP_FLAGS_DRV_MODE, NULL), 0);
	assert_int_equal(xdp_descriptor.create(&c, "uplink", item, &e), 0);
	assert_int_equal(c.problem.code, 0);
	assert_true(matches(&c, item));
	assert_int_equal(xdp_descriptor.delete(&c, "uplink", item, &e), 0);
	xdp_descriptor.free(item);
	loaded_free((struct loaded *)c.loaded);
	fixture_link_del("xup");
	close(fd);
}

void a_driver_without_xdp_and_a_kernel_that_refused_the_program_are_told(void **state)
{
	struct image_config image = with_xdp(), without = fixture_image();
	struct xdp_items c = { .must = true };
	struct err e = {};
	char dir[128];
	void *item = wanted("lo");

	c.dir = fixture_dir("xdp4", dir);
	c.loaded = fixture_load(dir, &image, false);
	assert_int_equal(xdp_descriptor.create(&c, "uplink", item, &e), -EOPNOTSUPP);
	assert_string_equal(e.msg, "uplink.xdp: the driver of 'lo' has no native XDP");
	loaded_free((struct loaded *)c.loaded);
	c.loaded = fixture_load(dir, &without, false);
	assert_int_equal(xdp_descriptor.create(&c, "uplink", item, &e), -ENOENT);
	assert_string_equal(e.msg, "uplink.xdp: the kernel has refused the XDP program");
	loaded_free((struct loaded *)c.loaded);
	xdp_descriptor.free(item);
}
