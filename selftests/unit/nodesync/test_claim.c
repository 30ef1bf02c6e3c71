// SPDX-License-Identifier: Apache-2.0
/* Claiming a node id, against a store of a few keys that answers at once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/modules/nodesync/claim.h"

static struct {
	char key[64], value[64];
	int64_t revision;
} keys[16];
static size_t n_keys;
static int64_t revision;
static int broken;	  /* error that every operation ends with */
static const char *rival; /* puts this name at the next free id before our write */

static void put(const char *key, const char *value)
{
	size_t i;

	for (i = 0; i < n_keys && strcmp(keys[i].key, key) != 0; i++)
		;
	if (i == n_keys)
		n_keys++;
	snprintf(keys[i].key, sizeof(keys[i].key), "%s", key);
	snprintf(keys[i].value, sizeof(keys[i].value), "%s", value);
	keys[i].revision = ++revision;
}

static int find(const char *key)
{
	for (size_t i = 0; i < n_keys; i++)
		if (strcmp(keys[i].key, key) == 0)
			return i;
	return -1;
}

int store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		struct store_op **ret)
{
	struct store_range_result res = { .err = broken, .error = "broken" };
	struct store_kv kvs[16];

	for (size_t i = 0; i < n_keys; i++)
		if (strncmp(keys[i].key, key, strlen(key)) == 0)
			kvs[res.n++] = (struct store_kv){ .key = keys[i].key,
							  .key_len = strlen(keys[i].key),
							  .value = keys[i].value,
							  .value_len = strlen(keys[i].value),
							  .mod_revision = keys[i].revision };
	res.kvs = kvs;
	fn(&res, arg);
	return 0;
}

static bool holds(const struct store_cmp *c)
{
	int i = find(c->key);

	switch (c->kind) {
	case STORE_CMP_ABSENT:
		return i < 0;
	case STORE_CMP_EXISTS:
		return i >= 0;
	case STORE_CMP_MOD_REVISION:
		return i >= 0 && keys[i].revision == c->number;
	default:
		return false;
	}
}

int store_txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
	      const struct store_write *writes, size_t n_writes, store_txn_fn fn, void *arg,
	      struct store_op **ret)
{
	struct store_txn_result res = { .err = broken, .error = "broken", .succeeded = true };
	char value[64];

	if (rival) {
		snprintf(value, sizeof(value), "{\"name\":\"%s\"}", rival);
		put(writes[0].key, value);
		rival = NULL;
	}
	for (size_t i = 0; i < n_cmps; i++)
		res.succeeded &= holds(&cmps[i]);
	for (size_t i = 0; res.succeeded && i < n_writes; i++) {
		if (writes[i].kind == STORE_PUT)
			put(writes[i].key, writes[i].value);
		else if (find(writes[i].key) >= 0)
			keys[find(writes[i].key)].key[0] = 0;
	}
	fn(&res, arg);
	return 0;
}

void store_op_cancel(struct store_op *op)
{
}

static struct {
	uint32_t id;
	int claimed, failed;
	struct err why;
} got;
static struct event_base *base;

static void on_claimed(uint32_t id, void *arg)
{
	got.id = id;
	got.claimed++;
	event_base_loopbreak(base);
}

static void on_failed(const struct err *e, void *arg)
{
	got.why = *e;
	got.failed++;
	event_base_loopbreak(base);
}

static int reset(void **state)
{
	memset(keys, 0, sizeof(keys));
	memset(&got, 0, sizeof(got));
	n_keys = 0;
	broken = 0;
	rival = NULL;
	if (!base)
		base = event_base_new();
	return base ? 0 : -1;
}

static struct claim *claim(uint32_t known_id, uint32_t max_id)
{
	const struct claim_config cfg = { .base = base,
					  .name = "me",
					  .known_id = known_id,
					  .max_id = max_id,
					  .retry_min_ms = 1,
					  .retry_max_ms = 4,
					  .on_claimed = on_claimed,
					  .on_failed = on_failed };
	struct claim *c;

	assert_int_equal(claim_new(&cfg, &c), 0);
	claim_verify(c);
	return c;
}

static void the_first_free_id_is_taken(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/1", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/3", "{\"name\":\"b\"}");
	c = claim(0, 10);
	assert_int_equal(got.id, 2);
	assert_string_equal(keys[find("/netloom/alloc/node/2")].value, "{\"name\":\"me\"}");
	claim_free(c);
}

static void an_id_under_this_name_is_taken_up(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/1", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/7", "{\"name\":\"me\"}");
	c = claim(0, 10);
	assert_int_equal(got.id, 7);
	assert_int_equal(n_keys, 2);
	claim_free(c);
}

static void the_same_id_is_claimed_again_when_etcd_lost_it(void **state)
{
	struct claim *c = claim(5, 10);

	assert_int_equal(got.id, 5);
	assert_true(find("/netloom/alloc/node/5") >= 0);
	n_keys = 0;
	claim_verify(c);
	assert_int_equal(got.claimed, 2);
	assert_int_equal(got.id, 5);
	assert_true(find("/netloom/alloc/node/5") >= 0);
	claim_free(c);
}

static void an_id_that_is_anothers_is_a_conflict_and_never_changed(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/5", "{\"name\":\"other\"}");
	c = claim(5, 10);
	assert_int_equal(got.claimed, 0);
	assert_int_equal(got.why.code, -EADDRINUSE);
	assert_non_null(strstr(got.why.msg, "'other'"));
	assert_non_null(strstr(got.why.msg, "'me'"));
	/* The other one gives way. */
	keys[0].key[0] = 0;
	event_base_loop(base, 0);
	assert_int_equal(got.id, 5);
	claim_free(c);
}

static void a_lost_race_is_run_again(void **state)
{
	struct claim *c;

	rival = "faster";
	c = claim(0, 10);
	assert_int_equal(got.claimed, 0);
	event_base_loop(base, 0);
	assert_int_equal(got.id, 2);
	claim_free(c);
}

static void an_etcd_that_is_away_is_waited_for(void **state)
{
	struct claim *c;

	broken = -EAGAIN;
	c = claim(0, 10);
	assert_int_equal(got.failed, 1);
	event_base_loop(base, 0);
	assert_int_equal(got.failed, 2);
	broken = 0;
	event_base_loop(base, 0);
	assert_int_equal(got.id, 1);
	claim_free(c);
}

static void ids_of_nodes_that_may_come_back_are_not_taken_over(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/1", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/2", "not json");
	put("/netloom/k8s/node/a", "{}");
	put("/netloom/ksr/synced/node", "{}");
	c = claim(0, 2);
	assert_int_equal(got.claimed, 0);
	assert_int_equal(got.why.code, -ENOSPC);
	claim_free(c);
}

static void an_id_is_taken_over_only_when_all_nodes_are_reflected(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/1", "{\"name\":\"a\"}");
	put("/netloom/node/a", "{}");
	c = claim(0, 1);
	assert_int_equal(got.claimed, 0);
	put("/netloom/ksr/synced/node", "{}");
	event_base_loop(base, 0);
	assert_int_equal(got.id, 1);
	assert_int_equal(find("/netloom/node/a"), -1);
	claim_free(c);
}

static void keys_that_are_no_ids_are_passed_over(void **state)
{
	struct claim *c;

	put("/netloom/alloc/node/one", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/01", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/99999999999999", "{\"name\":\"a\"}");
	put("/netloom/alloc/node/", "{\"name\":\"me\"}");
	c = claim(0, 10);
	assert_int_equal(got.id, 1);
	claim_free(c);
}

static void a_holder_whose_name_no_node_can_have_keeps_its_id(void **state)
{
	static const char *const names[] = { "Bad_Name", "a/b", "-", "" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char value[64];
		struct claim *c;

		reset(state);
		snprintf(value, sizeof(value), "{\"name\":\"%s\"}", names[i]);
		put("/netloom/alloc/node/1", value);
		put("/netloom/ksr/synced/node", "{}");
		c = claim(0, 1);
		assert_int_equal(got.claimed, 0);
		assert_int_equal(got.why.code, -ENOSPC);
		assert_string_equal(keys[find("/netloom/alloc/node/1")].value, value);
		claim_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_free_id_is_taken, reset),
		cmocka_unit_test_setup(an_id_under_this_name_is_taken_up, reset),
		cmocka_unit_test_setup(the_same_id_is_claimed_again_when_etcd_lost_it, reset),
		cmocka_unit_test_setup(an_id_that_is_anothers_is_a_conflict_and_never_changed,
				       reset),
		cmocka_unit_test_setup(a_lost_race_is_run_again, reset),
		cmocka_unit_test_setup(an_etcd_that_is_away_is_waited_for, reset),
		cmocka_unit_test_setup(ids_of_nodes_that_may_come_back_are_not_taken_over, reset),
		cmocka_unit_test_setup(an_id_is_taken_over_only_when_all_nodes_are_reflected,
				       reset),
		cmocka_unit_test_setup(keys_that_are_no_ids_are_passed_over, reset),
		cmocka_unit_test_setup(a_holder_whose_name_no_node_can_have_keeps_its_id, reset),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (base)
		event_base_free(base);
	return failed;
}
