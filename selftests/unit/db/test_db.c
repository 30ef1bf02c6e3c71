// SPDX-License-Identifier: Apache-2.0
/*
 * The db module in a real agent core on a real etcd. A second module notes what it is told:
 * "etcd:2" a resync from etcd with two nodes, "+n1" "~n1" "-n1" a node that came, changed, went.
 */
#include "agent/modules/db/db.h"

#include <errno.h>

#include "agent/core/agent.h"
#include "agent/modules/modules.h"
#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/json/json.h"
#include "selftests/unit/store/fixture.h"

static struct event_base *writer; /* of the one who writes to etcd; the agent stands still then */
static struct etcd etcd;
static char dir[64];
static struct agent_config cfg;
static struct agent *agent;
static char told[2048];

static void tell(const char *what)
{
	size_t used = strlen(told);

	snprintf(told + used, sizeof(told) - used, "%s%s", used ? " " : "", what);
}

/* ---- the module that is told ---- */

static bool watches(struct agent *a, const struct agent_event *ev)
{
	return db_change_below(ev, KEY_NODE) || db_change_below(ev, KEY_K8S_NODE);
}

static int on_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	const struct db_change *c = db_change_below(ev, KEY_ROOT);
	char text[128];

	snprintf(text, sizeof(text), "%c%s",
		 !c->old_value	? '+'
		 : c->new_value ? '~'
				: '-',
		 c->key + strlen(KEY_ROOT));
	tell(text);
	return 0;
}

static int count(const char *key, struct json_object *value, void *arg)
{
	assert_true(json_object_is_type(value, json_type_object));
	++*(int *)arg;
	return 0;
}

static int on_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	static const char *const origins[] = { "nothing", "mirror", "etcd" };
	char text[64];
	int n = 0;

	db_foreach(a, KEY_NODE, count, &n);
	snprintf(text, sizeof(text), "%s:%d", origins[db_origin(a)], n);
	tell(text);
	return 0;
}

static int nothing(struct agent *a, struct err *e)
{
	return 0;
}

static const struct module watcher = { .name = "watcher",
				       .needs = NEEDS("db"),
				       .init = nothing,
				       .handles = watches,
				       .update = on_update,
				       .resync = on_resync };
static const struct module *const modules[] = { &db_module, &watcher, NULL };

/* ---- agent ---- */

static void start(void)
{
	char text[512];
	struct err e = {};

	told[0] = 0;
	snprintf(text, sizeof(text),
		 "nodeName: me\napi: {address: '', socket: ''}\npaths: {state: %s}\n"
		 "etcd: {endpoints: ['%s']}\n"
		 "controller: {mirrorDeadline: 300ms, retryMin: 50ms, retryMax: 200ms}\n",
		 dir, etcd.url);
	assert_int_equal(config_parse(agent_config_fields, agent_config_n_fields, text,
				      strlen(text), &cfg, &e),
			 0);
	if (agent_new(&cfg, modules, &agent, &e) < 0)
		fail_msg("%s", e.msg);
}

static void stop(void)
{
	agent_free(TAKE_PTR(agent));
	agent_config_free(&cfg);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* Turns the agent's loop until `what` holds. */
static void turn(const char *name, bool (*what)(const void *arg), const void *arg)
{
	struct timeval limit = { .tv_sec = 30 };
	bool late = false;
	struct event *timer = evtimer_new(agent_base(agent), on_late, &late);

	event_add(timer, &limit);
	while (!late && !what(arg))
		event_base_loop(agent_base(agent), EVLOOP_ONCE);
	event_free(timer);
	if (late)
		fail_msg("waited 30 s for %s; told: %s", name, told);
}

static bool is_told(const void *arg)
{
	return strstr(told, arg) != NULL;
}

static void until(const char *what)
{
	turn(what, is_told, what);
}

static int status_number(const char *name)
{
	_json_ *o = db_module.status(agent);

	return json_object_get_int(json_field(o, name));
}

static bool nothing_unpublished(const void *arg)
{
	return db_connected(agent) && status_number("unpublished") == 0;
}

static bool is_known(const void *arg)
{
	return db_get(agent, arg) != NULL;
}

static bool are_lost(const void *arg)
{
	return status_number("lostKeys") >= *(const int *)arg;
}

static void until_published(void)
{
	turn("all that is published", nothing_unpublished, NULL);
}

static void publish(const char *key, const char *value)
{
	assert_int_equal(db_publish(agent, key, value), 0);
}

/* ---- the one who writes to etcd ---- */

static void write_key(const char *key, const char *value)
{
	struct store *s;

	base = writer;
	s = connect_to(etcd.url);
	if (value)
		assert_int_equal(put(s, key, value).err, 0);
	else
		assert_int_equal(del(s, key, false).err, 0);
	store_free(s);
}

static void write_many(const char *prefix, int n)
{
	struct store *s;

	base = writer;
	s = connect_to(etcd.url);
	for (int i = 0; i < n; i++) {
		char key[64];

		snprintf(key, sizeof(key), "%s%d", prefix, i);
		assert_int_equal(put(s, key, "{}").err, 0);
	}
	store_free(s);
}

static struct answer read_key(const char *key)
{
	struct answer a;
	struct store *s;

	base = writer;
	s = connect_to(etcd.url);
	a = get(s, key, false);
	store_free(s);
	return a;
}

/* What this node publishes comes back by itself after etcd lost it. */
static void until_written_again(void)
{
	for (int i = 0; i < 300; i++) {
		base = agent_base(agent);
		turn_for(50);
		if (read_key(KEY_NODE "me").n)
			return;
	}
	fail_msg("what is published was not written again within 15 s; told: %s", told);
}

/* ---- tests ---- */

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nlt-db-XXXXXX");
	assert_non_null(mkdtemp(dir));
	writer = event_base_new();
	return etcd_start(&etcd, NULL);
}

static int teardown(void **state)
{
	static const char *const files[] = { "agent.lock", "agent.mdb", "agent.mdb-lock",
					     "agent.mdb.corrupt" };
	char path[128];

	if (agent)
		stop();
	etcd_stop(&etcd);
	event_base_free(writer);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

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
	start();
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
	start();
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
	until_written_again();
	turn("the lost keys", are_lost, &(int){ 2 });
	assert_null(strstr(told, "-"));
	assert_non_null(db_get(agent, KEY_NODE "a"));
	assert_non_null(db_get(agent, KEY_K8S_NODE "b"));
}

static void keys_are_published_when_etcd_is_back_and_kept(void **state)
{
	start();
	until("etcd:0");
	etcd_kill(&etcd);
	publish(KEY_NODE "me", "{\"id\":1}");
	publish(KEY_NODE "me", "{\"id\":2}");
	assert_int_equal(status_number("unpublished"), 1);
	assert_int_equal(etcd_restart(&etcd), 0);
	until("+node/me");
	until_published();
	assert_string_equal(read_key(KEY_NODE "me").first_value, "{\"id\":2}");

	write_key(KEY_NODE "me", NULL);
	until("-node/me");
	told[0] = 0;
	until("+node/me");
	assert_string_equal(read_key(KEY_NODE "me").first_value, "{\"id\":2}");
}

static void a_key_given_up_while_etcd_is_away_goes_also_after_a_restart(void **state)
{
	start();
	until("etcd:0");
	publish(KEY_NODE "me", "{\"id\":1}");
	until("+node/me");
	until_published();
	etcd_kill(&etcd);
	db_unpublish(agent, KEY_NODE "me");
	stop();
	start();
	until("mirror:1");
	assert_int_equal(etcd_restart(&etcd), 0);
	until("etcd:");
	until_published();
	assert_int_equal(read_key(KEY_NODE "me").n, 0);
}

/* A pod of a StatefulSet moves, and the node that had it learns late. */
static void a_key_that_passed_to_another_node_is_left_to_it(void **state)
{
	static const char key[] = KEY_ENDPOINT "shop/db-0",
			  theirs[] = "{\"node\":\"other\",\"since\":20}";

	start();
	until("etcd:0");
	publish(key, "{\"node\":\"me\",\"since\":10}");
	until_published();
	write_key(key, theirs);
	publish(key, "{\"node\":\"me\",\"since\":10,\"late\":true}");
	until_published();
	assert_string_equal(read_key(key).first_value, theirs);
	db_unpublish(agent, key);
	until_published();
	assert_string_equal(read_key(key).first_value, theirs);

	stop();
	start();
	until("etcd:0");
	publish(key, "{\"node\":\"me\",\"since\":10}");
	until_published();
	assert_string_equal(read_key(key).first_value, theirs);
	publish(key, "{\"node\":\"me\",\"since\":30}");
	until_published();
	assert_non_null(strstr(read_key(key).first_value, "\"me\""));
	db_unpublish(agent, key);
	until_published();
	assert_int_equal(read_key(key).n, 0);
}

static void what_etcd_has_already_is_not_written_again(void **state)
{
	char key[64];
	int64_t before;

	for (int round = 0; round < 2; round++) {
		start();
		until("etcd:");
		for (int i = 0; i < 200; i++) {
			snprintf(key, sizeof(key), KEY_ENDPOINT "shop/web-%d", i);
			publish(key, "{\"node\":\"me\",\"since\":10}");
		}
		until_published();
		if (round == 0)
			before = read_key(key).revision;
		stop();
	}
	assert_int_equal(read_key(key).n, 1);
	assert_int_equal(read_key(key).revision, before);
}

static int collect(const char *key, const char *value, void *arg)
{
	char text[64];

	snprintf(text, sizeof(text), "%s=%s", key, value);
	tell(text);
	return 0;
}

static void local_facts_outlive_the_agent(void **state)
{
	start();
	assert_int_equal(db_local_put(agent, "facts", "x", "1"), 0);
	assert_int_equal(db_local_put(agent, "facts", "y", "2"), 0);
	assert_int_equal(db_local_del(agent, "facts", "x"), 0);
	stop();
	start();
	db_local_foreach(agent, "facts", collect, NULL);
	assert_string_equal(told, "y=2");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_in_etcd_comes_first_then_what_changes),
		TEST(a_value_that_is_no_object_leaves_the_old_one),
		TEST(a_key_of_a_node_that_can_not_be_is_ignored),
		TEST(the_mirror_takes_etcds_place_at_start),
		TEST(without_etcd_and_mirror_nobody_is_told_anything),
		TEST(etcd_killed_and_restarted_loses_no_change),
		TEST(a_compaction_costs_no_change),
		TEST(lost_data_empty_no_node),
		TEST(lost_data_are_noticed_behind_a_higher_revision),
		TEST(keys_are_published_when_etcd_is_back_and_kept),
		TEST(a_key_given_up_while_etcd_is_away_goes_also_after_a_restart),
		TEST(a_key_that_passed_to_another_node_is_left_to_it),
		TEST(what_etcd_has_already_is_not_written_again),
		TEST(local_facts_outlive_the_agent),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
