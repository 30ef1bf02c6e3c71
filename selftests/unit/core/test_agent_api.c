// SPDX-License-Identifier: Apache-2.0
#include <event2/buffer.h>
#include <event2/http.h>

#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"
#include "selftests/unit/core/fake_modules.h"

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
		cmocka_unit_test(readiness_names_who_waits_for_what),
		cmocka_unit_test(the_api_shows_items_and_history),
		cmocka_unit_test(the_history_forgets_the_oldest),
	};

	log_set_level(LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
