// SPDX-License-Identifier: Apache-2.0
/* What etcd says: first, then, after it was away, and after it lost its data. */
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "agent/modules/modules.h"
#include "lib/base/log.h"
#include "lib/mirror/mirror.h"
#include "selftests/unit/db/fixture.h"

static void what_is_in_etcd_comes_first_then_what_changes(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	write_key(KEY_NODE "b", "{\"id\":2}");
	start();
	until("etcd:2");
	assert_string_equal(told, "etcd:2");
	write_key(KEY_NODE "c", "{\"id\":3}");
	write_key(KEY_NODE "a", "{\"id\":9}");
	write_key(KEY_NODE "a", "{\"id\":9}");
	write_key(KEY_NODE "b", NULL);
	until("-node/b");
	assert_string_equal(told, "etcd:2 +node/c ~node/a -node/b");
	assert_int_equal(json_object_get_int(json_field(db_get(agent, KEY_NODE "a"), "id")), 9);
	assert_null(db_get(agent, KEY_NODE "b"));
}

static void a_value_that_is_no_object_leaves_the_old_one(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	start();
	until("etcd:1");
	write_key(KEY_NODE "a", "[1]");
	write_key(KEY_NODE "a", "{\"id\":");
	write_key(KEY_NODE "b", "{}");
	until("+node/b");
	assert_string_equal(told, "etcd:1 +node/b");
	assert_int_equal(json_object_get_int(json_field(db_get(agent, KEY_NODE "a"), "id")), 1);
}

static void a_key_of_a_node_that_can_not_be_is_ignored(void **state)
{
	write_key(KEY_NODE "Bad_Name", "{\"id\":1}");
	write_key(KEY_NODE "a/b", "{\"id\":1}");
	write_key(KEY_NODE "a", "{\"id\":1}");
	start();
	until("etcd:1");
	write_key(KEY_NODE "-b", "{\"id\":1}");
	write_key(KEY_K8S_NODE "x..y", "{}");
	write_key(KEY_K8S_NODE "x.y", "{}");
	until("+k8s/node/x.y");
	assert_string_equal(told, "etcd:1 +k8s/node/x.y");
	assert_null(db_get(agent, KEY_NODE "Bad_Name"));
	write_key(KEY_NODE "Bad_Name", NULL);
	write_key(KEY_NODE "a", NULL);
	until("-node/a");
	assert_string_equal(told, "etcd:1 +k8s/node/x.y -node/a");
}

static void the_mirror_takes_etcds_place_at_start(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	write_key(KEY_NODE "b", "{\"id\":2}");
	start();
	until("etcd:2");
	stop();
	etcd_kill(&etcd);
	start_from_mirror();
	until("mirror:2");
	assert_int_equal(json_object_get_int(json_field(db_get(agent, KEY_NODE "b"), "id")), 2);
	assert_false(db_connected(agent));
	assert_int_equal(db_module.ready(agent, NULL), 0);

	assert_int_equal(etcd_restart(&etcd), 0);
	write_key(KEY_NODE "c", "{}");
	until("etcd:3");
}

static void without_etcd_and_mirror_nobody_is_told_anything(void **state)
{
	struct err e = {};

	etcd_kill(&etcd);
	start_from_mirror();
	base = agent_base(agent);
	turn_for(600); /* twice the deadline */
	assert_string_equal(told, "");
	assert_int_equal(db_module.ready(agent, &e), -EAGAIN);
	assert_non_null(strstr(e.msg, "etcd"));
	assert_int_equal(etcd_restart(&etcd), 0);
	until("etcd:0");
}

static void etcd_killed_and_restarted_loses_no_change(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	start();
	until("etcd:1");
	etcd_kill(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	write_key(KEY_NODE "b", "{}");
	write_key(KEY_NODE "a", NULL);
	until("-node/a");
	assert_string_equal(told, "etcd:1 +node/b -node/a");
}

static void a_compaction_costs_no_change(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	write_key(KEY_NODE "b", "{\"id\":2}");
	start();
	until("etcd:2");
	etcd_kill(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	write_key(KEY_NODE "a", NULL);
	write_key(KEY_NODE "c", "{}");
	write_many("/elsewhere/", 5);
	compact(etcd.url, read_key(KEY_NODE "c").revision);
	until("-node/a");
	assert_non_null(strstr(told, "+node/c"));
	assert_null(strstr(told, "node/b"));
	assert_int_equal(status_number("lostKeys"), 0);
}

static void lost_data_empty_no_node(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	write_key(KEY_K8S_NODE "a", "{\"id\":1}");
	write_key(KEY_K8S_NODE "b", "{\"id\":2}");
	write_key(KEY_KSR_SYNCED "node", "{\"epoch\":1}");
	start();
	publish(KEY_NODE "me", "{\"id\":7}");
	until("etcd:");
	turn("the key that is published", is_known, KEY_NODE "me");
	until_published();

	etcd_wipe(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	told[0] = 0;
	until_written_again();
	assert_non_null(db_get(agent, KEY_NODE "a"));
	assert_non_null(db_get(agent, KEY_K8S_NODE "b"));
	assert_null(strstr(told, "-"));
	turn("the lost keys", are_lost, &(int){ 4 });

	/* ksr reflects anew: what it does not write is gone for good. */
	write_key(KEY_K8S_NODE "a", "{\"id\":1}");
	write_key(KEY_KSR_SYNCED "node", "{\"epoch\":2}");
	until("-k8s/node/b");
	assert_non_null(db_get(agent, KEY_K8S_NODE "a"));
	assert_non_null(db_get(agent, KEY_NODE "a"));
}

/* The new history is longer than the old one before anybody looks. */
static void lost_data_are_noticed_behind_a_higher_revision(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	write_key(KEY_K8S_NODE "b", "{\"id\":2}");
	start();
	publish(KEY_NODE "me", "{\"id\":7}");
	until("etcd:");
	turn("the key that is published", is_known, KEY_NODE "me");
	until_published();

	etcd_wipe(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	write_many("/elsewhere/", 30);
	told[0] = 0;
	turn("the lost keys", are_lost, &(int){ 1 });
	assert_in_range(status_number("revision"), 30, 60);
	until_written_again();
	turn("the lost keys", are_lost, &(int){ 2 });
	assert_null(strstr(told, "-"));
	assert_non_null(db_get(agent, KEY_NODE "a"));
	assert_non_null(db_get(agent, KEY_K8S_NODE "b"));
}

static void start_with_our_own_key(void)
{
	start();
	publish(KEY_NODE "me", "{\"id\":7}");
	until("etcd:");
	turn("the key that is published", is_known, KEY_NODE "me");
	until_published();
}

static void a_rollback_loses_no_node_although_our_own_key_is_there(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	start_with_our_own_key();
	assert_int_equal(etcd_save(&etcd), 0);
	assert_int_equal(etcd_restart(&etcd), 0);
	write_many("/elsewhere/", 30);
	write_key(KEY_NODE "b", "{\"id\":2}");
	until("+node/b");

	assert_int_equal(etcd_roll_back(&etcd), 0);
	assert_int_equal(etcd_restart(&etcd), 0);
	assert_int_equal(read_key(KEY_NODE "me").n, 1);
	assert_int_equal(read_key(KEY_NODE "b").n, 0);
	turn("the lost key", are_lost, &(int){ 1 });
	assert_non_null(db_get(agent, KEY_NODE "b"));
	assert_null(strstr(told, "-"));

	/* The other prefixes are behind what they had seen too: it is the same loss. */
	write_key(KEY_K8S_NODE "late", "{}");
	turn("the other prefix", is_known, KEY_K8S_NODE "late");
	assert_int_equal(status_number("losses"), 1);
}

static void another_cluster_loses_no_node_although_it_has_our_own_key(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	start_with_our_own_key();
	etcd_replace(&etcd);
	assert_int_equal(etcd_restart(&etcd), 0);
	write_many("/elsewhere/", 30);
	write_key(KEY_NODE "me", "{\"id\":7}");
	turn("the lost key", are_lost, &(int){ 1 });
	assert_non_null(db_get(agent, KEY_NODE "a"));
	assert_null(strstr(told, "-"));
}

/* ---- the question for our own key ---- */

int __real_store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		       struct store_op **ret);
int __wrap_store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		       struct store_op **ret);

static int to_fail; /* so many questions for one key find nobody there */
static store_range_fn asker;
static void *asker_arg;

static void nobody_there(evutil_socket_t fd, short what, void *arg)
{
	const struct store_range_result none = { .err = -EAGAIN, .error = "nobody there" };

	to_fail--;
	asker(&none, asker_arg);
}

int __wrap_store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		       struct store_op **ret)
{
	static const struct timeval now = {};

	if (prefix || !to_fail)
		return __real_store_range(s, key, prefix, fn, arg, ret);
	asker = fn;
	asker_arg = arg;
	return event_base_once(agent_base(agent), -1, EV_TIMEOUT, nobody_there, NULL, &now);
}

static bool none_is_to_fail(const void *arg)
{
	return to_fail == 0;
}

static int teardown_questions(void **state)
{
	to_fail = 0;
	return teardown(state);
}

static void a_question_for_our_own_key_that_fails_is_asked_again(void **state)
{
	write_key(KEY_NODE "a", "{\"id\":1}");
	start_with_our_own_key();
	stop();
	write_key(KEY_NODE "a", NULL);
	to_fail = 2;
	start_from_mirror();
	turn("the questions that fail", none_is_to_fail, NULL);
	assert_non_null(db_get(agent, KEY_NODE "a"));
	assert_int_equal(status_number("lostKeys"), 0);
	assert_null(strstr(told, "-"));
	until("-node/a");
	until("etcd:1");
	assert_int_equal(status_number("lostKeys"), 0);
}

/* ---- much at once ---- */

static pid_t busy;

static int teardown_busy(void **state)
{
	if (busy > 0) {
		kill(busy, SIGKILL);
		waitpid(busy, NULL, 0);
	}
	return teardown(state);
}

/* Changes nodes without a pause until it is killed. */
static void write_for_ever(void)
{
	busy = fork();
	if (busy)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	writer = event_base_new();
	for (;;)
		write_many(KEY_NODE "n", 100);
}

static int count_k8s_nodes(void)
{
	int n = 0;

	db_foreach(agent, KEY_K8S_NODE, count, &n);
	return n;
}

static bool says_no_ksr(const void *arg)
{
	_json_ *o = db_module.status(agent);
	const char *problem = NULL;

	json_opt_str(o, "problem", &problem, NULL);
	return (problem && strstr(problem, "no ksr leads")) == *(const bool *)arg;
}

static void that_no_ksr_leads_is_told_where_one_did(void **state)
{
	static const bool yes = true, no = false;

	write_key(KEY_NODE "a", "{}");
	start();
	until("etcd:1");
	assert_true(says_no_ksr(&no));
	write_key(KEY_KSR_LEADER, "{\"holder\":\"k\",\"epoch\":1}");
	turn("that there is none", says_no_ksr, &yes);
	write_key(KEY_KSR_ALIVE, "{\"holder\":\"k\",\"epoch\":1}");
	turn("that there is one", says_no_ksr, &no);
	write_key(KEY_KSR_ALIVE, NULL);
	turn("that it went", says_no_ksr, &yes);
	/* Then that is all there is to tell. */
	etcd_kill(&etcd);
	turn("that etcd is away", says_no_ksr, &no);
	assert_int_equal(etcd_restart(&etcd), 0);
	turn("that it is still so", says_no_ksr, &yes);
}

static bool is_busy(const void *arg)
{
	return status_number("revision") >= *(const int *)arg;
}

/* The nodes are listed, and change, long before the many of Kubernetes are there. */
static void deletions_while_away_count_although_others_write(void **state)
{
	int gone = 0;

	write_many(KEY_K8S_NODE "k", 6000);
	start();
	publish(KEY_NODE "me", "{\"id\":7}");
	until("etcd:");
	until_published();
	stop();

	write_key(KEY_K8S_NODE "k17", NULL);
	write_for_ever();
	for (; gone < 10; gone++) {
		char key[64];

		start();
		until("etcd:");
		assert_int_equal(status_number("lostKeys"), 0);
		assert_int_equal(count_k8s_nodes(), 5999 - gone);
		turn("more changes", is_busy, &(int){ status_number("revision") + 20 });
		stop();
		snprintf(key, sizeof(key), KEY_K8S_NODE "k%d", 100 + gone);
		write_key(key, NULL);
	}
}

/* Room for some of the keys: they are all one batch, which can't be written. */
static void a_mirror_without_room_for_all_has_what_fits(void **state)
{
	struct rlimit old, small;

	write_many(KEY_K8S_NODE "k", 3000);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){ .rlim_cur = 100 << 10, .rlim_max = old.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	start();
	until("etcd:0");
	stop();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

	etcd_kill(&etcd);
	start_from_mirror();
	until("mirror:0");
	assert_in_range(count_k8s_nodes(), 100, 2999);
}

/* ---- a disk that stands still ---- */

static sem_t at_the_disk, disk_goes_on;
static bool disk_stands_still;

int __real_mirror_sync(struct mirror *m);
int __wrap_mirror_sync(struct mirror *m);

int __wrap_mirror_sync(struct mirror *m)
{
	if (disk_stands_still) {
		sem_post(&at_the_disk);
		sem_wait(&disk_goes_on);
		disk_stands_still = false;
	}
	return __real_mirror_sync(m);
}

static bool is_at_the_disk(const void *arg)
{
	return sem_trywait(&at_the_disk) == 0;
}

static int teardown_disk(void **state)
{
	int err;

	sem_post(&disk_goes_on);
	err = teardown(state);
	sem_destroy(&disk_goes_on);
	sem_destroy(&at_the_disk);
	return err;
}

static void a_disk_that_stands_still_holds_up_nobody(void **state)
{
	sem_init(&at_the_disk, 0, 0);
	sem_init(&disk_goes_on, 0, 0);
	disk_stands_still = true;
	write_key(KEY_NODE "a", "{\"id\":1}");
	start();
	until("etcd:1");
	turn("a write to the disk", is_at_the_disk, NULL);
	write_key(KEY_NODE "b", "{\"id\":2}");
	until("+node/b");
	publish(KEY_NODE "me", "{\"id\":7}");
	until_published();
	until("+node/me"); /* etcd's word, which is mirrored, may come later than its answer */
	assert_true(disk_stands_still);
	sem_post(&disk_goes_on);
	stop();

	etcd_kill(&etcd);
	start_from_mirror();
	until("mirror:3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_in_etcd_comes_first_then_what_changes),
		TEST(a_value_that_is_no_object_leaves_the_old_one),
		TEST(a_key_of_a_node_that_can_not_be_is_ignored),
		TEST(the_mirror_takes_etcds_place_at_start),
		TEST(without_etcd_and_mirror_nobody_is_told_anything),
		TEST(etcd_killed_and_restarted_loses_no_change),
		TEST(that_no_ksr_leads_is_told_where_one_did),
		TEST(a_compaction_costs_no_change),
		TEST(lost_data_empty_no_node),
		TEST(lost_data_are_noticed_behind_a_higher_revision),
		TEST(a_rollback_loses_no_node_although_our_own_key_is_there),
		TEST(another_cluster_loses_no_node_although_it_has_our_own_key),
		cmocka_unit_test_setup_teardown(
			a_question_for_our_own_key_that_fails_is_asked_again, setup,
			teardown_questions),
		cmocka_unit_test_setup_teardown(a_disk_that_stands_still_holds_up_nobody, setup,
						teardown_disk),
		TEST(a_mirror_without_room_for_all_has_what_fits),
		cmocka_unit_test_setup_teardown(deletions_while_away_count_although_others_write,
						setup, teardown_busy),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
