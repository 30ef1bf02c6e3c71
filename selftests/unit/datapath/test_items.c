// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/datapath/datapath.h"
#include "agent/modules/datapath/denied.h"
#include "agent/modules/datapath/epnum.h"
#include "lib/bpf/walk.h"
#include "lib/json/json.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

struct ctx {
	struct loaded *l;
	struct map_items items[N_KINDS];
	int redirected;
	union loom_addr moved;
};

static void note_masq(void *arg, const union loom_addr *old)
{
	((struct ctx *)arg)->moved = *old;
}

static void count_redirect(void *arg)
{
	((struct ctx *)arg)->redirected++;
}

static void open_ctx(struct ctx *c, const char *name)
{
	struct image_config image = fixture_image();
	char dir[128];

	*c = (struct ctx){ .l = fixture_load(fixture_dir(name, dir), &image, false) };
	for (int i = 0; i < N_KINDS; i++) {
		const struct loaded_map *m = loaded_map(c->l, map_kinds[i].map);

		assert_non_null(m);
		c->items[i] = (struct map_items){ &map_kinds[i],  m->fd,     m->max_entries,
						  count_redirect, note_masq, c };
	}
}

static void dump(struct ctx *c, int kind, struct seen_list *ret)
{
	struct err e = {};

	ret->n = 0;
	assert_int_equal(
		map_kinds[kind].descriptor.dump(&c->items[kind], (struct dump_list *)ret, &e), 0);
}

static int create(struct ctx *c, int kind, const char *key, void *value, struct err *e)
{
	const struct descriptor *d = &map_kinds[kind].descriptor;

	return d->create(&c->items[kind], strchr(key, '/') + 1, value, e);
}

/* Everything goes in by the functions that other modules call. */
static void put_one_of_each(struct seen_list *txn)
{
	struct txn *t = (struct txn *)txn;
	struct loom_ifcfg cfg = { .role = LOOM_IF_POD, .ep = 3, .mtu = 1450 };
	struct loom_ep ep = { .ifindex = 1000, .ep = 3, .mac = { 2, 0, 0, 0, 0, 1 } };
	struct loom_remote remote = { .node = 2, .flags = LOOM_REMOTE_NODE };
	struct loom_node node = { .flags = LOOM_NODE_PRESENT };
	struct loom_state state = { .node_id = 1, .uplink_mtu = 1500 };
	union loom_addr ip;
	struct prefix p;

	assert_int_equal(addr_parse("10.1.1.5", &ip, NULL), 0);
	assert_int_equal(prefix_parse("10.1.2.0/24", &p, NULL), 0);
	node.underlay = ip;
	datapath_put_state(t, &state);
	datapath_put_node(t, 2, &node);
	datapath_put_ip(t, 0, &ip, &remote);
	datapath_put_cidr(t, 0, &p, &remote);
	datapath_put_ifcfg(t, 1000, &cfg);
	datapath_put_ep(t, 0, &ip, &ep);
	datapath_put_vip(t, LOOM_VIP_NODE_FIRST, &ip);
}

void keys_of_items_are_readable(void **state)
{
	static const char *const keys[] = { "bpf-state/node",	 "bpf-node/2",
					    "bpf-ip/0:10.1.1.5", "bpf-cidr/0:10.1.2.0/24",
					    "bpf-ifcfg/1000",	 "bpf-ep/0:10.1.1.5",
					    "bpf-vip/16" };
	static const char *const facts[] = {
		"\"uplinkMTU\":1500",	   "\"underlay\":\"10.1.1.5\"",
		"\"flags\":[\"node\"]",	   "10.1.2.0",
		"\"role\":\"pod\"",	   "\"mac\":\"02:00:00:00:00:01\"",
		"\"address\":\"10.1.1.5\""
	};
	struct seen_list txn = {};

	put_one_of_each(&txn);
	assert_int_equal(txn.n, ARRAY_SIZE(keys));
	for (size_t i = 0; i < txn.n; i++) {
		const struct descriptor *d = &map_kinds[i].descriptor;
		_json_ *j = d->describe("", txn.items[i].value);

		assert_string_equal(txn.items[i].name, keys[i]);
		assert_non_null(j);
		assert_non_null(strstr(json_text(j), facts[i]));
	}
	seen_release(&txn, free);
}

void another_masquerade_address_ends_the_flows_of_the_old_one(void **state)
{
	static const struct {
		const char *masq, *ended;
	} steps[] = {
		{ "192.0.2.1", "::" }, { "192.0.2.1", "::" }, { "192.0.2.2", "192.0.2.1" },
		{ "::", "::" },	       { "192.0.2.3", "::" },
	};
	struct ctx c;

	open_ctx(&c, "masq");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct loom_state s = { .node_id = 1 };
		struct seen_list txn = {};
		struct err e = {};
		char text[ADDR_STRLEN];

		c.moved = (union loom_addr){};
		assert_int_equal(addr_parse(steps[i].masq, &s.masq4, NULL), 0);
		datapath_put_state((struct txn *)&txn, &s);
		assert_int_equal(create(&c, KIND_STATE, "bpf-state/node", txn.items[0].value, &e),
				 0);
		assert_string_equal(addr_format(&c.moved, text), steps[i].ended);
		seen_release(&txn, free);
	}
	loaded_free(c.l);
}

/* The numbers behind them are those of services, which another module keeps. */
void numbers_of_services_addresses_are_not_the_nodes(void **state)
{
	uint32_t last = LOOM_VIP_SERVICE_FIRST - 1, foreign = LOOM_VIP_SERVICE_FIRST;
	union loom_addr ip = { .b = { 1 } };
	struct seen_list there = {};
	struct ctx c;

	open_ctx(&c, "vips");
	assert_int_equal(bpf_map_update_elem(c.items[KIND_VIP].fd, &last, &ip, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(c.items[KIND_VIP].fd, &foreign, &ip, BPF_ANY), 0);
	dump(&c, KIND_VIP, &there);
	assert_int_equal(there.n, 1);
	assert_string_equal(there.items[0].name, "255");
	seen_release(&there, free);
	loaded_free(c.l);
}

void items_are_written_read_back_and_removed(void **state)
{
	struct seen_list txn = {}, there = {};
	struct ctx c;
	struct err e = {};

	open_ctx(&c, "items");
	put_one_of_each(&txn);
	for (int k = 0; k < N_KINDS; k++) {
		const struct descriptor *d = &map_kinds[k].descriptor;
		struct seen_item *want = &txn.items[k], *got;
		int before = c.redirected;

		dump(&c, k, &there);
		assert_int_equal(there.n, 0);
		assert_int_equal(create(&c, k, want->name, want->value, &e), 0);
		dump(&c, k, &there);
		assert_int_equal(there.n, 1);
		got = seen_find(&there, strchr(want->name, '/') + 1);
		assert_non_null(got);
		assert_true(d->equal(got->value, want->value));
		((struct map_item *)got->value)->value[14] ^= 1;
		assert_false(d->equal(got->value, want->value));
		seen_release(&there, free);
		assert_int_equal(d->delete (&c.items[k], "", want->value, &e), 0);
		assert_int_equal(d->delete (&c.items[k], "", want->value, &e), 0);
		dump(&c, k, &there);
		assert_int_equal(there.n, 0);
		if (map_kinds[k].flags & MAP_KIND_REDIRECTS)
			assert_true(c.redirected > before);
	}
	seen_release(&txn, free);
	loaded_free(c.l);
}

void a_full_map_says_which_entry_found_no_room(void **state)
{
	struct seen_list txn = {};
	struct loom_ep ep = { .ifindex = 1000 };
	union loom_addr ip;
	struct ctx c;
	int err = 0;

	open_ctx(&c, "full");
	for (uint32_t i = 0; i < 32 && !err; i++) {
		struct err e = {};

		addr_from_v4(0x0a010100 + i, &ip);
		datapath_put_ep((struct txn *)&txn, 0, &ip, &ep);
		err = create(&c, KIND_EP, txn.items[i].name, txn.items[i].value, &e);
		if (err < 0)
			assert_string_equal(e.msg,
					    "loom_ep is full (4 entries): no room for 0:10.1.1.4");
	}
	assert_int_equal(err, -E2BIG);
	seen_release(&txn, free);
	loaded_free(c.l);
}

void an_index_outside_of_an_array_is_refused_by_name(void **state)
{
	struct seen_list txn = {};
	struct loom_ifcfg cfg = { .role = LOOM_IF_POD };
	struct err e = {};
	struct ctx c;

	open_ctx(&c, "index");
	datapath_put_ifcfg((struct txn *)&txn, 70000, &cfg);
	assert_true(create(&c, KIND_IFCFG, txn.items[0].name, txn.items[0].value, &e) < 0);
	assert_string_equal(e.msg,
			    "loom_ifcfg: entry 70000 is outside of the map, which has 65536");
	seen_release(&txn, free);
	loaded_free(c.l);
}

void the_state_keeps_its_generations(void **state)
{
	struct seen_list txn = {};
	struct loom_state now, wanted = { .policy_gen = 77, .node_id = 5 };
	struct err e = {};
	uint32_t zero = 0;
	struct ctx c;

	open_ctx(&c, "state");
	now = (struct loom_state){ .policy_gen = 3, .route_gen = 9, .ct_full_total = 2 };
	assert_int_equal(bpf_map_update_elem(c.items[KIND_STATE].fd, &zero, &now, BPF_ANY), 0);
	datapath_put_state((struct txn *)&txn, &wanted);
	assert_int_equal(create(&c, KIND_STATE, txn.items[0].name, txn.items[0].value, &e), 0);
	assert_int_equal(bpf_map_lookup_elem(c.items[KIND_STATE].fd, &zero, &now), 0);
	assert_int_equal(now.node_id, 5);
	assert_int_equal(now.policy_gen, 3);
	assert_int_equal(now.route_gen, 9);
	assert_int_equal(now.ct_full_total, 2);
	seen_release(&txn, free);
	loaded_free(c.l);
}

void a_pods_attachment_waits_for_its_link_and_entry(void **state)
{
	struct seen_list txn = {}, deps = {};

	datapath_put_attach((struct txn *)&txn, DATAPATH_POD, "nl01", 1000, "pod-link/nl01");
	assert_string_equal(txn.items[0].name, "bpf-attach/pod-nl01");
	attach_descriptor.depends(NULL, "", txn.items[0].value, (struct dep_list *)&deps);
	assert_int_equal(deps.n, 2);
	assert_non_null(seen_find(&deps, "pod-link/nl01"));
	assert_non_null(seen_find(&deps, "bpf-ifcfg/1000"));
	seen_release(&txn, attach_descriptor.free);
}

void endpoint_numbers_are_given_lowest_first(void **state)
{
	struct epnum n;

	epnum_init(&n);
	assert_int_equal(epnum_alloc(&n), 1);
	epnum_reserve(&n, 2);
	assert_int_equal(epnum_alloc(&n), 3);
	epnum_release(&n, 1);
	assert_int_equal(epnum_alloc(&n), 1);
	while (epnum_alloc(&n))
		;
	assert_int_equal(epnum_count(&n), LOOM_MAX_EPS - 1);
	epnum_release(&n, 0);
	epnum_release(&n, LOOM_MAX_EPS);
	assert_int_equal(epnum_alloc(&n), 0);
}

void denials_of_endpoints_that_are_gone_go(void **state)
{
	_cleanup_(closep) int fd =
		bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "loom_denied", sizeof(struct loom_deniedkey),
			       sizeof(struct loom_denied), LOOM_MAX_DENIED, NULL);
	struct loom_denied d = { .packets = 3 }, found;
	struct loom_deniedkey k = { .proto = IPPROTO_TCP };
	struct epnum n;

	assert_true(fd >= 0);
	epnum_init(&n);
	assert_int_equal(denied_sweep(fd, &n), 0);
	for (int i = 0; i < 3000; i++) {
		k.ep = 1 + i % 3;
		k.port = htons(i);
		assert_int_equal(bpf_map_update_elem(fd, &k, &d, BPF_ANY), 0);
	}
	epnum_reserve(&n, 2);
	assert_int_equal(denied_sweep(fd, &n), 2000);
	assert_int_equal(map_count(fd), 1000);
	k.ep = 2;
	k.port = htons(1);
	assert_int_equal(bpf_map_lookup_elem(fd, &k, &found), 0);
	assert_int_equal(found.packets, 3);
	epnum_release(&n, 2);
	assert_int_equal(denied_sweep(fd, &n), 1000);
	assert_int_equal(map_count(fd), 0);
	assert_true(denied_sweep(-1, &n) < 0);
}
