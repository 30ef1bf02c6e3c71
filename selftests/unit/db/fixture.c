// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/db/fixture.h"

#include <errno.h>

#include "agent/modules/modules.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

struct event_base *writer;
struct etcd etcd;
struct agent *agent;
char told[2048];

static char dir[64];
static struct agent_config cfg;

void tell(const char *what)
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

int count(const char *key, struct json_object *value, void *arg)
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

static void start_with(const char *mirror_deadline)
{
	char text[512];
	struct err e = {};

	told[0] = 0;
	snprintf(text, sizeof(text),
		 "nodeName: me\napi: {address: '', socket: ''}\npaths: {state: %s}\n"
		 "etcd: {endpoints: ['%s']}\n"
		 "controller: {mirrorDeadline: %s, retryMin: 50ms, retryMax: 200ms}\n",
		 dir, etcd.url, mirror_deadline);
	assert_int_equal(config_parse(agent_config_fields, agent_config_n_fields, text,
				      strlen(text), &cfg, &e),
			 0);
	if (agent_new(&cfg, modules, &agent, &e) < 0)
		fail_msg("%s", e.msg);
}

void start(void)
{
	start_with("10m");
}

void start_from_mirror(void)
{
	start_with("300ms");
}

void stop(void)
{
	agent_free(TAKE_PTR(agent));
	agent_config_free(&cfg);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* Turns the agent's loop until `what` holds. */
void turn(const char *name, bool (*what)(const void *arg), const void *arg)
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

void until(const char *what)
{
	turn(what, is_told, what);
}

int status_number(const char *name)
{
	_json_ *o = db_module.status(agent);

	return json_object_get_int(json_field(o, name));
}

static bool nothing_unpublished(const void *arg)
{
	return db_connected(agent) && status_number("unpublished") == 0;
}

bool is_known(const void *arg)
{
	return db_get(agent, arg) != NULL;
}

bool are_lost(const void *arg)
{
	return status_number("lostKeys") >= *(const int *)arg;
}

void until_published(void)
{
	turn("all that is published", nothing_unpublished, NULL);
}

void publish(const char *key, const char *value)
{
	assert_int_equal(db_publish(agent, key, value), 0);
}

/* ---- the one who writes to etcd ---- */

void write_key(const char *key, const char *value)
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

void write_many(const char *prefix, int n)
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

struct answer read_key(const char *key)
{
	struct answer a;
	struct store *s;

	base = writer;
	s = connect_to(etcd.url);
	a = get(s, key, false);
	store_free(s);
	return a;
}

void until_written_again(void)
{
	for (int i = 0; i < 600; i++) {
		base = agent_base(agent);
		turn_for(50);
		if (read_key(KEY_NODE "me").n)
			return;
	}
	fail_msg("what is published was not written again within 30 s; told: %s", told);
}

/* ---- around a test ---- */

int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nlt-db-XXXXXX");
	assert_non_null(mkdtemp(dir));
	writer = event_base_new();
	return etcd_start(&etcd, NULL);
}

int teardown(void **state)
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
