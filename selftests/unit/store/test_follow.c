// SPDX-License-Identifier: Apache-2.0
/* Following a prefix through all that may happen to a real etcd. */
#include "selftests/unit/store/fixture.h"

#include <errno.h>

/* Timeout of one request where etcd is to be silent, which is looked into after twice that. Any
 * answer that comes later than that breaks a watch, so it is not for the other tests. */
#define QUICK_MS 300

static struct etcd etcd;

static int before_with(void **state, unsigned int timeout_ms)
{
	const char *urls[] = { etcd.url, NULL };

	base = event_base_new();
	if (etcd_start(&etcd, NULL) < 0)
		return -1;
	*state =
		connect_with(&(struct store_config){ .endpoints = urls, .timeout_ms = timeout_ms });
	return 0;
}

static int before(void **state)
{
	return before_with(state, 0);
}

static int before_quick(void **state)
{
	return before_with(state, QUICK_MS);
}

static int after(void **state)
{
	store_free(*state);
	etcd_stop(&etcd);
	event_base_free(base);
	return 0;
}

/* Writes from elsewhere, so that the store under test only follows. */
static void put_elsewhere(const char *key, const char *value)
{
	struct store *s = connect_to(etcd.url);

	assert_int_equal(put(s, key, value).err, 0);
	store_free(s);
}

static int64_t revision_elsewhere(void)
{
	struct store *s = connect_to(etcd.url);
	int64_t revision = get(s, "/", true).revision;

	store_free(s);
	return revision;
}

static void changes_come_in_order_after_the_list(void **state)
{
	struct store *s = *state;
	struct followed r;
	const struct store_write both[] = {
		{ STORE_PUT, "/t/a", "2", 0 },
		{ STORE_PUT, "/t/b", "2", 0 },
		{ STORE_PUT, "/other", "2", 0 },
	};

	put(s, "/t/a", "1");
	follow(s, "/t/", &r);
	assert_int_equal(r.sync_n, 1);
	txn(s, NULL, 0, both, ARRAY_SIZE(both));
	wait_for(&r.changes, 1);
	assert_int_equal(r.events, 2);
	del(s, "/t/a", false);
	wait_for(&r.deletions, 1);
	assert_string_equal(r.last_key, "/t/a");
	put(s, "/t/c", "");
	wait_for(&r.changes, 3);
	assert_string_equal(r.last_key, "/t/c");
	assert_int_equal(r.deletions, 1);
	assert_true(r.in_order);
	assert_int_equal(r.breaks, 0);
	store_follow_free(r.f);
}

static void a_killed_etcd_is_resumed_without_a_new_list(void **state)
{
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_kill(&etcd);
	wait_for(&r.breaks, 1);
	assert_int_equal(r.break_err, -EAGAIN);
	assert_int_equal(etcd_restart(&etcd), 0);
	put_elsewhere("/t/b", "2");
	wait_for(&r.changes, 1);
	assert_string_equal(r.last_key, "/t/b");
	assert_int_equal(r.syncs, 1);
	assert_int_equal(r.breaks, 1);
	etcd_kill(&etcd);
	wait_for(&r.breaks, 2);
	assert_int_equal(etcd_restart(&etcd), 0);
	put_elsewhere("/t/c", "3");
	wait_for(&r.changes, 2);
	assert_int_equal(r.syncs, 1);
	assert_true(r.in_order);
	store_follow_free(r.f);
}

static void etcd_may_come_later_than_the_follow(void **state)
{
	struct followed r = { .in_order = true };

	etcd_kill(&etcd);
	assert_int_equal(store_follow_new(*state, "/t/", &follow_recorder, &r, &r.f), 0);
	wait_for(&r.breaks, 1);
	assert_int_equal(r.syncs, 0);
	assert_false(store_connected(*state));
	assert_int_equal(etcd_restart(&etcd), 0);
	wait_for(&r.syncs, 1);
	assert_true(store_connected(*state));
	store_follow_free(r.f);
}

static void a_compaction_past_a_broken_watch_lists_again(void **state)
{
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_kill(&etcd);
	wait_for(&r.breaks, 1);
	etcd_restart(&etcd);
	/* Not one turn of the follow's loop between the writes and the compaction: it shares ours,
	 * so it may have resumed; then the watch goes on and no list is needed. */
	put_elsewhere("/t/a", "2");
	put_elsewhere("/t/b", "2");
	compact(etcd.url, revision_elsewhere());
	while (r.syncs < 2 && r.events < 2)
		turn_for(10);
	assert_true(r.syncs == 2 ? r.sync_n == 2 : r.events == 2);
	put_elsewhere("/t/c", "3");
	while (strcmp(r.last_key, "/t/c") != 0)
		turn_for(10);
	store_follow_free(r.f);
}

/* The follow cannot resume here, since nothing turns its loop until all is compacted. */
static void a_paused_follower_that_was_compacted_lists_again(void **state)
{
	struct event_base *others = event_base_new(), *mine = base;
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_kill(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	base = others;
	put_elsewhere("/t/a", "2");
	put_elsewhere("/t/b", "2");
	compact(etcd.url, revision_elsewhere());
	base = mine;
	wait_for(&r.syncs, 2);
	assert_int_equal(r.sync_n, 2);
	assert_int_equal(r.events, 0);
	put_elsewhere("/t/c", "3");
	wait_for(&r.events, 1);
	store_follow_free(r.f);
	event_base_free(others);
}

static void a_running_watch_does_not_mind_a_compaction(void **state)
{
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	put_elsewhere("/t/b", "2");
	put_elsewhere("/t/c", "2");
	wait_for(&r.events, 2);
	compact(etcd.url, revision_elsewhere());
	put_elsewhere("/t/d", "2");
	wait_for(&r.events, 3);
	assert_int_equal(r.syncs, 1);
	store_follow_free(r.f);
}

static void lost_data_list_again(void **state)
{
	struct followed r;

	for (int i = 0; i < 10; i++)
		put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_wipe(&etcd);
	wait_for(&r.breaks, 1);
	assert_int_equal(etcd_restart(&etcd), 0);
	wait_for(&r.syncs, 2);
	assert_int_equal(r.sync_n, 0);
	put_elsewhere("/t/new", "1");
	wait_for(&r.events, 1);
	assert_string_equal(r.last_key, "/t/new");
	store_follow_free(r.f);
}

/* Neither the cluster's id nor the revision tells: the new history is longer, with the same id. */
static void lost_data_are_seen_though_the_new_history_is_longer(void **state)
{
	struct event_base *others = event_base_new(), *mine = base;
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_wipe(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	base = others;
	for (int i = 0; i < 10; i++)
		put_elsewhere("/t/b", "2");
	base = mine;
	wait_for(&r.syncs, 2);
	assert_int_equal(r.sync_n, 1);
	assert_int_equal(r.events, 0);
	store_follow_free(r.f);
	event_base_free(others);
}

static void a_prefix_without_keys_survives_a_restart(void **state)
{
	struct followed r;

	follow(*state, "/t/", &r);
	etcd_kill(&etcd);
	wait_for(&r.breaks, 1);
	assert_int_equal(etcd_restart(&etcd), 0);
	put_elsewhere("/t/a", "1");
	while (!r.events && r.sync_n != 1)
		turn_for(10);
	store_follow_free(r.f);
}

static void until_connected(const struct store *s, bool connected)
{
	for (int i = 0; i < 3000 && store_connected(s) != connected; i++)
		turn_for(10);
	assert_int_equal(store_connected(s), connected);
}

static void a_hanging_etcd_is_noticed(void **state)
{
	struct followed r;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_pause(&etcd);
	until_connected(*state, false);
	wait_for(&r.breaks, 1);
	etcd_resume(&etcd);
	put_elsewhere("/t/b", "1");
	wait_for(&r.events, 1);
	assert_int_equal(r.syncs, 1);
	until_connected(*state, true);
	store_follow_free(r.f);
}

static void an_idle_watch_stays(void **state)
{
	struct followed r;
	int before = -1;

	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	/* An answer may be late on a busy machine, but not each time. */
	for (int i = 0; i < 20 && r.breaks != before; i++) {
		before = r.breaks;
		turn_for(8 * QUICK_MS);
	}
	assert_int_equal(r.breaks, before);
	put_elsewhere("/t/b", "1");
	wait_for(&r.events, 1);
	assert_int_equal(r.syncs, 1);
	store_follow_free(r.f);
}

/* Ten changes of a megabyte while nobody listens come back as one long replay. */
static void a_long_replay_arrives_whole(void **state)
{
	struct event_base *others = event_base_new(), *mine = base;
	char *value = malloc(1 << 20), key[32];
	struct followed r;

	memset(value, 'v', 1 << 20);
	value[(1 << 20) - 1] = 0;
	put_elsewhere("/t/a", "1");
	follow(*state, "/t/", &r);
	etcd_kill(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	base = others;
	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "/t/big%d", i);
		put_elsewhere(key, value);
	}
	base = mine;
	wait_for(&r.events, 10);
	assert_int_equal(r.syncs, 1);
	assert_true(r.in_order);
	store_follow_free(r.f);
	free(value);
	event_base_free(others);
}

static void the_follow_can_be_freed_inside_of_its_callbacks(void **state)
{
	struct followed r = { .in_order = true, .free_in_callback = true };

	put_elsewhere("/t/a", "1");
	assert_int_equal(store_follow_new(*state, "/t/", &follow_recorder, &r, &r.f), 0);
	wait_for(&r.syncs, 1);

	follow(*state, "/t/", &r);
	r.free_in_callback = true;
	put_elsewhere("/t/b", "1");
	wait_for(&r.changes, 1);

	follow(*state, "/t/", &r);
	r.free_in_callback = true;
	etcd_kill(&etcd);
	wait_for(&r.breaks, 1);
	turn_for(100);
	assert_int_equal(r.breaks, 1);
}

static void the_store_can_be_freed_inside_of_a_follows_callback(void **state)
{
	struct followed r;
	struct store *s;

	for (int which = 0; which < 3; which++) {
		s = connect_to(etcd.url);
		if (which == 0) {
			r = (struct followed){ .in_order = true, .free_store = s };
			assert_int_equal(store_follow_new(s, "/t/", &follow_recorder, &r, &r.f), 0);
			wait_for(&r.syncs, 1);
		} else {
			follow(s, "/t/", &r);
			r.free_store = s;
		}
		if (which == 1) {
			put_elsewhere("/t/a", "1");
			wait_for(&r.changes, 1);
		} else if (which == 2) {
			etcd_kill(&etcd);
			wait_for(&r.breaks, 1);
		}
		store_follow_free(r.f);
	}
}

/* Nobody is there as long as the descriptor is open. */
static int dead_url(char *url, size_t size)
{
	uint16_t port = 0;
	int fd = refusing_port(&port);

	assert_true(fd >= 0);
	snprintf(url, size, "http://127.0.0.1:%u", port);
	return fd;
}

static void a_dead_endpoint_is_passed_over(void **state)
{
	char dead[64];
	const char *urls[] = { dead, etcd.url, NULL };
	struct store *s;
	struct followed r;
	struct answer a;
	int fd = dead_url(dead, sizeof(dead));

	s = connect_with(&(struct store_config){ .endpoints = urls });
	a = put(s, "/t/a", "1");
	assert_int_equal(a.err, 0);
	follow(s, "/t/", &r);
	put(s, "/t/b", "1");
	wait_for(&r.events, 1);
	assert_int_equal(r.breaks, 0);
	assert_true(store_connected(s));
	store_follow_free(r.f);
	store_free(s);
	close(fd);
}

static void nobody_reachable_is_an_error_in_time(void **state)
{
	char dead[64];
	const char *urls[] = { dead, dead, NULL };
	struct store *s;
	int fd = dead_url(dead, sizeof(dead));
	uint64_t best_ms = UINT64_MAX;

	s = connect_with(&(struct store_config){ .endpoints = urls, .timeout_ms = 200 });
	/* The timeout that was asked for, not the one that holds without; but a machine may stand
	 * still for longer than that now and then. */
	for (int i = 0; i < 5 && best_ms >= 5000; i++) {
		uint64_t begin = clock_ms();

		assert_int_equal(get(s, "/t/", true).err, -EAGAIN);
		best_ms = MIN(best_ms, clock_ms() - begin);
	}
	assert_true(best_ms < 5000);
	assert_false(store_connected(s));
	store_free(s);
	close(fd);
}

/* ---- connectedness ---- */

struct told {
	int n;
	bool connected;
};

static void on_connected(bool connected, void *arg)
{
	struct told *t = arg;

	t->n++;
	t->connected = connected;
}

static void connectedness_is_told_at_each_change(void **state)
{
	struct told t = {};
	struct followed r;

	store_on_connected(*state, on_connected, &t);
	follow(*state, "/t/", &r);
	wait_for(&t.n, 1);
	assert_true(t.connected);
	etcd_kill(&etcd);
	wait_for(&t.n, 2);
	assert_false(t.connected);
	assert_int_equal(etcd_restart(&etcd), 0);
	wait_for(&t.n, 3);
	assert_true(t.connected);
	store_follow_free(r.f);
}

/* ---- leases ---- */

struct leased {
	int granted, lost;
	int64_t id;
	struct store_lease *l;
	bool free_in_callback;
};

static void on_granted(int64_t id, void *arg)
{
	struct leased *r = arg;

	r->granted++;
	r->id = id;
	if (r->free_in_callback)
		store_lease_free(r->l);
}

static void on_lost(void *arg)
{
	((struct leased *)arg)->lost++;
}

static const struct store_lease_ops lease_ops = { .on_granted = on_granted, .on_lost = on_lost };

/* True: for longer than the lease has by itself, what was put with it is there. */
static bool outlives_its_time(struct store *s, struct leased *r, struct followed *f)
{
	int deletions = f->deletions, granted = r->granted;
	struct answer a = {};

	store_put(s, "/t/mine", "1", r->id, on_txn, &a, NULL);
	wait_for(&a.done, 1);
	if (a.err) {
		wait_for(&r->granted, granted + 1);
		return false;
	}
	turn_for(5000);
	return r->granted == granted && f->deletions == deletions;
}

static void a_lease_is_kept_alive_and_revoked(void **state)
{
	struct leased r = {};
	struct followed f;
	bool kept = false;
	int deletions;

	follow(*state, "/t/", &f);
	assert_int_equal(store_lease_new(*state, 3, &lease_ops, &r, &r.l), 0);
	wait_for(&r.granted, 1);
	/* Who stands still for as long as a lease loses it, but not each time. */
	for (int i = 0; i < 5 && !kept; i++)
		kept = outlives_its_time(*state, &r, &f);
	assert_true(kept);
	deletions = f.deletions;
	store_lease_free(r.l);
	wait_for(&f.deletions, deletions + 1);
	store_follow_free(f.f);
}

static void a_lease_that_etcd_forgot_is_granted_anew(void **state)
{
	struct leased r = {};
	char body[64];
	int64_t first;

	/* Long enough not to be lost before it is taken away. */
	assert_int_equal(store_lease_new(*state, 9, &lease_ops, &r, &r.l), 0);
	wait_for(&r.granted, 1);
	first = r.id;
	snprintf(body, sizeof(body), "{\"ID\":\"%lld\"}", (long long)first);
	gateway(etcd.url, "/v3/lease/revoke", body);
	wait_for(&r.lost, 1);
	wait_for(&r.granted, 2);
	assert_true(r.id != first);
	store_lease_free(r.l);
}

static void be_busy(evutil_socket_t fd, short what, void *arg)
{
	for (uint64_t end = clock_ms() + 20; clock_ms() < end;)
		continue;
}

/* A loop that is behind counts timers from when its round began: they come before their time. */
static void leases_that_cannot_be_renewed_are_lost(void **state)
{
	struct event *busy = event_new(base, -1, EV_PERSIST, be_busy, NULL);
	struct leased r[16] = {};

	for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
		assert_int_equal(store_lease_new(*state, 1, &lease_ops, &r[i], &r[i].l), 0);
		wait_for(&r[i].granted, 1);
	}
	etcd_kill(&etcd);
	event_add(busy, &(struct timeval){ .tv_usec = 10 * 1000 });
	turn_for(500);
	event_free(busy);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		wait_for(&r[i].lost, 1);
	assert_int_equal(etcd_restart(&etcd), 0);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
		wait_for(&r[i].granted, 2);
		store_lease_free(r[i].l);
	}
}

static void a_lease_can_be_freed_inside_of_its_callback(void **state)
{
	struct leased r = { .free_in_callback = true };

	assert_int_equal(store_lease_new(*state, 1, &lease_ops, &r, &r.l), 0);
	wait_for(&r.granted, 1);
	turn_for(50);
}

#define T(name)	    cmocka_unit_test_setup_teardown(name, before, after)
#define QUICK(name) cmocka_unit_test_setup_teardown(name, before_quick, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(changes_come_in_order_after_the_list),
		T(a_killed_etcd_is_resumed_without_a_new_list),
		T(etcd_may_come_later_than_the_follow),
		T(a_compaction_past_a_broken_watch_lists_again),
		T(a_paused_follower_that_was_compacted_lists_again),
		T(a_running_watch_does_not_mind_a_compaction),
		T(lost_data_list_again),
		T(lost_data_are_seen_though_the_new_history_is_longer),
		T(a_prefix_without_keys_survives_a_restart),
		QUICK(a_hanging_etcd_is_noticed),
		QUICK(an_idle_watch_stays),
		T(a_long_replay_arrives_whole),
		T(the_follow_can_be_freed_inside_of_its_callbacks),
		T(the_store_can_be_freed_inside_of_a_follows_callback),
		T(a_dead_endpoint_is_passed_over),
		T(nobody_reachable_is_an_error_in_time),
		T(connectedness_is_told_at_each_change),
		T(a_lease_is_kept_alive_and_revoked),
		T(a_lease_that_etcd_forgot_is_granted_anew),
		T(leases_that_cannot_be_renewed_are_lost),
		T(a_lease_can_be_freed_inside_of_its_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
