// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/datapath/build.h"
#include "agent/modules/datapath/ctgc.h"
#include "agent/modules/datapath/drops.h"
#include "agent/modules/datapath/epnum.h"
#include "agent/modules/datapath/mapdef.h"
#include "lib/base/clock.h"
#include "lib/bpf/pins.h"
#include "lib/json/json.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

/* ---- loading ---- */

static void a_restart_changes_nothing(void **state)
{
	struct image_config image = fixture_image();
	struct loaded *first, *second;
	char dir[128];

	fixture_dir("adopt", dir);
	first = fixture_load(dir, &image, false);
	second = fixture_load(dir, &image, false);
	assert_int_equal(first->how, LOAD_FRESH);
	assert_int_equal(second->how, LOAD_ADOPTED);
	assert_int_equal(first->n_progs, second->n_progs);
	for (size_t i = 0; i < first->n_progs; i++)
		assert_int_equal(first->progs[i].id, loaded_prog(second, first->progs[i].name)->id);
	for (size_t i = 0; i < first->n_maps; i++) {
		struct map_shape a, b;

		map_shape(first->maps[i].fd, &a);
		map_shape(loaded_map_fd(second, first->maps[i].name), &b);
		assert_int_equal(a.id, b.id);
	}
	loaded_free(first);
	loaded_free(second);
}

static void a_missing_pin_makes_all_load_anew(void **state)
{
	struct image_config image = fixture_image();
	struct loaded *l;
	char dir[128];

	fixture_dir("missing", dir);
	loaded_free(fixture_load(dir, &image, false));
	assert_int_equal(pin_remove(dir, PIN_PROG, "loom_from_net"), 0);
	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_REPLACED);
	assert_true(pin_exists(dir, PIN_PROG, "loom_from_net"));
	loaded_free(l);
}

struct only {
	const char *prog; /* NULL: any */
	struct attached at;
	int n;
};

static int take(const struct attached *at, void *arg)
{
	struct only *o = arg;

	if (o->prog && strcmp(o->prog, at->prog) != 0)
		return 0;
	o->at = *at;
	o->n++;
	return 0;
}

static struct attached the_only_one(const struct attacher *a, const char *prog)
{
	struct only o = { .prog = prog };

	assert_int_equal(attach_foreach(a, take, &o), 0);
	assert_int_equal(o.n, 1);
	return o.at;
}

static void programs_are_replaced(bool clsact, const char *name, const char *link)
{
	struct image_config image = fixture_image();
	struct attach_items ctx;
	struct attached before, after;
	struct loaded *l;
	struct attach_item *item;
	struct err e = {};
	char dir[128];

	fixture_dir(name, dir);
	assert_int_equal(fixture_veth(link, 0), 0);
	l = fixture_load(dir, &image, clsact);
	ctx = (struct attach_items){ l, { dir, l->mode } };
	assert_int_equal(l->mode, clsact ? ATTACH_CLSACT : ATTACH_TCX);
	item = attach_item_new(DATAPATH_UPLINK, link, if_nametoindex(link), NULL);
	if (attach_descriptor.create(&ctx, "", item, &e) < 0)
		fail_msg("%s", e.msg);
	before = the_only_one(&ctx.attacher, "loom_from_net");
	assert_string_equal(before.ifname, link);
	assert_int_equal(before.prog_id, loaded_prog(l, "loom_from_net")->id);
	loaded_free(l);

	image.cfg.ct_udp_s++;
	l = fixture_load(dir, &image, clsact);
	assert_int_equal(l->how, LOAD_REPLACED);
	after = the_only_one(&ctx.attacher, "loom_from_net");
	assert_int_equal(after.link_id, before.link_id);
	assert_int_not_equal(after.prog_id, before.prog_id);
	assert_int_equal(after.prog_id, loaded_prog(l, "loom_from_net")->id);
	ctx.loaded = l;
	assert_int_equal(attach_descriptor.delete(&ctx, "", item, &e), 0);
	assert_int_equal(attach_descriptor.delete(&ctx, "", item, &e), 0);
	assert_int_equal(attach_foreach(&ctx.attacher, take, &(struct only){}), 0);
	attach_descriptor.free(item);
	loaded_free(l);
	fixture_link_del(link);
}

static void a_new_configuration_replaces_programs_in_place(void **state)
{
	programs_are_replaced(false, "replace", "up.0");
}

static void the_same_holds_with_clsact_filters(void **state)
{
	programs_are_replaced(true, "clsact", "up1");
}

/* Same name and same index: only the link itself knows that its device is gone. */
static void a_device_that_came_back_gets_its_programs_again(void **state)
{
	struct image_config image = fixture_image();
	struct seen_list there = {};
	struct attach_items ctx;
	struct attach_item *want = attach_item_new(DATAPATH_OVERLAY, "ovl1", 4242, NULL), *got;
	struct err e = {};
	char dir[128];

	ctx.loaded = fixture_load(fixture_dir("device", dir), &image, false);
	ctx.attacher = (struct attacher){ dir, ctx.loaded->mode };
	assert_int_equal(fixture_veth("ovl1", 4242), 0);
	assert_int_equal(attach_descriptor.create(&ctx, "", want, &e), 0);
	assert_int_equal(attach_descriptor.dump(&ctx, (struct dump_list *)&there, &e), 0);
	assert_int_equal(there.n, 1);
	assert_string_equal(there.items[0].name, "overlay-ovl1");
	assert_true(attach_descriptor.equal(there.items[0].value, want));
	seen_release(&there, attach_descriptor.free);

	assert_int_equal(fixture_link_del("ovl1"), 0);
	assert_int_equal(fixture_veth("ovl1", 4242), 0);
	assert_int_equal(attach_descriptor.dump(&ctx, (struct dump_list *)&there, &e), 0);
	got = there.items[0].value;
	assert_int_equal(got->ifindex, 0);
	assert_false(attach_descriptor.equal(got, want));
	if (attach_descriptor.update(&ctx, "", got, want, &e) < 0)
		fail_msg("%s", e.msg);
	seen_release(&there, attach_descriptor.free);
	assert_int_equal(attach_descriptor.dump(&ctx, (struct dump_list *)&there, &e), 0);
	assert_true(attach_descriptor.equal(there.items[0].value, want));
	seen_release(&there, attach_descriptor.free);
	attach_descriptor.free(want);
	loaded_free((struct loaded *)ctx.loaded);
	fixture_link_del("ovl1");
}

/* A tcx link would keep CNI ADD waiting for a grace period. */
static void pods_have_filters_where_others_have_links(void **state)
{
	struct image_config image = fixture_image();
	struct attach_item *item = attach_item_new(DATAPATH_POD, "nlpod", 4243, NULL);
	struct attach_items ctx;
	struct attached at;
	struct err e = {};
	char dir[128];

	ctx.loaded = fixture_load(fixture_dir("pod", dir), &image, false);
	ctx.attacher = (struct attacher){ dir, ctx.loaded->mode };
	assert_int_equal(fixture_veth("nlpod", 4243), 0);
	assert_int_equal(attach_descriptor.create(&ctx, "", item, &e), 0);
	at = the_only_one(&ctx.attacher, "loom_from_pod");
	assert_string_equal(at.prog, "loom_from_pod");
	assert_int_equal(at.ifindex, 4243);
	assert_int_equal(at.link_id, 0);
	assert_int_equal(attach_descriptor.delete(&ctx, "", item, &e), 0);
	assert_int_equal(attach_foreach(&ctx.attacher, take, &(struct only){}), 0);
	attach_descriptor.free(item);
	loaded_free((struct loaded *)ctx.loaded);
	fixture_link_del("nlpod");
}

static void attaching_to_no_device_says_so(void **state)
{
	struct image_config image = fixture_image();
	struct attach_item *item = attach_item_new(DATAPATH_HOST, "absent", 999999, NULL);
	struct attach_items ctx;
	struct err e = {};
	char dir[128];

	ctx.loaded = fixture_load(fixture_dir("nodevice", dir), &image, false);
	ctx.attacher = (struct attacher){ dir, ctx.loaded->mode };
	assert_int_equal(attach_descriptor.create(&ctx, "", item, &e), -ENODEV);
	assert_non_null(strstr(e.msg, "loom_from_host to 'absent' (ifindex 999999)"));
	attach_descriptor.free(item);
	loaded_free((struct loaded *)ctx.loaded);
}

/* ---- maps that changed ---- */

static struct loom_ctkey flow(uint32_t n)
{
	struct loom_ctkey k = { .pa = htons(1000 + n), .pb = htons(80), .proto = IPPROTO_UDP };

	addr_from_v4(0x0a010105, &k.a);
	addr_from_v4(0x0a010206, &k.b);
	return k;
}

static void add_flow(int fd, uint32_t n, uint32_t seen)
{
	struct loom_ct ct = { .seen = seen, .flags = LOOM_CT_REPLIED };
	struct loom_ctkey k = flow(n);

	assert_int_equal(bpf_map_update_elem(fd, &k, &ct, BPF_ANY), 0);
}

static bool has_flow(int fd, uint32_t n)
{
	struct loom_ctkey k = flow(n);
	struct loom_ct ct;

	return bpf_map_lookup_elem(fd, &k, &ct) == 0;
}

static void a_map_of_another_size_keeps_its_entries(void **state)
{
	struct image_size bigger[] = { { "loom_ct", 8192 },
				       { "loom_ct_new", 1024 },
				       { "loom_ep", 4 } };
	struct image_config image = fixture_image();
	struct loaded *l;
	char dir[128];

	fixture_dir("resize", dir);
	l = fixture_load(dir, &image, false);
	for (uint32_t i = 0; i < 2000; i++)
		add_flow(loaded_map_fd(l, "loom_ct"), i, 7);
	loaded_free(l);

	image.sizes = bigger;
	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_REPLACED);
	assert_int_equal(loaded_map(l, "loom_ct")->max_entries, 8192);
	assert_int_equal(map_count(loaded_map_fd(l, "loom_ct")), 2000);
	assert_true(has_flow(loaded_map_fd(l, "loom_ct"), 1999));
	assert_false(pin_exists(dir, PIN_MAP, "loom_ct" PIN_NEW));
	loaded_free(l);
	l = fixture_load(dir, &image, false);
	assert_int_equal(l->how, LOAD_ADOPTED);
	loaded_free(l);
}

static void the_second_copy_leaves_what_is_newer(void **state)
{
	int from = bpf_map_create(BPF_MAP_TYPE_HASH, "from", 4, 8, 8, NULL);
	int to = bpf_map_create(BPF_MAP_TYPE_HASH, "to", 4, 8, 2, NULL);
	uint64_t old = 1, new = 2, got = 0;
	struct map_copy n = {};
	uint32_t k = 5;

	bpf_map_update_elem(from, &k, &old, BPF_ANY);
	bpf_map_update_elem(to, &k, &new, BPF_ANY);
	k = 6;
	bpf_map_update_elem(from, &k, &old, BPF_ANY);
	k = 7;
	bpf_map_update_elem(from, &k, &old, BPF_ANY);
	assert_int_equal(map_copy(from, to, true, &n), 0);
	assert_int_equal(n.copied, 1);
	assert_int_equal(n.left, 1);
	k = 5;
	assert_int_equal(bpf_map_lookup_elem(to, &k, &got), 0);
	assert_int_equal(got, new);
	close(from);
	close(to);
}

/* As a crash leaves it: the new map lies beside the old one, and the programs use it already. */
static void a_swap_cut_short_is_finished_at_the_next_start(void **state)
{
	struct image_size bigger[] = { { "loom_ct", 8192 },
				       { "loom_ct_new", 1024 },
				       { "loom_ep", 4 } };
	struct image_config image = fixture_image();
	struct build_record b;
	struct err e = {};
	struct loaded *l;
	char dir[128];
	int fd;

	fixture_dir("crash", dir);
	l = fixture_load(dir, &image, false);
	add_flow(loaded_map_fd(l, "loom_ct"), 1, 7);
	loaded_free(l);
	fd = bpf_map_create(BPF_MAP_TYPE_HASH, "loom_ct", sizeof(struct loom_ctkey),
			    sizeof(struct loom_ct), 8192, NULL);
	add_flow(fd, 2, 7);
	assert_int_equal(pin_put(fd, dir, PIN_MAP, "loom_ct" PIN_NEW, &e), 0);
	close(fd);
	assert_int_equal(build_read(dir, &b, &e), 0);
	b.phase = BUILD_SWAPPING;
	assert_int_equal(build_write(dir, &b, &e), 0);

	image.sizes = bigger;
	l = fixture_load(dir, &image, false);
	assert_true(has_flow(loaded_map_fd(l, "loom_ct"), 1));
	assert_true(has_flow(loaded_map_fd(l, "loom_ct"), 2));
	assert_false(pin_exists(dir, PIN_MAP, "loom_ct" PIN_NEW));
	loaded_free(l);
}

/* ---- collector ---- */

static struct ctgc *collector(const struct loaded *l)
{
	struct ctgc_config c = { .prog_fd = loaded_prog(l, "loom_ct_gc")->fd,
				 .state_fd = loaded_map_fd(l, "loom_state"),
				 .capacity = 4096,
				 .new_capacity = 1024,
				 .interval_ms = 10000 };
	struct ctgc *g;

	assert_int_equal(ctgc_new(&c, &g), 0);
	return g;
}

static void the_collector_takes_idle_flows_only(void **state)
{
	struct image_config image = fixture_image();
	struct loaded *l;
	struct ctgc *g;
	struct err e = {};
	char dir[128];
	uint32_t now;
	int fd;

	l = fixture_load(fixture_dir("gc", dir), &image, false);
	fd = loaded_map_fd(l, "loom_ct");
	g = collector(l);
	now = clock_ns() >> LOOM_TICK_SHIFT;
	add_flow(fd, 1, now);
	add_flow(fd, 2, now - 1000);
	if (ctgc_run(g, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(has_flow(fd, 1));
	assert_false(has_flow(fd, 2));
	assert_int_equal(ctgc_stats(g)->entries, 1);
	assert_int_equal(ctgc_stats(g)->removed, 1);
	assert_int_equal(ctgc_stats(g)->next_ms, 40000);
	ctgc_free(g);
	loaded_free(l);
}

static void an_address_that_is_gone_is_forgotten(void **state)
{
	struct image_config image = fixture_image();
	uint32_t now = clock_ns() >> LOOM_TICK_SHIFT;
	union loom_addr gone, other;
	struct loaded *l;
	struct ctgc *g;
	char dir[128];
	int fd;

	l = fixture_load(fixture_dir("forget", dir), &image, false);
	fd = loaded_map_fd(l, "loom_ct");
	g = collector(l);
	addr_from_v4(0x0a010206, &gone);
	addr_from_v4(0x0a010207, &other);
	add_flow(fd, 1, now);
	add_flow(fd, 2, now);
	assert_int_equal(ctgc_forget(g, 0, &other, NULL), 0);
	assert_int_equal(ctgc_forget(g, 0, &gone, NULL), 2);
	assert_int_equal(map_count(fd), 0);
	ctgc_free(g);
	loaded_free(l);
}

static void the_collector_runs_as_often_as_it_must(void **state)
{
	static const struct {
		uint32_t capacity, entries, removed, want_ms;
	} cases[] = {
		{ 100000, 0, 0, 40000 },       { 100000, 999, 0, 40000 },
		{ 100000, 1000, 0, 10000 },    { 100000, 79999, 0, 10000 },
		{ 100000, 80000, 0, 2500 },    { 100000, 95000, 0, 1000 },
		{ 100000, 5000, 60000, 2500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			ctgc_delay_ms(10000, cases[i].capacity, cases[i].entries, cases[i].removed),
			cases[i].want_ms);
	assert_int_equal(ctgc_delay_ms(200, 100, 99, 0), 200);
}

static void flows_that_did_not_fit_raise_an_alarm_until_there_is_room(void **state)
{
	struct image_config image = fixture_image();
	struct loom_state s = { .policy_gen = 1, .route_gen = 1 };
	uint32_t zero = 0;
	struct loaded *l;
	struct ctgc *g;
	char dir[128];

	l = fixture_load(fixture_dir("alarm", dir), &image, false);
	g = collector(l);
	assert_int_equal(ctgc_run(g, NULL), 0);
	assert_false(ctgc_stats(g)->alarm);
	s.ct_full_total = 3;
	bpf_map_update_elem(loaded_map_fd(l, "loom_state"), &zero, &s, BPF_ANY);
	assert_int_equal(ctgc_run(g, NULL), 0);
	assert_true(ctgc_stats(g)->alarm);
	assert_int_equal(ctgc_run(g, NULL), 0);
	assert_false(ctgc_stats(g)->alarm);
	ctgc_free(g);
	loaded_free(l);
}

/* ---- drop events ---- */

/* A packet on an interface without configuration is dropped, counted and told. */
static void send_one(const struct loaded *l, const char *prog)
{
	uint8_t frame[60] = { 2,    0,	  0,	0, 0, 1,  2,  0, 0, 0, 0,  2,
			      0x08, 0x00, 0x45, 0, 0, 46, 0,  1, 0, 0, 64, IPPROTO_UDP,
			      0,    0,	  10,	1, 1, 5,  10, 1, 1, 6 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));

	assert_int_equal(bpf_prog_test_run_opts(loaded_prog(l, prog)->fd, &opts), 0);
}

static void stop_loop(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void a_drop_reaches_the_agent_as_an_event(void **state)
{
	struct image_config image = fixture_image();
	struct event_base *base = event_base_new();
	struct timeval limit = { .tv_sec = 60 };
	struct event *give_up = evtimer_new(base, stop_loop, base);
	struct json_object *first;
	struct loaded *l;
	struct drops *d;
	struct err e = {};
	char dir[128];

	l = fixture_load(fixture_dir("drops", dir), &image, false);
	assert_int_equal(drops_new(base, loaded_map_fd(l, "loom_events"),
				   loaded_map_fd(l, "loom_evlimit"), &d, &e),
			 0);
	send_one(l, "loom_from_pod");
	event_add(give_up, &limit);
	while (drops_next_seq(d) == 1 && event_pending(give_up, EV_TIMEOUT, NULL))
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(drops_next_seq(d), 2);
	_json_ *all = drops_json(d, 0, 10, NULL);
	_json_ *later = drops_json(d, 2, 10, NULL);

	first = json_object_array_get_idx(json_field(all, "events"), 0);
	assert_string_equal(json_object_get_string(json_field(first, "reason")), "no_endpoint");
	assert_string_equal(json_object_get_string(json_field(first, "hook")), "from_pod");
	assert_int_equal(json_object_array_length(json_field(later, "events")), 0);
	assert_int_equal(json_object_get_int(json_field(later, "next")), 2);
	drops_free(d);
	loaded_free(l);
	event_free(give_up);
	event_base_free(base);
}

/* ---- endpoint numbers, pins ---- */

static void link_pins_survive_any_interface_name(void **state)
{
	static const char *const names[] = { "eth0",  "eth0.100", "a%b.c",
					     "x-y-z", "%25",	  "123456789012345" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char pin[LINK_PIN_STRLEN], prog[32], ifname[IFNAMSIZ];

		link_pin_name("loom_from_net", names[i], pin);
		assert_null(strchr(pin, '.'));
		assert_int_equal(link_pin_parse(pin, prog, ifname), 0);
		assert_string_equal(prog, "loom_from_net");
		assert_string_equal(ifname, names[i]);
	}
	assert_int_equal(link_pin_parse("loom_from_net", (char[32]){}, (char[IFNAMSIZ]){}),
			 -EINVAL);
	assert_int_equal(link_pin_parse("a-%2", (char[32]){}, (char[IFNAMSIZ]){}), -EINVAL);
	assert_int_equal(link_pin_parse("a-0123456789abcdef", (char[32]){}, (char[IFNAMSIZ]){}),
			 -EINVAL);
}

static void a_bpffs_is_not_mounted_over_files(void **state)
{
	struct err e = {};

	assert_int_equal(pins_prepare("/etc/netloom-test", &e), -EINVAL);
	assert_non_null(strstr(e.msg, "'/etc' is not empty"));
}

static void an_object_of_another_version_is_refused(void **state)
{
	static const char junk[] = "not an ELF file";
	struct image_config image = { .objects = { { "junk", junk, sizeof(junk) } },
				      .n_objects = 1 };
	struct loaded *l = NULL;
	struct err e = {};
	char dir[128];

	assert_true(loader_run(fixture_dir("junk", dir), &image, false, &l, &e) < 0);
	assert_null(l);
	assert_non_null(strstr(e.msg, "BPF object"));
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(a_restart_changes_nothing),
		cmocka_unit_test(a_missing_pin_makes_all_load_anew),
		cmocka_unit_test(a_new_configuration_replaces_programs_in_place),
		cmocka_unit_test(the_same_holds_with_clsact_filters),
		cmocka_unit_test(a_device_that_came_back_gets_its_programs_again),
		cmocka_unit_test(pods_have_filters_where_others_have_links),
		cmocka_unit_test(attaching_to_no_device_says_so),
		cmocka_unit_test(a_map_of_another_size_keeps_its_entries),
		cmocka_unit_test(a_map_of_other_fields_starts_empty),
		cmocka_unit_test(the_second_copy_leaves_what_is_newer),
		cmocka_unit_test(a_swap_cut_short_is_finished_at_the_next_start),
		cmocka_unit_test(the_collector_takes_idle_flows_only),
		cmocka_unit_test(an_address_that_is_gone_is_forgotten),
		cmocka_unit_test(the_collector_runs_as_often_as_it_must),
		cmocka_unit_test(flows_that_did_not_fit_raise_an_alarm_until_there_is_room),
		cmocka_unit_test(a_drop_reaches_the_agent_as_an_event),
		cmocka_unit_test(verdicts_of_policy_are_told_with_what_was_known_then),
		cmocka_unit_test(endpoint_numbers_are_given_lowest_first),
		cmocka_unit_test(denials_of_endpoints_that_are_gone_go),
		cmocka_unit_test(link_pins_survive_any_interface_name),
		cmocka_unit_test(a_bpffs_is_not_mounted_over_files),
		cmocka_unit_test(an_object_of_another_version_is_refused),
		cmocka_unit_test(reserved_fields_take_the_place_of_any),
		cmocka_unit_test(a_map_with_fields_that_are_reserved_now_keeps_its_entries),
		cmocka_unit_test(objects_share_the_maps_of_the_first),
		cmocka_unit_test(an_object_that_is_not_wanted_any_more_leaves_no_pin),
		cmocka_unit_test(an_object_that_the_kernel_refuses_is_left_out),
		cmocka_unit_test(a_shared_map_of_another_size_is_one_map_again),
		cmocka_unit_test(socket_programs_are_attached_once_and_replaced_in_place),
		cmocka_unit_test(what_is_no_control_group_is_refused_by_name),
		cmocka_unit_test(the_xdp_program_is_attached_once_and_replaced_in_place),
		cmocka_unit_test(an_uplink_that_goes_and_another_one_get_the_xdp_program_anew),
		cmocka_unit_test(an_xdp_program_of_somebody_else_is_named_and_left_alone),
		cmocka_unit_test(
			a_driver_without_xdp_and_a_kernel_that_refused_the_program_are_told),
		cmocka_unit_test(keys_of_items_are_readable),
		cmocka_unit_test(items_are_written_read_back_and_removed),
		cmocka_unit_test(numbers_of_services_addresses_are_not_the_nodes),
		cmocka_unit_test(another_masquerade_address_ends_the_flows_of_the_old_one),
		cmocka_unit_test(a_full_map_says_which_entry_found_no_room),
		cmocka_unit_test(an_index_outside_of_an_array_is_refused_by_name),
		cmocka_unit_test(the_state_keeps_its_generations),
		cmocka_unit_test(a_pods_attachment_waits_for_its_link_and_entry),
	};

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tests[i].teardown_func = fixture_forget;
	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
