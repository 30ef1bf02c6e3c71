// SPDX-License-Identifier: Apache-2.0
/* What the table lets be written: each test plays source, etcd and writer by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ksr/table.h"

#define A     "/netloom/k8s/pod/n/a"
#define B     "/netloom/k8s/pod/n/b"
#define V(rv) "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"" rv "\"}}"
#define W(rv) "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"" rv "\",\"labels\":{}}}"

static struct table *t;

static int setup(void **state)
{
	return table_new(&t);
}

static int teardown(void **state)
{
	table_free(t);
	return 0;
}

/* One list of the keys in `keys`, all with the value V("1"). */
static void list_of(const char *const *keys)
{
	table_list(t, KIND_POD);
	for (; *keys; keys++)
		assert_int_equal(table_put(t, KIND_POD, *keys, V("1")), 0);
	assert_int_equal(table_listed(t, KIND_POD, "7", false), 0);
}
#define LIST_OF(...) list_of((const char *const[]){ __VA_ARGS__, NULL })

static struct table_entry *take(void)
{
	struct table_entry *en = NULL;

	return table_take(t, &en, 1, 1 << 20) ? en : NULL;
}

static void expect_put(const char *key, const char *value, int64_t revision)
{
	struct table_entry *en = take();

	assert_non_null(en);
	assert_string_equal(table_entry_key(en), key);
	assert_string_equal(table_entry_value(en), value);
	table_written(t, en, revision);
}

static void expect_delete(const char *key, int64_t revision)
{
	struct table_entry *en = take();

	assert_non_null(en);
	assert_string_equal(table_entry_key(en), key);
	assert_null(table_entry_value(en));
	table_written(t, en, revision);
}

static void expect_nothing(void)
{
	assert_null(take());
	assert_int_equal(table_pending(t, KIND_POD), 0);
}

static void new_objects_are_written_once(void **state)
{
	LIST_OF(A, B);
	assert_int_equal(table_pending(t, KIND_POD), 2);
	assert_false(table_in_step(t, KIND_POD));
	expect_put(A, V("1"), 5);
	expect_put(B, V("1"), 6);
	expect_nothing();
	assert_true(table_in_step(t, KIND_POD));
	assert_int_equal(table_count(t, KIND_POD), 2);
	assert_string_equal(table_revision(t, KIND_POD), "7");
}

static void equal_values_are_not_written_whoever_speaks_first(void **state)
{
	table_etcd(t, A, V("90"), 3);
	LIST_OF(A, B);
	table_etcd(t, B, V("91"), 4);
	expect_nothing();
	assert_int_equal(table_put(t, KIND_POD, A, V("2")), 0);
	expect_nothing();
	assert_int_equal(table_put(t, KIND_POD, A, W("2")), 0);
	expect_put(A, W("2"), 5);
	expect_nothing();
}

static void nothing_goes_before_the_first_list_is_whole(void **state)
{
	table_etcd(t, A, V("1"), 3);
	table_etcd(t, B, V("1"), 4);
	table_list(t, KIND_POD);
	assert_int_equal(table_put(t, KIND_POD, A, V("1")), 0);
	expect_nothing();
	assert_int_equal(table_listed(t, KIND_POD, "7", false), 0);
	expect_delete(B, 5);
	expect_nothing();
}

static void a_list_sweeps_what_it_does_not_name(void **state)
{
	LIST_OF(A, B);
	expect_put(A, V("1"), 5);
	expect_put(B, V("1"), 6);
	LIST_OF(B);
	expect_delete(A, 7);
	expect_nothing();
	assert_int_equal(table_count(t, KIND_POD), 1);
}

static void a_list_that_broke_off_sweeps_nothing(void **state)
{
	LIST_OF(A, B);
	expect_put(A, V("1"), 5);
	expect_put(B, V("1"), 6);
	table_list(t, KIND_POD);
	assert_int_equal(table_put(t, KIND_POD, A, V("1")), 0);
	LIST_OF(A, B);
	expect_nothing();
}

static void what_cannot_be_read_stays(void **state)
{
	LIST_OF(A);
	expect_put(A, V("1"), 5);
	table_etcd(t, B, V("1"), 4);
	table_list(t, KIND_POD);
	table_hold(t, KIND_POD, A);
	table_hold(t, KIND_POD, B);
	assert_int_equal(table_listed(t, KIND_POD, "8", false), 0);
	expect_nothing();
	LIST_OF(B);
	expect_delete(A, 6);
	expect_nothing();
}

static void a_partial_list_leaves_what_it_never_knew(void **state)
{
	table_etcd(t, A, V("1"), 3);
	table_list(t, KIND_POD);
	assert_int_equal(table_put(t, KIND_POD, B, V("1")), 0);
	assert_int_equal(table_listed(t, KIND_POD, "1", true), 0);
	expect_put(B, V("1"), 4);
	expect_nothing();
	/* What it did know may go. */
	table_list(t, KIND_POD);
	assert_int_equal(table_listed(t, KIND_POD, "2", true), 0);
	expect_delete(B, 5);
	expect_nothing();
	table_list(t, KIND_POD);
	assert_int_equal(table_listed(t, KIND_POD, "3", false), 0);
	expect_delete(A, 6);
}

static void lost_data_are_written_again(void **state)
{
	LIST_OF(A);
	expect_put(A, V("1"), 500);
	table_etcd_begin(t);
	table_etcd(t, B, V("1"), 2);
	table_etcd_end(t);
	assert_int_equal(table_pending(t, KIND_POD), 2);
	expect_delete(B, 3);
	expect_put(A, V("1"), 4);
	expect_nothing();
}

static void what_others_change_is_put_right(void **state)
{
	LIST_OF(A);
	expect_put(A, V("1"), 5);
	table_etcd(t, A, NULL, 6);
	expect_put(A, V("1"), 7);
	table_etcd(t, A, "{}", 8);
	expect_put(A, V("1"), 9);
	table_etcd(t, B, V("1"), 10);
	expect_delete(B, 11);
	expect_nothing();
}

static void late_news_change_nothing(void **state)
{
	LIST_OF(A);
	expect_put(A, V("1"), 5);
	assert_int_equal(table_put(t, KIND_POD, A, W("2")), 0);
	expect_put(A, W("2"), 6);
	table_etcd(t, A, V("1"), 5);
	expect_nothing();
	table_etcd(t, A, W("2"), 6);
	expect_nothing();
}

static void a_change_during_a_write_is_written_after_it(void **state)
{
	struct table_entry *en;

	LIST_OF(A);
	en = take();
	assert_int_equal(table_put(t, KIND_POD, A, W("2")), 0);
	assert_null(take());
	table_written(t, en, 5);
	expect_put(A, W("2"), 6);
	en = NULL;
	table_del(t, A);
	en = take();
	assert_null(table_entry_value(en));
	assert_int_equal(table_put(t, KIND_POD, A, V("3")), 0);
	table_written(t, en, 7);
	expect_put(A, V("3"), 8);
	expect_nothing();
}

static void a_failed_write_is_taken_again_unless_etcd_has_it(void **state)
{
	struct table_entry *en;

	LIST_OF(A);
	en = take();
	table_failed(t, en, false);
	en = take();
	assert_non_null(en);
	/* It timed out, and happened. */
	table_etcd(t, A, V("1"), 5);
	table_failed(t, en, false);
	expect_nothing();
}

static void a_refused_value_waits_for_another(void **state)
{
	LIST_OF(A);
	table_failed(t, take(), true);
	expect_nothing();
	assert_true(table_in_step(t, KIND_POD));
	LIST_OF(A);
	expect_nothing();
	assert_int_equal(table_put(t, KIND_POD, A, W("2")), 0);
	expect_put(A, W("2"), 5);
}

static void keys_of_nobody_are_left_alone(void **state)
{
	table_etcd(t, "/netloom/k8s/customnetwork/x", "{}", 3);
	table_etcd(t, "/netloom/k8s/podx/y", "{}", 4);
	LIST_OF(A);
	expect_put(A, V("1"), 5);
	expect_nothing();
}

static void batches_have_bounds(void **state)
{
	struct table_entry *all[8];
	char key[64];

	table_list(t, KIND_POD);
	for (int i = 0; i < 8; i++) {
		snprintf(key, sizeof(key), "/netloom/k8s/pod/n/p%d", i);
		assert_int_equal(table_put(t, KIND_POD, key, V("1")), 0);
	}
	assert_int_equal(table_take(t, all, 3, 1 << 20), 3);
	for (int i = 0; i < 3; i++)
		table_failed(t, all[i], false);
	assert_int_equal(table_take(t, all, 8, 1), 1);
	table_failed(t, all[0], false);
	assert_int_equal(table_pending(t, KIND_POD), 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void what_the_source_has_is_known_whether_it_can_be_read_or_not(void **state)
{
	const char *value = "untouched";

	assert_false(table_has(t, A, &value));
	assert_string_equal(value, "untouched");
	table_etcd(t, B, V("1"), 3);
	LIST_OF(A);
	assert_true(table_has(t, A, &value));
	assert_string_equal(value, V("1"));
	assert_false(table_has(t, B, NULL)); /* etcd's alone */
	assert_int_equal(table_hold(t, KIND_POD, A), 0);
	assert_true(table_has(t, A, &value));
	assert_null(value);
	table_del(t, A);
	assert_false(table_has(t, A, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(new_objects_are_written_once),
		TEST(equal_values_are_not_written_whoever_speaks_first),
		TEST(nothing_goes_before_the_first_list_is_whole),
		TEST(what_the_source_has_is_known_whether_it_can_be_read_or_not),
		TEST(a_list_sweeps_what_it_does_not_name),
		TEST(a_list_that_broke_off_sweeps_nothing),
		TEST(what_cannot_be_read_stays),
		TEST(a_partial_list_leaves_what_it_never_knew),
		TEST(lost_data_are_written_again),
		TEST(what_others_change_is_put_right),
		TEST(late_news_change_nothing),
		TEST(a_change_during_a_write_is_written_after_it),
		TEST(a_failed_write_is_taken_again_unless_etcd_has_it),
		TEST(a_refused_value_waits_for_another),
		TEST(keys_of_nobody_are_left_alone),
		TEST(batches_have_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
