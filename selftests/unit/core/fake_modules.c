// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/core/fake_modules.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* ---- a made-up world ---- */

struct world world;

static int note(const char *what)
{
	size_t used = strlen(world.log);

	snprintf(world.log + used, sizeof(world.log) - used, "%s%s", used ? " " : "", what);
	return world.fail && strcmp(world.fail, what) == 0 ? -EIO : 0;
}

static int item_create(void *ctx, const char *name, const void *value, struct err *e)
{
	char text[64];

	snprintf(text, sizeof(text), "+%s", name);
	note(text);
	if (world.fail_item && strcmp(world.fail_item, name) == 0)
		return err_set(e, -EIO, "told to fail");
	return 0;
}

static int item_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	char text[64];

	snprintf(text, sizeof(text), "-%s", name);
	return note(text);
}

static bool item_equal(const void *a, const void *b)
{
	return true;
}

static void item_free(void *value)
{
}

static struct json_object *item_describe(const char *name, const void *value)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "name", name);
	return o;
}

static const struct descriptor item_kind = {
	.name = "item",
	.create = item_create,
	.delete = item_delete,
	.equal = item_equal,
	.free = item_free,
	.describe = item_describe,
};

static void put_items(struct txn *txn, const char *names)
{
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", names ? names : "");
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		assert_int_equal(txn_put(txn, NULL, "item/%s", w), 0);
}

/* ---- made-up events ---- */

static void event_done(struct agent_event *ev, int err, const struct err *e)
{
	struct test_event *t = container_of(ev, struct test_event, ev);

	note("done");
	if (t->ret_err)
		*t->ret_err = err;
	if (t->ret_msg)
		snprintf(t->ret_msg, 256, "%s", e ? e->msg : "");
}

static void event_gone(struct agent_event *ev)
{
	free(container_of(ev, struct test_event, ev));
}

static struct json_object *event_facts(const struct agent_event *ev)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "fact", "42");
	return o;
}

#define TYPE(name_, ...)                                                                        \
	{                                                                                       \
		.name = name_, .done = event_done, .free = event_gone, .describe = event_facts, \
		__VA_ARGS__                                                                     \
	}
const struct event_type opening = TYPE("opening", .method = EVENT_FULL_RESYNC, .opens = true),
			adding = TYPE("adding", .mode = TXN_REVERT_ON_FAILURE),
			changing = TYPE("changing", .mode = TXN_BEST_EFFORT),
			deleting = TYPE("deleting", .mode = TXN_BEST_EFFORT, .reverse = true);

struct test_event *new_event(const struct event_type *type)
{
	struct test_event *t = calloc(1, sizeof(*t));

	t->ev.type = type;
	return t;
}

/* ---- made-up modules ---- */

static int init(struct agent *a, struct err *e, const char *what)
{
	int err = note(what);

	return err < 0 ? err_set(e, err, "told to fail") : 0;
}

static bool handles(struct agent *a, const struct agent_event *ev)
{
	return true;
}

static int called(const char *what, struct err *e)
{
	int err = note(what);

	return err < 0 ? err_set(e, err, "told to fail") : 0;
}

#define MODULE_CALLS(m)                                                 \
	static void m##_fini(struct agent *a)                           \
	{                                                               \
		note(#m ":fini");                                       \
	}                                                               \
	static void m##_revert(struct agent *a, struct agent_event *ev) \
	{                                                               \
		note(#m ":revert");                                     \
	}
MODULE_CALLS(m1)
MODULE_CALLS(m2)
MODULE_CALLS(m3)

static int m1_init(struct agent *a, struct err *e)
{
	assert_int_equal(scheduler_register(agent_scheduler(a), &item_kind, NULL), 0);
	return init(a, e, "m1:init");
}

static int m2_init(struct agent *a, struct err *e)
{
	return init(a, e, "m2:init");
}

static void on_ready(struct agent *a, bool ready)
{
	world.ready_calls++;
	world.ready = ready;
}

static int m3_init(struct agent *a, struct err *e)
{
	agent_on_ready(a, on_ready);
	return init(a, e, "m3:init");
}

static int m1_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	if (world.follow_up)
		event_push(a, TAKE_PTR(world.follow_up));
	return called("m1:update", e);
}

static int m2_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	put_items(txn, container_of(ev, struct test_event, ev)->items);
	return called("m2:update", e);
}

static int m3_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	return called("m3:update", e);
}

static int m2_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	int err = called("m2:resync", e);

	if (!err)
		put_items(txn, world.resync_puts);
	return err;
}

static int m3_ready(struct agent *a, struct err *e)
{
	return world.not_ready ? err_set(e, -EAGAIN, "%s", world.not_ready) : 0;
}

static struct json_object *m2_status(struct agent *a)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "says", "hello");
	return o;
}

static void m2_metrics(struct agent *a, struct metrics *m)
{
	metrics_sample(m, "test_things", METRIC_GAUGE, "Things.", 7, "who", "m2", NULL);
}

static const struct module m1 = { .name = "m1",
				  .init = m1_init,
				  .fini = m1_fini,
				  .handles = handles,
				  .update = m1_update,
				  .revert = m1_revert };
static const struct module m2 = { .name = "m2",
				  .needs = NEEDS("m1"),
				  .init = m2_init,
				  .fini = m2_fini,
				  .handles = handles,
				  .update = m2_update,
				  .resync = m2_resync,
				  .revert = m2_revert,
				  .status = m2_status,
				  .metrics = m2_metrics };
static const struct module m3 = { .name = "m3",
				  .needs = NEEDS("m2"),
				  .init = m3_init,
				  .fini = m3_fini,
				  .handles = handles,
				  .update = m3_update,
				  .revert = m3_revert,
				  .ready = m3_ready };
static const struct module *const modules[] = { &m3, &m2, &m1, NULL };

/* ---- fixture ---- */

int agent_in(struct fixture *f, struct err *e)
{
	return agent_new(&f->cfg, modules, &f->a, e);
}

void fixture_open(struct fixture *f, bool start)
{
	char text[1024];
	struct err e = {};

	*f = (struct fixture){ .dir = "/tmp/nlt-core-XXXXXX" };
	world = (struct world){};
	assert_non_null(mkdtemp(f->dir));
	snprintf(text, sizeof(text),
		 "nodeName: n1\napi: {port: 0, socket: %s/api.sock}\n"
		 "paths: {state: %s/a/state}\n"
		 "controller: {healingDelay: 20ms, historyEntries: 50, retryMin: 1h, retryMax: "
		 "1h}\n",
		 f->dir, f->dir);
	assert_int_equal(config_parse(agent_config_fields, agent_config_n_fields, text,
				      strlen(text), &f->cfg, &e),
			 0);
	if (start && agent_in(f, &e) < 0)
		fail_msg("%s", e.msg);
	world.log[0] = 0;
}

void fixture_close(struct fixture *f)
{
	char path[128];

	agent_free(f->a);
	agent_config_free(&f->cfg);
	snprintf(path, sizeof(path), "%s/a/state/agent.lock", f->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/a/state", f->dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/a", f->dir);
	rmdir(path);
	assert_int_equal(rmdir(f->dir), 0);
}

void turn_until(struct fixture *f, const char *what)
{
	while (!strstr(world.log, what))
		assert_int_equal(event_base_loop(agent_base(f->a), EVLOOP_ONCE), 0);
}

void push(struct fixture *f, struct test_event *t)
{
	event_push(f->a, &t->ev);
	turn_until(f, "done");
}

void open_queue(struct fixture *f)
{
	push(f, new_event(&opening));
	world.log[0] = 0;
}
