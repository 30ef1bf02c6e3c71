// SPDX-License-Identifier: Apache-2.0
/* What this node says to etcd, and what it keeps for itself. */
#include "lib/base/log.h"
#include "selftests/unit/db/fixture.h"

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
	until("-node/me +node/me");
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
	start_from_mirror();
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_are_published_when_etcd_is_back_and_kept),
		TEST(a_key_given_up_while_etcd_is_away_goes_also_after_a_restart),
		TEST(a_key_that_passed_to_another_node_is_left_to_it),
		TEST(what_etcd_has_already_is_not_written_again),
		TEST(local_facts_outlive_the_agent),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
