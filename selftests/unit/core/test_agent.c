// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "lib/base/log.h"
#include "selftests/unit/core/fake_modules.h"

/* ---- events ---- */

static void handlers_run_by_need_and_backwards_for_deletions(void **state)
{
	struct fixture f;

	fixture_open(&f, true);
	open_queue(&f);
	push(&f, new_event(&changing));
	assert_string_equal(world.log, "m1:update m2:update m3:update done");
	world.log[0] = 0;
	push(&f, new_event(&deleting));
	assert_string_equal(world.log, "m3:update m2:update m1:update done");
	fixture_close(&f);
}

static void follow_ups_go_before_what_waits(void **state)
{
	struct test_event *first, *second, *follow_up;
	struct fixture f;

	fixture_open(&f, true);
	open_queue(&f);
	first = new_event(&changing);
	first->items = "first";
	second = new_event(&changing);
	second->items = "second";
	follow_up = new_event(&changing);
	follow_up->items = "follow-up";
	world.follow_up = &follow_up->ev;
	event_push(f.a, &first->ev);
	event_push(f.a, &second->ev);
	assert_int_equal(event_queue_len(f.a), 2);
	turn_until(&f, "+second");
	assert_true(strstr(world.log, "+first") < strstr(world.log, "+follow-up"));
	assert_true(strstr(world.log, "+follow-up") < strstr(world.log, "+second"));
	assert_int_equal(event_queue_len(f.a), 0);
	fixture_close(&f);
}

static void events_wait_for_the_first_one_that_opens(void **state)
{
	struct test_event *early = new_event(&changing);
	struct fixture f;

	fixture_open(&f, true);
	early->items = "early";
	event_push(f.a, &early->ev);
	event_push_resync(f.a, EVENT_UPSTREAM_RESYNC, "early as well");
	event_base_loop(agent_base(f.a), EVLOOP_NONBLOCK);
	assert_string_equal(world.log, "");
	event_push(f.a, &new_event(&opening)->ev);
	world.resync_puts = "state";
	turn_until(&f, "+early");
	/* The resync that came early runs too, last: it wants "state" alone. */
	turn_until(&f, "-early");
	assert_string_equal(world.log, "m2:resync +state done m1:update m2:update m3:update +early "
				       "done m2:resync -early");
	fixture_close(&f);
}

static void a_resync_that_waits_does_for_all_who_ask(void **state)
{
	struct fixture f;
	uint64_t seq;

	fixture_open(&f, true);
	open_queue(&f);
	seq = event_push_resync(f.a, EVENT_UPSTREAM_RESYNC, "one");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(event_push_resync(f.a, EVENT_UPSTREAM_RESYNC, "another"), seq);
	assert_int_equal(event_queue_len(f.a), 1);
	assert_int_equal(event_push_resync(f.a, EVENT_DOWNSTREAM_RESYNC, "look"), seq + 1);
	turn_until(&f, "m2:resync");
	assert_int_equal(event_push_resync(f.a, EVENT_UPSTREAM_RESYNC, "later"), seq + 2);
	fixture_close(&f);
}

/* ---- what fails ---- */

static void a_failing_handler_undoes_those_before_it(void **state)
{
	struct test_event *t = new_event(&adding);
	char msg[256] = "";
	struct fixture f;
	int err = 0;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail = "m3:update";
	t->items = "one";
	t->ret_err = &err;
	t->ret_msg = msg;
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update m2:revert m1:revert done");
	assert_int_equal(err, -EIO);
	assert_string_equal(msg, "m3: told to fail");
	fixture_close(&f);
}

static void a_failing_item_undoes_all(void **state)
{
	struct test_event *t = new_event(&adding);
	char msg[256] = "";
	struct fixture f;
	int err = 0;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail_item = "two";
	t->items = "one two";
	t->ret_err = &err;
	t->ret_msg = msg;
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update +one +two -one m3:revert "
				       "m2:revert m1:revert done");
	assert_int_equal(err, -EIO);
	assert_string_equal(msg, "item/two: told to fail");
	fixture_close(&f);
}

static void a_failure_that_stays_is_healed_by_a_resync(void **state)
{
	struct test_event *t = new_event(&changing);
	struct fixture f;
	int err = -1;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail = "m2:update";
	t->items = "one";
	t->ret_err = &err;
	world.resync_puts = "one two";
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update +one done");
	assert_int_equal(err, 0);
	turn_until(&f, "m2:resync +two");
	fixture_close(&f);
}

static void a_resync_that_fails_in_part_deletes_nothing(void **state)
{
	struct test_event *t;
	struct fixture f;

	fixture_open(&f, true);
	world.resync_puts = "one two";
	open_queue(&f);
	t = new_event(&opening);
	world.fail = "m2:resync";
	push(&f, t);
	assert_string_equal(world.log, "m2:resync done");
	world.log[0] = 0;
	world.fail = NULL;
	world.resync_puts = "one";
	turn_until(&f, "-two"); /* the healing */
	fixture_close(&f);
}

/* ---- start ---- */

static void a_module_that_fails_to_start_stops_those_before_it(void **state)
{
	struct err e = {};
	struct fixture f;

	fixture_open(&f, false);
	world.fail = "m2:init";
	assert_int_equal(agent_in(&f, &e), -EIO);
	assert_string_equal(e.msg, "m2: told to fail");
	assert_string_equal(world.log, "m1:init m2:init m2:fini m1:fini");
	fixture_close(&f);
}

static void a_second_agent_on_the_same_state_is_refused(void **state)
{
	struct fixture f, second;
	struct err e = {};
	char want[256];

	fixture_open(&f, true);
	second = f;
	second.a = NULL;
	assert_int_equal(agent_in(&second, &e), -EBUSY);
	snprintf(want, sizeof(want),
		 "another netloom-agent (process %d) runs with paths.state '%s/a/state'", getpid(),
		 f.dir);
	assert_string_equal(e.msg, want);
	fixture_close(&f);
}

static const struct module a = { .name = "a" }, b = { .name = "b", .needs = NEEDS("a") },
			   c = { .name = "c", .needs = NEEDS("b", "a") },
			   lost = { .name = "lost", .needs = NEEDS("a", "nowhere") },
			   x = { .name = "x", .needs = NEEDS("y") },
			   y = { .name = "y", .needs = NEEDS("x") },
			   self = { .name = "self", .needs = NEEDS("self") };

static void modules_are_sorted_or_refused(void **state)
{
	static const struct {
		const struct module *list[5];
		const char *order, *error;
	} sorts[] = {
		{ { &a, &b, &c }, "abc", NULL },
		{ { &c, &b, &a }, "abc", NULL },
		{ { &b, &c, &a }, "abc", NULL },
		{ { NULL }, "", NULL },
		{ { &a, &lost }, NULL, "module 'lost' needs 'nowhere', which there is not" },
		{ { &a, &x, &y }, NULL, "modules need each other: 'x' needs 'y' needs 'x'" },
		{ { &self }, NULL, "modules need each other: 'self' needs 'self'" },
		{ { &a, &b, &a }, NULL, "module 'a' is there twice" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++) {
		const struct module *ret[5];
		char order[8] = "";
		struct err e = {};
		int err = modules_sort(sorts[i].list, ret, &e);

		if (sorts[i].error) {
			assert_int_equal(err, -EINVAL);
			assert_string_equal(e.msg, sorts[i].error);
			continue;
		}
		assert_int_equal(err, 0);
		for (size_t n = 0; ret[n]; n++)
			order[n] = ret[n]->name[0];
		assert_string_equal(order, sorts[i].order);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_run_by_need_and_backwards_for_deletions),
		cmocka_unit_test(follow_ups_go_before_what_waits),
		cmocka_unit_test(events_wait_for_the_first_one_that_opens),
		cmocka_unit_test(a_resync_that_waits_does_for_all_who_ask),
		cmocka_unit_test(a_failing_handler_undoes_those_before_it),
		cmocka_unit_test(a_failing_item_undoes_all),
		cmocka_unit_test(a_failure_that_stays_is_healed_by_a_resync),
		cmocka_unit_test(a_resync_that_fails_in_part_deletes_nothing),
		cmocka_unit_test(a_module_that_fails_to_start_stops_those_before_it),
		cmocka_unit_test(a_second_agent_on_the_same_state_is_refused),
		cmocka_unit_test(modules_are_sorted_or_refused),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
