// SPDX-License-Identifier: Apache-2.0
/* Reading and writing on a real etcd. */
#include "selftests/unit/store/fixture.h"

#include <errno.h>

static struct etcd etcd;

static int setup(void **state)
{
	base = event_base_new();
	return etcd_start(&etcd, NULL);
}

static int teardown(void **state)
{
	etcd_stop(&etcd);
	event_base_free(base);
	return 0;
}

/* Each test has an empty etcd and a store of its own. */
static int before(void **state)
{
	*state = connect_to(etcd.url);
	del(*state, "", true);
	return 0;
}

static int after(void **state)
{
	store_free(*state);
	return 0;
}

static void what_is_put_is_read(void **state)
{
	struct store *s = *state;
	struct answer a = put(s, "/t/a", "{\"x\":1}");
	int64_t revision = a.revision;

	assert_int_equal(a.err, 0);
	assert_true(a.succeeded);
	a = get(s, "/t/a", false);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.first_key, "/t/a");
	assert_string_equal(a.first_value, "{\"x\":1}");
	assert_int_equal(a.revision, revision);
	assert_true(a.cluster_id != 0);
}

static void an_absent_key_reads_as_nothing(void **state)
{
	struct answer a = get(*state, "/t/none", false);

	assert_int_equal(a.err, 0);
	assert_int_equal(a.n, 0);
}

static void an_empty_value_is_not_a_deletion(void **state)
{
	struct answer a;

	put(*state, "/t/empty", "");
	a = get(*state, "/t/empty", false);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.first_value_len, 0);
}

static void a_prefix_reads_only_what_starts_with_it(void **state)
{
	struct store *s = *state;
	struct answer a;

	put(s, "/t/a/1", "1");
	put(s, "/t/a/2", "2");
	put(s, "/t/b", "3");
	put(s, "/t/a\xff", "4");
	a = get(s, "/t/a/", true);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.last_key, "/t/a/2");
	a = get(s, "/t/a\xff", true);
	assert_int_equal(a.n, 1);
	a = get(s, "", true);
	assert_int_equal(a.n, 4);
}

static void a_deleted_key_is_gone(void **state)
{
	struct store *s = *state;

	put(s, "/t/a/1", "1");
	put(s, "/t/a/2", "1");
	put(s, "/t/a/3", "1");
	assert_int_equal(del(s, "/t/a/2", false).err, 0);
	assert_int_equal(get(s, "/t/a/", true).n, 2);
	assert_int_equal(del(s, "/t/a/", true).err, 0);
	assert_int_equal(get(s, "/t/a/", true).n, 0);
	assert_int_equal(del(s, "/t/none", false).err, 0);
}

#define MANY 10000

static struct store_write *many_writes(size_t n, const char *prefix, const char *value)
{
	struct store_write *w = calloc(n, sizeof(*w));
	char key[64];

	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%s%05zu", prefix, i);
		w[i] = (struct store_write){ .kind = STORE_PUT, .key = strdup(key) };
		w[i].value = value;
	}
	return w;
}

static void free_writes(struct store_write *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((char *)w[i].key);
	free(w);
}

static void ten_thousand_keys_come_in_pages_of_one_revision(void **state)
{
	struct store *s = *state;
	struct store_write *w = many_writes(MANY, "/t/many/", "{\"some\":\"value\"}");
	struct answer a = txn(s, NULL, 0, w, MANY), late = {};
	int64_t revision = a.revision;

	assert_int_equal(a.err, 0);
	assert_true(a.succeeded);
	a = (struct answer){};
	assert_int_equal(store_range(s, "/t/many/", true, on_range, &a, NULL), 0);
	/* Writes go on while the pages are read. */
	assert_int_equal(store_put(s, "/t/many/99999", "late", 0, on_txn, &late, NULL), 0);
	wait_for(&a.done, 1);
	wait_for(&late.done, 1);
	assert_int_equal(a.err, 0);
	assert_true(a.sorted);
	assert_true(a.n == MANY + (a.revision > revision));
	assert_string_equal(a.first_key, "/t/many/00000");
	free_writes(w, MANY);
}

static void more_than_128_operations_are_split(void **state)
{
	struct store *s = *state;
	static const size_t sizes[] = { 127, 128, 129, 256, 300 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct store_write *w = many_writes(sizes[i], "/t/n/", "x");
		int64_t before_revision = del(s, "/t/n/", true).revision;
		struct answer a = txn(s, NULL, 0, w, sizes[i]);

		assert_int_equal(a.err, 0);
		assert_int_equal(a.revision - before_revision, (sizes[i] + 127) / 128);
		assert_int_equal(get(s, "/t/n/", true).n, sizes[i]);
		free_writes(w, sizes[i]);
	}
}

static void more_than_a_request_may_hold_is_split(void **state)
{
	struct store *s = *state;
	size_t len = 400 << 10;
	char *value = malloc(len + 1);
	struct store_write *w;
	struct answer a;
	int64_t revision = get(s, "/", true).revision;

	memset(value, 'v', len);
	value[len] = 0;
	w = many_writes(10, "/t/big/", value);
	a = txn(s, NULL, 0, w, 10);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.revision - revision, 4); /* three of 400 KiB each */
	a = get(s, "/t/big/", true);
	assert_int_equal(a.n, 10);
	assert_int_equal(a.first_value_len, len);
	free_writes(w, 10);
	free(value);
}

static void the_largest_value_fits_and_one_above_is_refused_by_name(void **state)
{
	struct store *s = *state;
	size_t len = (1536 << 10) - 2048;
	char *value = malloc(2 << 20);
	struct answer a;

	memset(value, 'v', 2 << 20);
	value[len] = 0;
	a = put(s, "/t/huge", value);
	assert_int_equal(a.err, 0);
	a = get(s, "/t/huge", false);
	assert_int_equal(a.first_value_len, len);
	value[len] = 'v';
	value[(2 << 20) - 1] = 0;
	a = put(s, "/t/above", value);
	assert_int_equal(a.err, -E2BIG);
	assert_non_null(strstr(a.error, "/t/above"));
	free(value);
}

static void every_comparison_is_made(void **state)
{
	struct store *s = *state;
	int64_t revision = put(s, "/t/k", "v").revision;
	const struct {
		struct store_cmp cmp;
		bool holds;
	} cases[] = {
		{ { STORE_CMP_ABSENT, "/t/none", NULL, 0 }, true },
		{ { STORE_CMP_ABSENT, "/t/k", NULL, 0 }, false },
		{ { STORE_CMP_EXISTS, "/t/k", NULL, 0 }, true },
		{ { STORE_CMP_EXISTS, "/t/none", NULL, 0 }, false },
		{ { STORE_CMP_MOD_REVISION, "/t/k", NULL, revision }, true },
		{ { STORE_CMP_MOD_REVISION, "/t/k", NULL, revision - 1 }, false },
		{ { STORE_CMP_VALUE, "/t/k", "v", 0 }, true },
		{ { STORE_CMP_VALUE, "/t/k", "w", 0 }, false },
		{ { STORE_CMP_LEASE, "/t/k", NULL, 0 }, true },
		{ { STORE_CMP_LEASE, "/t/k", NULL, 7 }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct store_write w = { STORE_PUT, "/t/written", "x", 0 };
		struct answer a = txn(s, &cases[i].cmp, 1, &w, 1);

		assert_int_equal(a.err, 0);
		assert_int_equal(a.succeeded, cases[i].holds);
		assert_int_equal(get(s, "/t/written", false).n, cases[i].holds);
		del(s, "/t/written", false);
	}
}

static void a_failed_comparison_shows_what_stands(void **state)
{
	struct store *s = *state;
	const struct store_cmp cmps[] = {
		{ STORE_CMP_ABSENT, "/t/none", NULL, 0 },
		{ STORE_CMP_VALUE, "/t/held", "me", 0 },
		{ STORE_CMP_EXISTS, "/t/held", NULL, 0 },
	};
	struct answer a;

	put(s, "/t/held", "somebody else");
	a = txn(s, cmps, ARRAY_SIZE(cmps), NULL, 0);
	assert_int_equal(a.err, 0);
	assert_false(a.succeeded);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.first_value, "somebody else");
}

static void a_fence_that_falls_midway_stops_the_later_parts(void **state)
{
	struct event_base *mine = base, *others = event_base_new();
	struct store *s = *state, *other;
	const struct store_cmp fence = { STORE_CMP_VALUE, "/t/leader", "me", 0 };
	struct store_write *w = many_writes(5000, "/t/f/", "x");
	struct answer a = {};
	size_t written;

	put(s, "/t/leader", "me");
	assert_int_equal(store_txn(s, &fence, 1, w, 5000, on_txn, &a, NULL), 0);
	base = others;
	other = connect_to(etcd.url);
	/* The writer stands still while the other one's loop turns. */
	do {
		event_base_loop(mine, EVLOOP_ONCE);
	} while (get(other, "/t/f/", true).n == 0);
	assert_int_equal(put(other, "/t/leader", "another").err, 0);
	written = get(other, "/t/f/", true).n;
	store_free(other);
	base = mine;
	wait_for(&a.done, 1);
	assert_int_equal(a.err, 0);
	assert_false(a.succeeded);
	assert_string_equal(a.first_value, "another");
	assert_int_equal(get(s, "/t/f/", true).n, written);
	assert_true(written < 5000 && written % 128 == 0);
	free_writes(w, 5000);
	event_base_free(others);
}

static void a_fence_that_is_written_itself_holds_for_all_parts(void **state)
{
	struct store *s = *state;
	const struct store_cmp fence = { STORE_CMP_ABSENT, "/t/f/00000", NULL, 0 };
	struct store_write *w = many_writes(300, "/t/f/", "x");
	struct answer a = txn(s, &fence, 1, w, 300);

	assert_int_equal(a.err, 0);
	assert_true(a.succeeded);
	assert_int_equal(get(s, "/t/f/", true).n, 300);
	free_writes(w, 300);
}

static void the_later_write_to_a_key_wins(void **state)
{
	struct store *s = *state;
	const struct store_write writes[] = {
		{ STORE_PUT, "/t/a", "1", 0 },	    { STORE_PUT, "/t/b", "1", 0 },
		{ STORE_PUT, "/t/a", "2", 0 },	    { STORE_DELETE, "/t/b", NULL, 0 },
		{ STORE_PUT, "/t/p/x", "1", 0 },    { STORE_DELETE_PREFIX, "/t/p/", NULL, 0 },
		{ STORE_PUT, "/t/p/y", "kept", 0 },
	};
	struct answer a = txn(s, NULL, 0, writes, ARRAY_SIZE(writes));

	assert_int_equal(a.err, 0);
	assert_string_equal(get(s, "/t/a", false).first_value, "2");
	assert_int_equal(get(s, "/t/b", false).n, 0);
	a = get(s, "/t/p/", true);
	assert_int_equal(a.n, 1);
	assert_string_equal(a.first_key, "/t/p/y");
}

static void unsound_calls_are_refused_at_once(void **state)
{
	struct store_write no_value = { STORE_PUT, "/t/a", NULL, 0 };
	struct store_write no_key = { STORE_DELETE, "", NULL, 0 };
	struct store_cmp no_text = { STORE_CMP_VALUE, "/t/a", NULL, 0 };

	assert_int_equal(store_txn(*state, NULL, 0, &no_value, 1, on_txn, NULL, NULL), -EINVAL);
	assert_int_equal(store_txn(*state, NULL, 0, &no_key, 1, on_txn, NULL, NULL), -EINVAL);
	assert_int_equal(store_txn(*state, &no_text, 1, NULL, 0, on_txn, NULL, NULL), -EINVAL);
	assert_int_equal(store_range(*state, "", false, on_range, NULL, NULL), -EINVAL);
}

static void an_answer_above_the_bound_is_an_error(void **state)
{
	const char *urls[] = { etcd.url, NULL };
	struct store *small =
		connect_with(&(struct store_config){ .endpoints = urls, .max_memory = 2 << 20 });
	char *value = malloc(500 << 10);
	struct store_write *w;
	struct answer a;

	memset(value, 'v', 500 << 10);
	value[(500 << 10) - 1] = 0;
	w = many_writes(10, "/t/big/", value);
	assert_int_equal(txn(*state, NULL, 0, w, 10).err, 0);
	a = get(small, "/t/big/", true);
	assert_int_equal(a.err, -E2BIG);
	/* What fits is still read, though not as one page. */
	a = get(small, "/t/big/00001", false);
	assert_int_equal(a.n, 1);
	free_writes(w, 10);
	free(value);
	store_free(small);
}

static void a_cancelled_operation_does_not_call_back(void **state)
{
	struct answer a = {};
	struct store_op *op;

	assert_int_equal(store_range(*state, "/t/", true, on_range, &a, &op), 0);
	store_op_cancel(op);
	assert_int_equal(store_put(*state, "/t/a", "1", 0, on_txn, &a, &op), 0);
	store_op_cancel(op);
	get(*state, "/t/", true);
	assert_int_equal(a.done, 0);
}

static void free_the_store(const struct store_range_result *res, void *arg)
{
	struct answer *a = arg;

	store_free((struct store *)a->cluster_id);
	a->done = 1;
}

static void the_store_can_be_freed_inside_of_a_callback(void **state)
{
	struct store *s = connect_to(etcd.url);
	struct answer a = { .cluster_id = (uint64_t)s }, never = {};

	assert_int_equal(store_range(s, "/t/", true, free_the_store, &a, NULL), 0);
	assert_int_equal(store_range(s, "/t/", true, on_range, &never, NULL), 0);
	wait_for(&a.done, 1);
	turn_for(50);
	assert_true(never.done <= 1);
}

static void endpoints_are_judged(void **state)
{
	static const char *const bad[] = { "",	       "127.0.0.1:2379", "ftp://x",   "http://",
					   "http:///", "http://x/path",	 "http://a b" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *urls[] = { bad[i], NULL };
		struct store *s;
		struct err e = {};

		assert_int_equal(
			store_new(base, &(struct store_config){ .endpoints = urls }, &s, &e),
			-EINVAL);
		assert_non_null(strstr(e.msg, "endpoint"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_put_is_read, before, after),
		cmocka_unit_test_setup_teardown(an_absent_key_reads_as_nothing, before, after),
		cmocka_unit_test_setup_teardown(an_empty_value_is_not_a_deletion, before, after),
		cmocka_unit_test_setup_teardown(a_prefix_reads_only_what_starts_with_it, before,
						after),
		cmocka_unit_test_setup_teardown(a_deleted_key_is_gone, before, after),
		cmocka_unit_test_setup_teardown(ten_thousand_keys_come_in_pages_of_one_revision,
						before, after),
		cmocka_unit_test_setup_teardown(more_than_128_operations_are_split, before, after),
		cmocka_unit_test_setup_teardown(more_than_a_request_may_hold_is_split, before,
						after),
		cmocka_unit_test_setup_teardown(
			the_largest_value_fits_and_one_above_is_refused_by_name, before, after),
		cmocka_unit_test_setup_teardown(every_comparison_is_made, before, after),
		cmocka_unit_test_setup_teardown(a_failed_comparison_shows_what_stands, before,
						after),
		cmocka_unit_test_setup_teardown(a_fence_that_falls_midway_stops_the_later_parts,
						before, after),
		cmocka_unit_test_setup_teardown(a_fence_that_is_written_itself_holds_for_all_parts,
						before, after),
		cmocka_unit_test_setup_teardown(the_later_write_to_a_key_wins, before, after),
		cmocka_unit_test_setup_teardown(unsound_calls_are_refused_at_once, before, after),
		cmocka_unit_test_setup_teardown(an_answer_above_the_bound_is_an_error, before,
						after),
		cmocka_unit_test_setup_teardown(a_cancelled_operation_does_not_call_back, before,
						after),
		cmocka_unit_test_setup_teardown(the_store_can_be_freed_inside_of_a_callback, before,
						after),
		cmocka_unit_test(endpoints_are_judged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
