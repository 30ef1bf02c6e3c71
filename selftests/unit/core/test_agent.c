// SPDX-License-Identifier: Apache-2.0
/* The core with made-up modules: m1, m2 (needs m1), m3 (needs m2). Each call is noted as
 * "m1:update". */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <sys/stat.h>

#include "agent/core/agent.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* ---- a made-up world ---- */

static struct world {
	char log[1024];
	const char *fail;	 /* "m2:update": that call fails */
	const char *fail_item;	 /* name of an item that can't be created */
	const char *not_ready;	 /* reason of m3 */
	struct event *follow_up; /* pushed by m1's update */
	const char *resync_puts; /* items of m2's resync */
	int ready_calls;
	bool ready;
} world;

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

struct test_event {
	struct event ev;
	const char *items; /* put by m2 */
	int *ret_err;
	char *ret_msg; /* 256 bytes */
};

static void event_done(struct event *ev, int err, const struct err *e)
{
	struct test_event *t = container_of(ev, struct test_event, ev);

	note("done");
	if (t->ret_err)
		*t->ret_err = err;
	if (t->ret_msg)
		snprintf(t->ret_msg, 256, "%s", e ? e->msg : "");
}

static void event_gone(struct event *ev)
{
	free(container_of(ev, struct test_event, ev));
}

static struct json_object *event_facts(const struct event *ev)
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
static const struct event_type opening =
				       TYPE("opening", .method = EVENT_FULL_RESYNC, .opens = true),
			       adding = TYPE("adding", .mode = TXN_REVERT_ON_FAILURE),
			       changing = TYPE("changing", .mode = TXN_BEST_EFFORT),
			       deleting =
				       TYPE("deleting", .mode = TXN_BEST_EFFORT, .reverse = true);

static struct test_event *new_event(const struct event_type *type)
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

static bool handles(struct agent *a, const struct event *ev)
{
	return true;
}

static int called(const char *what, struct err *e)
{
	int err = note(what);

	return err < 0 ? err_set(e, err, "told to fail") : 0;
}

#define MODULE_CALLS(m)                                           \
	static void m##_fini(struct agent *a)                     \
	{                                                         \
		note(#m ":fini");                                 \
	}                                                         \
	static void m##_revert(struct agent *a, struct event *ev) \
	{                                                         \
		note(#m ":revert");                               \
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

static int m1_update(struct agent *a, struct event *ev, struct txn *txn, struct err *e)
{
	if (world.follow_up)
		event_push(a, TAKE_PTR(world.follow_up));
	return called("m1:update", e);
}

static int m2_update(struct agent *a, struct event *ev, struct txn *txn, struct err *e)
{
	put_items(txn, container_of(ev, struct test_event, ev)->items);
	return called("m2:update", e);
}

static int m3_update(struct agent *a, struct event *ev, struct txn *txn, struct err *e)
{
	return called("m3:update", e);
}

static int m2_resync(struct agent *a, struct event *ev, struct txn *txn, struct err *e)
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

struct fixture {
	char dir[64];
	struct agent_config cfg;
	struct agent *a;
};

static int agent_in(struct fixture *f, struct err *e)
{
	return agent_new(&f->cfg, modules, &f->a, e);
}

static void fixture_open(struct fixture *f, bool start)
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

static void fixture_close(struct fixture *f)
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

/* Turns the loop until the log holds `what`. */
static void turn_until(struct fixture *f, const char *what)
{
	while (!strstr(world.log, what))
		assert_int_equal(event_base_loop(agent_base(f->a), EVLOOP_ONCE), 0);
}

/* Pushes and turns until it is done. */
static void push(struct fixture *f, struct test_event *t)
{
	event_push(f->a, &t->ev);
	turn_until(f, "done");
}

static void open_queue(struct fixture *f)
{
	push(f, new_event(&opening));
	world.log[0] = 0;
}

/* ---- events ---- */

static void handlers_run_by_need_and_backwards_for_deletions(void **state)
{
	struct fixture f;

	fixture_open(&f, true);
	open_queue(&f);
	push(&f, new_event(&changing));
	assert_string_equal(world.log, "m1:update m2:update m3:update done");
	world.log[0] = 0;
	push(&f, new_event(&deleting));
	assert_string_equal(world.log, "m3:update m2:update m1:update done");
	fixture_close(&f);
}

static void follow_ups_go_before_what_waits(void **state)
{
	struct test_event *first, *second, *follow_up;
	struct fixture f;

	fixture_open(&f, true);
	open_queue(&f);
	first = new_event(&changing);
	first->items = "first";
	second = new_event(&changing);
	second->items = "second";
	follow_up = new_event(&changing);
	follow_up->items = "follow-up";
	world.follow_up = &follow_up->ev;
	event_push(f.a, &first->ev);
	event_push(f.a, &second->ev);
	assert_int_equal(event_queue_len(f.a), 2);
	turn_until(&f, "+second");
	assert_true(strstr(world.log, "+first") < strstr(world.log, "+follow-up"));
	assert_true(strstr(world.log, "+follow-up") < strstr(world.log, "+second"));
	assert_int_equal(event_queue_len(f.a), 0);
	fixture_close(&f);
}

static void events_wait_for_the_first_one_that_opens(void **state)
{
	struct test_event *early = new_event(&changing);
	struct fixture f;

	fixture_open(&f, true);
	early->items = "early";
	event_push(f.a, &early->ev);
	event_push_resync(f.a, EVENT_UPSTREAM_RESYNC, "early as well");
	event_base_loop(agent_base(f.a), EVLOOP_NONBLOCK);
	assert_string_equal(world.log, "");
	event_push(f.a, &new_event(&opening)->ev);
	world.resync_puts = "state";
	turn_until(&f, "+early");
	/* The resync that came early runs too, last: it wants "state" alone. */
	turn_until(&f, "-early");
	assert_string_equal(world.log, "m2:resync +state done m1:update m2:update m3:update +early "
				       "done m2:resync -early");
	fixture_close(&f);
}

/* ---- what fails ---- */

static void a_failing_handler_undoes_those_before_it(void **state)
{
	struct test_event *t = new_event(&adding);
	char msg[256] = "";
	struct fixture f;
	int err = 0;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail = "m3:update";
	t->items = "one";
	t->ret_err = &err;
	t->ret_msg = msg;
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update m2:revert m1:revert done");
	assert_int_equal(err, -EIO);
	assert_string_equal(msg, "m3: told to fail");
	fixture_close(&f);
}

static void a_failing_item_undoes_all(void **state)
{
	struct test_event *t = new_event(&adding);
	char msg[256] = "";
	struct fixture f;
	int err = 0;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail_item = "two";
	t->items = "one two";
	t->ret_err = &err;
	t->ret_msg = msg;
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update +one +two -one m3:revert "
				       "m2:revert m1:revert done");
	assert_int_equal(err, -EIO);
	assert_string_equal(msg, "item/two: told to fail");
	fixture_close(&f);
}

static void a_failure_that_stays_is_healed_by_a_resync(void **state)
{
	struct test_event *t = new_event(&changing);
	struct fixture f;
	int err = -1;

	fixture_open(&f, true);
	open_queue(&f);
	world.fail = "m2:update";
	t->items = "one";
	t->ret_err = &err;
	world.resync_puts = "one two";
	push(&f, t);
	assert_string_equal(world.log, "m1:update m2:update m3:update +one done");
	assert_int_equal(err, 0);
	turn_until(&f, "m2:resync +two");
	fixture_close(&f);
}

static void a_resync_that_fails_in_part_deletes_nothing(void **state)
{
	struct test_event *t;
	struct fixture f;

	fixture_open(&f, true);
	world.resync_puts = "one two";
	open_queue(&f);
	t = new_event(&opening);
	world.fail = "m2:resync";
	push(&f, t);
	assert_string_equal(world.log, "m2:resync done");
	world.log[0] = 0;
	world.fail = NULL;
	world.resync_puts = "one";
	turn_until(&f, "-two"); /* the healing */
	fixture_close(&f);
}

/* ---- start ---- */

static void a_module_that_fails_to_start_stops_those_before_it(void **state)
{
	struct err e = {};
	struct fixture f;

	fixture_open(&f, false);
	world.fail = "m2:init";
	assert_int_equal(agent_in(&f, &e), -EIO);
	assert_string_equal(e.msg, "m2: told to fail");
	assert_string_equal(world.log, "m1:init m2:init m2:fini m1:fini");
	fixture_close(&f);
}

static void a_second_agent_on_the_same_state_is_refused(void **state)
{
	struct fixture f, second;
	struct err e = {};
	char want[256];

	fixture_open(&f, true);
	second = f;
	second.a = NULL;
	assert_int_equal(agent_in(&second, &e), -EBUSY);
	snprintf(want, sizeof(want),
		 "another netloom-agent (process %d) runs with paths.state '%s/a/state'", getpid(),
		 f.dir);
	assert_string_equal(e.msg, want);
	fixture_close(&f);
}

static const struct module a = { .name = "a" }, b = { .name = "b", .needs = NEEDS("a") },
			   c = { .name = "c", .needs = NEEDS("b", "a") },
			   lost = { .name = "lost", .needs = NEEDS("a", "nowhere") },
			   x = { .name = "x", .needs = NEEDS("y") },
			   y = { .name = "y", .needs = NEEDS("x") },
			   self = { .name = "self", .needs = NEEDS("self") };

static void modules_are_sorted_or_refused(void **state)
{
	static const struct {
		const struct module *list[5];
		const char *order, *error;
	} sorts[] = {
		{ { &a, &b, &c }, "abc", NULL },
		{ { &c, &b, &a }, "abc", NULL },
		{ { &b, &c, &a }, "abc", NULL },
		{ { NULL }, "", NULL },
		{ { &a, &lost }, NULL, "module 'lost' needs 'nowhere', which there is not" },
		{ { &a, &x, &y }, NULL, "modules need each other: 'x' needs 'y' needs 'x'" },
		{ { &self }, NULL, "modules need each other: 'self' needs 'self'" },
		{ { &a, &b, &a }, NULL, "module 'a' is there twice" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++) {
		const struct module *ret[5];
		char order[8] = "";
		struct err e = {};
		int err = modules_sort(sorts[i].list, ret, &e);

		if (sorts[i].error) {
			assert_int_equal(err, -EINVAL);
			assert_string_equal(e.msg, sorts[i].error);
			continue;
		}
		assert_int_equal(err, 0);
		for (size_t n = 0; ret[n]; n++)
			order[n] = ret[n]->name[0];
		assert_string_equal(order, sorts[i].order);
	}
}

/* ---- readiness and the API ---- */

struct answer {
	int status;
	char *body;
	bool done;
};

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct answer *ans = arg;
	struct evbuffer *in;

	ans->done = true;
	if (!req)
		return;
	ans->status = evhttp_request_get_response_code(req);
	in = evhttp_request_get_input_buffer(req);
	ans->body = strndup((const char *)evbuffer_pullup(in, -1), evbuffer_get_length(in));
}

static char *fetch(struct fixture *f, enum evhttp_cmd_type method, const char *path, int status)
{
	struct event_base *base = agent_base(f->a);
	struct evhttp_connection *con =
		evhttp_connection_base_new(base, NULL, "127.0.0.1", httpd_port(agent_httpd(f->a)));
	struct answer ans = {};
	struct evhttp_request *req = evhttp_request_new(on_answer, &ans);

	evhttp_add_header(evhttp_request_get_output_headers(req), "Host", "localhost");
	evhttp_make_request(con, req, method, path);
	while (!ans.done)
		event_base_loop(base, EVLOOP_ONCE);
	evhttp_connection_free(con);
	if (ans.status != status)
		fail_msg("%s: %d, %s", path, ans.status, ans.body);
	return ans.body;
}

static void assert_answer(struct fixture *f, const char *path, int status, const char *part)
{
	char *body = fetch(f, EVHTTP_REQ_GET, path, status);

	if (!strstr(body, part))
		fail_msg("%s: no '%s' in '%s'", path, part, body);
	free(body);
}

static void readiness_names_who_waits_for_what(void **state)
{
	struct fixture f;

	fixture_open(&f, true);
	world.not_ready = "waits for rain";
	assert_answer(&f, "/readyz", 503, "\"module\":\"agent\"");
	open_queue(&f);
	assert_answer(&f, "/readyz", 503,
		      "\"waiting\":[{\"module\":\"m3\",\"reason\":\"waits for rain\"}]");
	assert_answer(&f, "/livez", 200, "ok");
	assert_int_equal(world.ready_calls, 0);

	world.not_ready = NULL;
	agent_ready_changed(f.a);
	assert_answer(&f, "/readyz", 200, "\"ready\":true");
	assert_true(agent_is_ready(f.a));
	assert_int_equal(world.ready_calls, 1);
	assert_true(world.ready);

	world.not_ready = "drought";
	agent_ready_changed(f.a);
	assert_answer(&f, "/readyz", 503, "drought");
	assert_int_equal(world.ready_calls, 2);
	assert_false(world.ready);
	fixture_close(&f);
}

static void the_api_shows_items_and_history(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *part;
	} asks[] = {
		{ "/v1/items", 200, "\"key\":\"item/one\",\"state\":\"applied\"" },
		{ "/v1/items?prefix=item/t", 200,
		  "{\"items\":[{\"key\":\"item/two\",\"state\":\"failed\",\"error\":\"told to "
		  "fail\"" },
		{ "/v1/items?prefix=other", 200, "{\"items\":[]}" },
		{ "/v1/items/item/one", 200, "\"value\":{\"name\":\"one\"}" },
		{ "/v1/items/item/on", 404, "no such item" },
		{ "/v1/history?last=1", 200, "\"what\":{\"fact\":\"42\"}" },
		{ "/v1/history?last=1", 200, "\"module\":\"m2\",\"step\":\"update\"" },
		{ "/v1/history", 200, "{\"op\":\"create\",\"item\":\"item/one\"}" },
		{ "/v1/history", 200, "\"items\":{\"created\":1,\"failed\":1}" },
		{ "/v1/history?since=1000", 200, "\"records\":[]}" },
		{ "/v1/history?since=x", 400, "numbers" },
		{ "/v1/status", 200, "\"node\":\"n1\"" },
		{ "/v1/status", 200, "\"m2\":{\"says\":\"hello\"}" },
		{ "/metrics", 200, "test_things{who=\"m2\"} 7\n" },
		{ "/metrics", 200,
		  "netloom_agent_events_total{event=\"changing\",result=\"failed\"} 1\n" },
		{ "/metrics", 200,
		  "netloom_scheduler_items{descriptor=\"item\",state=\"failed\"} 1\n" },
		{ "/metrics", 200, "process_resident_memory_bytes" },
		{ "/v1/resync", 405, "not allowed" },
		{ "/nowhere", 404, "no such path" },
	};
	struct test_event *t = new_event(&changing);
	struct fixture f;

	fixture_open(&f, true);
	f.cfg.controller.healing_delay_ms = 3600000;
	open_queue(&f);
	world.fail_item = "two";
	t->items = "one two";
	push(&f, t);
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++)
		assert_answer(&f, asks[i].path, asks[i].status, asks[i].part);
	free(fetch(&f, EVHTTP_REQ_POST, "/v1/resync?method=sideways", 400));
	world.log[0] = 0;
	free(fetch(&f, EVHTTP_REQ_POST, "/v1/resync", 202));
	turn_until(&f, "m2:resync");
	fixture_close(&f);
}

static void the_history_forgets_the_oldest(void **state)
{
	struct fixture f;
	char *body;
	_json_ *o = NULL;

	fixture_open(&f, true);
	open_queue(&f);
	for (int i = 0; i < 60; i++) {
		world.log[0] = 0;
		push(&f, new_event(&changing));
	}
	body = fetch(&f, EVHTTP_REQ_GET, "/v1/history", 200);
	assert_int_equal(json_parse(body, strlen(body), &o, NULL), 0);
	assert_int_equal(json_object_array_length(json_field(o, "records")), 50);
	assert_int_equal(json_object_get_int(json_field(o, "seq")), 61);
	free(body);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handlers_run_by_need_and_backwards_for_deletions),
		cmocka_unit_test(follow_ups_go_before_what_waits),
		cmocka_unit_test(events_wait_for_the_first_one_that_opens),
		cmocka_unit_test(a_failing_handler_undoes_those_before_it),
		cmocka_unit_test(a_failing_item_undoes_all),
		cmocka_unit_test(a_failure_that_stays_is_healed_by_a_resync),
		cmocka_unit_test(a_resync_that_fails_in_part_deletes_nothing),
		cmocka_unit_test(a_module_that_fails_to_start_stops_those_before_it),
		cmocka_unit_test(a_second_agent_on_the_same_state_is_refused),
		cmocka_unit_test(modules_are_sorted_or_refused),
		cmocka_unit_test(readiness_names_who_waits_for_what),
		cmocka_unit_test(the_api_shows_items_and_history),
		cmocka_unit_test(the_history_forgets_the_oldest),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
