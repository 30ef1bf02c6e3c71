// SPDX-License-Identifier: Apache-2.0
/* What is kept of events, besides what comes through the kernel's ring (test_datapath.c). */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/datapath/drops.h"
#include "lib/json/json.h"
#include "selftests/unit/datapath/fixture.h"
#include "selftests/unit/datapath/tests.h"

static struct json_object *tell(const struct loom_event *ev, void *arg)
{
	struct json_object *o = json_object_new_object();

	++*(int *)arg;
	json_add_str(o, "pod", "x/b");
	json_add_str(o, "why", ev->ingress ? "so" : "not so");
	return o;
}

static const char *name_ep(void *arg, uint32_t ep)
{
	return ep == 7 ? "x/somebody-else-by-now" : NULL;
}

static const char *text(struct json_object *list, size_t i, const char *field)
{
	struct json_object *ev = json_object_array_get_idx(list, i);

	return json_object_get_string(json_field(ev, field));
}

void verdicts_of_policy_are_told_with_what_was_known_then(void **state)
{
	const struct table_names names = { .ep = name_ep };
	struct loom_event ev = { .reason = LOOM_DROP_POLICY,
				 .judged = 7,
				 .ingress = 1,
				 .peer.w = { 0, 0, LOOM_V4_MARK, htonl(0x0a010005) },
				 .port = htons(8080),
				 .flow_proto = 6 };
	struct image_config image = fixture_image();
	struct json_object *list;
	struct loaded *l;
	struct drops *d;
	struct err e = {};
	char dir[128];
	int asked = 0;

	l = fixture_load(fixture_dir("verdicts", dir), &image, false);
	assert_int_equal(drops_new(NULL, loaded_map_fd(l, "loom_events"), -1, &d, &e), 0);
	drops_take(d, &ev);
	drops_on_verdict(d, tell, &asked);
	drops_take(d, &ev);
	/* An event that is no verdict's is nobody's business. */
	drops_take(d, &(struct loom_event){ .reason = LOOM_DROP_TTL });
	assert_int_equal(asked, 1);
	drops_on_verdict(d, NULL, NULL);
	{
		_json_ *all = drops_json(d, 0, 10, &names);

		list = json_field(all, "events");
		assert_string_equal(text(list, 0, "pod"), "x/somebody-else-by-now");
		assert_null(text(list, 0, "why"));
		assert_string_equal(text(list, 1, "pod"), "x/b");
		assert_string_equal(text(list, 1, "why"), "so");
		assert_string_equal(text(list, 1, "direction"), "ingress");
		assert_string_equal(text(list, 1, "peer"), "10.1.0.5");
		assert_string_equal(text(list, 1, "port"), "8080");
		assert_string_equal(text(list, 1, "flowProto"), "tcp");
		assert_null(text(list, 2, "direction"));
		assert_int_equal(json_object_array_length(list), 3);
	}
	/* Events that are kept no longer leave nothing behind, and a flood is not asked about. */
	drops_on_verdict(d, tell, &asked);
	for (int i = 0; i < 2 * DROPS_KEPT; i++)
		drops_take(d, &ev);
	assert_in_range(asked, DROPS_TOLD_PER_S, DROPS_KEPT);
	drops_free(d);
	loaded_free(l);
}
