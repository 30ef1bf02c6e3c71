// SPDX-License-Identifier: Apache-2.0
/*
 * Who may write, on a real etcd: the fence, the writer behind it, and elections in etcd. No watch
 * warns the writers here: only the fence stops them.
 */
#include "selftests/unit/store/fixture.h"

#include <errno.h>

#include "api/etcd_keys.h"
#include "ksr/lead.h"
#include "ksr/lock.h"
#include "ksr/writer.h"

#define POD	  KEY_K8S "pod/default/"
#define VALUE(rv) "{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"" rv "\"},\"n\":" rv "}"

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

/* ---- fences ---- */

struct taken {
	int done, code;
	struct fence_value value;
};

static void on_taken(const struct fence_value *value, const struct err *e, void *arg)
{
	struct taken *t = arg;

	t->done++;
	t->code = e->code;
	t->value = *value;
}

static struct fence_value take(struct fence *f)
{
	struct taken t = {};

	fence_take(f, on_taken, &t);
	wait_for(&t.done, 1);
	assert_int_equal(t.code, 0);
	return t.value;
}

static struct fence *fence_of(struct store *s, const char *identity)
{
	struct fence *f;

	assert_int_equal(fence_new(s, identity, &f), 0);
	return f;
}

static void epochs_grow_with_each_change_of_hands(void **state)
{
	struct fence *a = fence_of(*state, "a"), *b = fence_of(*state, "b");
	char holder[256];
	int64_t epoch;

	assert_int_equal(take(a).epoch, 1);
	assert_int_equal(take(b).epoch, 2);
	assert_int_equal(take(a).epoch, 3);
	fence_parse(get(*state, KEY_KSR_LEADER, false).first_value, holder, &epoch);
	assert_string_equal(holder, "a");
	assert_int_equal(epoch, 3);
	fence_free(a);
	fence_free(b);
}

static void an_epoch_is_not_used_again_after_a_loss(void **state)
{
	struct fence *a = fence_of(*state, "a");

	take(a);
	take(a);
	del(*state, KEY_KSR_LEADER, false);
	assert_int_equal(take(a).epoch, 3);
	fence_free(a);
}

static void two_processes_of_one_name_are_told_apart(void **state)
{
	struct fence *a = fence_of(*state, "same"), *b = fence_of(*state, "same");
	struct fence_value of_a = take(a);

	assert_string_not_equal(of_a.text, take(b).text);
	fence_free(a);
	fence_free(b);
}

static void nonsense_in_the_key_is_replaced(void **state)
{
	static const char *const texts[] = { "", "nonsense", "[]", "{\"epoch\":\"x\"}",
					     "{\"epoch\":-4,\"holder\":7}" };
	struct fence *a = fence_of(*state, "a");

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		put(*state, KEY_KSR_LEADER, texts[i]);
		assert_true(take(a).epoch > 0);
	}
	fence_free(a);
}

/* ---- a writer ---- */

struct writing {
	struct table *table;
	struct writer *writer;
	int fenced, fenced_by_none, refused, troubles, synced;
};

static void on_fenced(const char *text, void *arg)
{
	struct writing *w = arg;

	w->fenced++;
	w->fenced_by_none += !text;
}

static void on_refused(const char *key, const char *error, void *arg)
{
	((struct writing *)arg)->refused++;
}

static void on_trouble(const char *error, void *arg)
{
	((struct writing *)arg)->troubles++;
}

static void on_synced(enum kind kind, void *arg)
{
	((struct writing *)arg)->synced++;
}

static const struct writer_ops writer_ops = {
	.on_fenced = on_fenced,
	.on_refused = on_refused,
	.on_trouble = on_trouble,
	.on_synced = on_synced,
};

static void begin(struct writing *w, struct store *s, const struct fence_value *fence)
{
	*w = (struct writing){};
	assert_int_equal(table_new(&w->table), 0);
	assert_int_equal(writer_new(base, s, w->table, &writer_ops, w, &w->writer), 0);
	assert_int_equal(writer_fence(w->writer, fence), 0);
}

static void end(struct writing *w)
{
	writer_free(w->writer);
	table_free(w->table);
}

static void list_one(struct writing *w, const char *name, const char *value)
{
	char key[128];

	snprintf(key, sizeof(key), POD "%s", name);
	table_list(w->table, KIND_POD);
	table_put(w->table, KIND_POD, key, value);
	table_listed(w->table, KIND_POD, "1", false);
	writer_kick(w->writer);
}

static void a_writer_writes_sweeps_and_says_so(void **state)
{
	struct fence *a = fence_of(*state, "a");
	struct fence_value fence = take(a);
	struct writing w;

	put(*state, POD "old", VALUE("1"));
	put(*state, KEY_K8S "node/n", "{}");
	begin(&w, *state, &fence);
	list_one(&w, "a", VALUE("1"));
	wait_for(&w.synced, 1);
	assert_int_equal(get(*state, POD, true).n, 1);
	assert_string_equal(get(*state, POD "a", false).first_value, VALUE("1"));
	assert_int_equal(get(*state, KEY_K8S "node/", true).n, 1);
	assert_int_equal(get(*state, KEY_KSR_SYNCED, true).n, 1);
	assert_true(writer_in_step(w.writer, KIND_POD));
	end(&w);
	fence_free(a);
}

static void a_writer_whose_fence_was_taken_changes_nothing(void **state)
{
	struct fence *a = fence_of(*state, "a"), *b = fence_of(*state, "b");
	struct fence_value fence = take(a);
	struct writing w;
	struct answer before_it;

	begin(&w, *state, &fence);
	list_one(&w, "a", VALUE("1"));
	wait_for(&w.synced, 1);
	take(b);
	before_it = get(*state, POD, true);
	list_one(&w, "b", VALUE("2"));
	wait_for(&w.fenced, 1);
	assert_int_equal(w.fenced_by_none, 0);
	turn_for(500);
	assert_int_equal(get(*state, POD, true).n, 1);
	assert_string_equal(get(*state, POD, true).first_key, before_it.first_key);
	assert_int_equal(w.fenced, 1);
	end(&w);
	fence_free(a);
	fence_free(b);
}

static void without_any_fence_nothing_is_written_until_there_is_a_new_one(void **state)
{
	struct fence *a = fence_of(*state, "a");
	struct fence_value fence = take(a);
	struct writing w;

	begin(&w, *state, &fence);
	del(*state, KEY_KSR_LEADER, false);
	list_one(&w, "a", VALUE("1"));
	wait_for(&w.fenced_by_none, 1);
	assert_int_equal(get(*state, POD, true).n, 0);
	fence = take(a);
	assert_int_equal(writer_fence(w.writer, &fence), 0);
	wait_for(&w.synced, 1);
	assert_int_equal(get(*state, POD, true).n, 1);
	end(&w);
	fence_free(a);
}

static void many_objects_come_in_order_and_whole(void **state)
{
	struct fence *a = fence_of(*state, "a");
	struct fence_value fence = take(a);
	struct writing w;
	char key[64];

	begin(&w, *state, &fence);
	table_list(w.table, KIND_POD);
	for (int i = 0; i < 2500; i++) {
		snprintf(key, sizeof(key), POD "p%d", i);
		table_put(w.table, KIND_POD, key, VALUE("1"));
	}
	table_listed(w.table, KIND_POD, "1", false);
	writer_kick(w.writer);
	wait_for(&w.synced, 1);
	assert_int_equal(get(*state, POD, true).n, 2500);
	assert_int_equal(writer_stats(w.writer)->puts, 2500);
	end(&w);
	fence_free(a);
}

/* ---- elections in etcd ---- */

struct candidate {
	struct lock *lock;
	int led, lost, released;
};

static void on_lead(void *arg)
{
	((struct candidate *)arg)->led++;
}

static void on_lost(const char *why, void *arg)
{
	((struct candidate *)arg)->lost++;
}

static void on_lock_trouble(const char *error, void *arg)
{
}

static void on_released(void *arg)
{
	((struct candidate *)arg)->released++;
}

static const struct lock_ops lock_ops = {
	.on_lead = on_lead,
	.on_lost = on_lost,
	.on_trouble = on_lock_trouble,
};

static void stand(struct candidate *c, struct store *s, const char *identity)
{
	*c = (struct candidate){};
	assert_int_equal(lock_new(base, s, identity, &lock_ops, c, &c->lock), 0);
}

static void one_leads_and_the_next_follows_when_it_lets_go(void **state)
{
	struct candidate a, b;

	stand(&a, *state, "a");
	wait_for(&a.led, 1);
	stand(&b, *state, "b");
	turn_for(1000);
	assert_int_equal(b.led, 0);
	lock_release(a.lock, on_released, &a);
	wait_for(&a.released, 1);
	wait_for(&b.led, 1);
	assert_string_equal(lock_holder(b.lock), "b");
	assert_int_equal(a.lost + b.lost, 0);
	lock_free(a.lock);
	lock_free(b.lock);
}

static void a_lock_that_somebody_deletes_is_lost(void **state)
{
	struct candidate a;

	stand(&a, *state, "a");
	wait_for(&a.led, 1);
	del(*state, KEY_KSR_LOCK, false);
	wait_for(&a.lost, 1);
	wait_for(&a.led, 2);
	lock_free(a.lock);
}

/* ---- together ---- */

struct leading {
	struct lead *lead;
	int leads, stops;
};

static void on_leads(const struct fence_value *fence, void *arg)
{
	((struct leading *)arg)->leads++;
}

static void on_stop(const char *why, void *arg)
{
	((struct leading *)arg)->stops++;
}

static void on_lead_trouble(const char *error, void *arg)
{
}

static const struct lead_ops lead_ops = {
	.on_lead = on_leads,
	.on_stop = on_stop,
	.on_trouble = on_lead_trouble,
};

static void run_lead(struct leading *l, struct store *s, const char *identity, bool election)
{
	const struct lead_config cfg = { .enabled = election, .identity = identity };

	*l = (struct leading){};
	assert_int_equal(lead_new(base, s, &cfg, &lead_ops, l, &l->lead), 0);
}

static void without_an_election_the_last_one_leads(void **state)
{
	struct leading a, b;

	run_lead(&a, *state, "a", false);
	wait_for(&a.leads, 1);
	run_lead(&b, *state, "b", false);
	wait_for(&b.leads, 1);
	wait_for(&a.stops, 1);
	turn_for(1500);
	assert_int_equal(a.leads, 1);
	assert_int_equal(b.stops, 0);
	assert_false(lead_leads(a.lead));
	assert_string_equal(lead_holder(a.lead), "b");
	lead_free(a.lead);
	lead_free(b.lead);
}

static void with_an_election_a_foreign_fence_ends_leading(void **state)
{
	struct fence *foreign = fence_of(*state, "foreign");
	struct leading a;

	run_lead(&a, *state, "a", true);
	wait_for(&a.leads, 1);
	take(foreign);
	wait_for(&a.stops, 1);
	assert_false(lead_leads(a.lead));
	lead_free(a.lead);
	fence_free(foreign);
}

static void a_lost_fence_is_taken_anew(void **state)
{
	struct leading a;
	int64_t epoch;

	run_lead(&a, *state, "a", true);
	wait_for(&a.leads, 1);
	epoch = lead_epoch(a.lead);
	del(*state, KEY_KSR_LEADER, false);
	wait_for(&a.leads, 2);
	assert_int_equal(a.stops, 0);
	assert_true(lead_epoch(a.lead) > epoch);
	lead_free(a.lead);
}

/* What leads follows the fence with; the linker's --wrap. */
static const struct store_follow_ops *follow_ops;
static void *follow_arg;

int __real_store_follow_new(struct store *s, const char *prefix, const struct store_follow_ops *ops,
			    void *arg, struct store_follow **ret);
int __wrap_store_follow_new(struct store *s, const char *prefix, const struct store_follow_ops *ops,
			    void *arg, struct store_follow **ret);

int __wrap_store_follow_new(struct store *s, const char *prefix, const struct store_follow_ops *ops,
			    void *arg, struct store_follow **ret)
{
	follow_ops = ops;
	follow_arg = arg;
	return __real_store_follow_new(s, prefix, ops, arg, ret);
}

/* Etcd made the list before it took the fence, and its answer came later. */
static void a_list_from_before_the_fence_is_no_loss_of_it(void **state)
{
	const struct store_range_result before_it = { .revision = 1 };
	struct leading a;

	run_lead(&a, *state, "a", false);
	wait_for(&a.leads, 1);
	follow_ops->on_sync(&before_it, follow_arg);
	assert_true(lead_leads(a.lead));
	assert_string_equal(lead_holder(a.lead), "a");
	lead_free(a.lead);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(epochs_grow_with_each_change_of_hands),
		TEST(an_epoch_is_not_used_again_after_a_loss),
		TEST(two_processes_of_one_name_are_told_apart),
		TEST(nonsense_in_the_key_is_replaced),
		TEST(a_writer_writes_sweeps_and_says_so),
		TEST(a_writer_whose_fence_was_taken_changes_nothing),
		TEST(without_any_fence_nothing_is_written_until_there_is_a_new_one),
		TEST(many_objects_come_in_order_and_whole),
		TEST(one_leads_and_the_next_follows_when_it_lets_go),
		TEST(a_lock_that_somebody_deletes_is_lost),
		TEST(without_an_election_the_last_one_leads),
		TEST(with_an_election_a_foreign_fence_ends_leading),
		TEST(a_lost_fence_is_taken_anew),
		TEST(a_list_from_before_the_fence_is_no_loss_of_it),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
