// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/http/http.h"
#include "selftests/lib/etcd.h"
#include "selftests/lib/fakehttp.h"

static struct event_base *base;
static struct http_client *client;
static struct fake_http *server;

struct seen {
	int done, chunks, err;
	long status;
	char body[4096], error[256];
	size_t body_len, streamed;
	unsigned int retry_after_s;
	bool unsent;
	/* what to do inside of callbacks */
	bool cancel_in_data, free_in_data, free_in_done, restart_in_data, restart_in_done;
	int refuse_data;
	struct http_call *call, *cancel_other;
	struct seen *next;
};

static void start(struct seen *s, const char *path, bool stream);

static int on_data(struct http_call *call, const void *data, size_t len, void *arg)
{
	struct seen *s = arg;

	s->chunks++;
	s->streamed += len;
	if (s->restart_in_data && s->chunks == 1)
		start(s->next, "/echo", false);
	if (s->cancel_other)
		http_call_cancel(TAKE_PTR(s->cancel_other));
	if (s->cancel_in_data)
		http_call_cancel(call);
	if (s->free_in_data)
		http_client_free(TAKE_PTR(client));
	return s->refuse_data;
}

static void on_done(struct http_call *call, const struct http_response *res, void *arg)
{
	struct seen *s = arg;

	s->done++;
	s->err = res->err;
	s->status = res->status;
	s->body_len = res->body_len;
	s->retry_after_s = res->retry_after_s;
	s->unsent = res->unsent;
	snprintf(s->body, sizeof(s->body), "%s", res->body);
	snprintf(s->error, sizeof(s->error), "%s", res->error);
	assert_int_equal(!res->err, !res->error[0]);
	http_call_cancel(call); /* nothing, but allowed */
	if (s->restart_in_done)
		start(s->next, "/echo", false);
	if (s->free_in_done)
		http_client_free(TAKE_PTR(client));
}

static const struct http_ops gathering = { .on_done = on_done };
static const struct http_ops streaming = { .on_data = on_data, .on_done = on_done };

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

static void wait_for(const int *flag, int value)
{
	struct timeval tv = { .tv_sec = 20 };
	bool late = false;
	struct event *ev = evtimer_new(base, on_time, &late);

	event_add(ev, &tv);
	while (*flag < value && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(ev);
	if (late)
		fail_msg("have %d, wanted %d", *flag, value);
}

/* Turns the loop until nothing is left to do at once. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void url_of(const char *path, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s", fake_http_url(server), path);
}

static void start_request(struct seen *s, struct http_request *req, const char *path, bool stream)
{
	struct err e = {};
	int done = s->done;
	char url[256];

	url_of(path, url, sizeof(url));
	req->url = url;
	if (http_call_new(client, req, stream ? &streaming : &gathering, s, &s->call, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(s->done, done);
}

static void start(struct seen *s, const char *path, bool stream)
{
	struct http_request req = { .method = "GET" };

	start_request(s, &req, path, stream);
}

static bool asks_for(const char *head, const char *path)
{
	const char *p = strchr(head, ' ');

	return p && !strncmp(p + 1, path, strlen(path));
}

static struct fake_conn *held; /* the last request that gets no answer by itself */
static int n_held;

static void serve(struct fake_conn *c, const char *head, const char *body, void *arg)
{
	char text[1024];

	if (asks_for(head, "/echo")) {
		snprintf(text, sizeof(text), "%.200s|%s", head, body);
		fake_answer(c, 200, "", text);
	} else if (asks_for(head, "/busy")) {
		fake_answer(c, 429, "Retry-After: 7\r\n", "later");
	} else if (asks_for(head, "/stream")) {
		fake_stream_begin(c);
		for (int i = 0; i < 3; i++)
			fake_stream_text(c, "some bytes\n");
		fake_stream_end(c);
	} else if (asks_for(head, "/cut")) {
		fake_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
		fake_close(c);
	} else if (asks_for(head, "/nonsense")) {
		fake_raw(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
		fake_close(c);
	} else if (asks_for(head, "/nothing")) {
		fake_close(c);
	} else if (!asks_for(head, "/silence")) {
		held = c;
		n_held++;
	}
}

static int before(void **state)
{
	base = event_base_new();
	held = NULL;
	n_held = 0;
	server = fake_http_new(base, NULL, serve, NULL);
	return server ? http_client_new(base, &client) : -1;
}

static int after(void **state)
{
	http_client_free(client);
	fake_http_free(server);
	event_base_free(base);
	return 0;
}

static void a_request_goes_out_as_it_was_given(void **state)
{
	static const char *const headers[] = { "X-Mine: yes", "Accept: text/plain", NULL };
	struct http_request req = {
		.method = "PATCH",
		.headers = headers,
		.body = "{\"a\":1}",
		.body_len = 7,
	};
	struct seen s = {};

	start_request(&s, &req, "/echo?q=1", false);
	wait_for(&s.done, 1);
	assert_int_equal(s.status, 200);
	assert_int_equal(strncmp(s.body, "PATCH /echo?q=1 HTTP/1.1\r\n", 26), 0);
	assert_non_null(strstr(s.body, "X-Mine: yes\r\n"));
	assert_non_null(strstr(s.body, "Accept: text/plain\r\n"));
	assert_non_null(strstr(s.body, "|{\"a\":1}"));
	assert_null(strstr(s.body, "Expect"));
}

static void each_method_is_sent(void **state)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "DELETE", "PATCH" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		struct http_request req = { .method = methods[i] };
		struct seen s = {};

		start_request(&s, &req, "/echo", false);
		wait_for(&s.done, 1);
		assert_int_equal(s.status, 200);
		assert_int_equal(strncmp(s.body, methods[i], strlen(methods[i])), 0);
	}
}

static void connections_are_used_again(void **state)
{
	for (int i = 0; i < 20; i++) {
		struct seen s = {};

		start(&s, "/echo", false);
		wait_for(&s.done, 1);
		assert_int_equal(s.err, 0);
	}
	assert_int_equal(fake_http_accepted(server), 1);
}

static void many_calls_run_side_by_side(void **state)
{
	struct seen s[50] = {};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		start(&s[i], "/echo", i % 2);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		wait_for(&s[i].done, 1);
}

static void a_refusal_has_its_body_and_retry_after(void **state)
{
	for (int stream = 0; stream < 2; stream++) {
		struct seen s = {};

		start(&s, "/busy", stream);
		wait_for(&s.done, 1);
		assert_int_equal(s.err, 0);
		assert_int_equal(s.status, 429);
		assert_int_equal(s.retry_after_s, 7);
		assert_string_equal(s.body, "later");
		assert_int_equal(s.chunks, 0);
	}
}

static void a_stream_arrives_as_it_comes(void **state)
{
	struct seen s = {};

	start(&s, "/hold", true);
	wait_for(&n_held, 1);
	fake_stream_begin(held);
	for (int i = 1; i <= 3; i++) {
		fake_stream_text(held, "bytes");
		wait_for(&s.chunks, i);
		assert_int_equal(s.done, 0);
	}
	fake_stream_end(held);
	wait_for(&s.done, 1);
	assert_int_equal(s.err, 0);
	assert_int_equal(s.streamed, 15);
	assert_string_equal(s.body, "");
}

static void faults_of_transport_have_their_errno(void **state)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {
		{ "/cut", -ECONNRESET },
		{ "/nonsense", -EPROTO },
		{ "/nothing", -ECONNRESET },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct seen s = {};

		start(&s, cases[i].path, false);
		wait_for(&s.done, 1);
		assert_int_equal(s.err, cases[i].err);
		assert_false(s.unsent);
	}
}

static void a_refused_connection_was_not_sent(void **state)
{
	char url[64];
	struct http_request req = { .method = "GET", .url = url };
	struct seen s = {};
	uint16_t port = 0;
	int fd = refusing_port(&port);

	assert_true(fd >= 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	assert_int_equal(http_call_new(client, &req, &gathering, &s, &s.call, NULL), 0);
	assert_int_equal(s.done, 0);
	wait_for(&s.done, 1);
	assert_int_equal(s.err, -ECONNREFUSED);
	assert_true(s.unsent);
	close(fd);
}

static void on_hello(evutil_socket_t fd, short what, void *arg)
{
	const struct linger *how = arg;
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	setsockopt(c, SOL_SOCKET, SO_LINGER, how, sizeof(*how));
	close(c);
}

static int ask_by_tls(uint16_t port)
{
	char url[64];
	struct http_request req = { .method = "GET", .url = url };
	struct seen s = {};

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
	assert_int_equal(http_call_new(client, &req, &gathering, &s, &s.call, NULL), 0);
	wait_for(&s.done, 1);
	return s.err;
}

/* Whoever dies in the middle of a handshake does not refuse. */
static void a_handshake_that_is_cut_is_no_refusal(void **state)
{
	struct linger ends[] = { { .l_onoff = 0 }, { .l_onoff = 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct sockaddr_in sin = { .sin_family = AF_INET };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		socklen_t len = sizeof(sin);
		struct event *hello = event_new(base, fd, EV_READ | EV_PERSIST, on_hello, &ends[i]);

		sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(bind(fd, (void *)&sin, len), 0);
		assert_int_equal(listen(fd, 4), 0);
		assert_int_equal(getsockname(fd, (void *)&sin, &len), 0);
		event_add(hello, NULL);
		assert_int_equal(ask_by_tls(ntohs(sin.sin_port)), -ECONNRESET);
		event_free(hello);
		close(fd);
	}
}

static void silence_ends_in_time(void **state)
{
	struct http_request stall = { .stall_timeout_ms = 100 }, whole = { .timeout_ms = 100 };
	struct seen s = {}, t = {}, u = {};

	start_request(&s, &stall, "/silence", true);
	wait_for(&s.done, 1);
	assert_int_equal(s.err, -ETIMEDOUT);
	start_request(&t, &whole, "/silence", false);
	wait_for(&t.done, 1);
	assert_int_equal(t.err, -ETIMEDOUT);
	/* A stream that begins and then falls silent; a machine that stands still is none. */
	stall.stall_timeout_ms = 2000;
	start_request(&u, &stall, "/hold", true);
	wait_for(&n_held, 1);
	fake_stream_begin(held);
	fake_stream_text(held, "x");
	wait_for(&u.done, 1);
	assert_int_equal(u.err, -ETIMEDOUT);
	assert_int_equal(u.chunks, 1);
}

static void a_body_above_the_bound_ends_the_call(void **state)
{
	struct http_request req = { .max_body = 100 };
	char big[200] = {};
	struct seen s = {};

	start_request(&s, &req, "/hold", false);
	wait_for(&n_held, 1);
	memset(big, 'x', sizeof(big) - 1);
	fake_answer(held, 200, "", big);
	wait_for(&s.done, 1);
	assert_int_equal(s.err, -EMSGSIZE);
	assert_non_null(strstr(s.error, "100 bytes"));
}

static void on_data_can_end_the_call(void **state)
{
	struct seen s = { .refuse_data = -EBADMSG };

	start(&s, "/stream", true);
	wait_for(&s.done, 1);
	assert_int_equal(s.err, -EBADMSG);
	assert_int_equal(s.chunks, 1);
}

static void a_cancelled_call_says_nothing(void **state)
{
	struct seen s = {}, t = {}, u = { .cancel_in_data = true };

	start(&s, "/echo", false);
	http_call_cancel(s.call);
	start(&t, "/hold", true);
	wait_for(&n_held, 1);
	http_call_cancel(t.call);
	start(&u, "/stream", true);
	wait_for(&u.chunks, 1);
	settle();
	assert_int_equal(s.done + t.done + u.done, 0);
	assert_int_equal(u.chunks, 1);
}

static void callbacks_may_start_and_cancel_other_calls(void **state)
{
	struct seen first = {}, other = {}, next = {};

	start(&other, "/hold", true);
	first = (struct seen){
		.restart_in_data = true,
		.restart_in_done = true,
		.cancel_other = other.call,
		.next = &next,
	};
	start(&first, "/stream", true);
	wait_for(&first.done, 1);
	wait_for(&next.done, 2);
	assert_int_equal(next.status, 200);
	assert_int_equal(other.done, 0);
}

static void the_client_may_be_freed_inside_of_callbacks(void **state)
{
	struct seen s = { .free_in_data = true }, t = { .free_in_done = true }, other = {};

	start(&other, "/hold", false);
	start(&s, "/stream", true);
	wait_for(&s.chunks, 1);
	settle();
	assert_int_equal(s.done, 0);
	assert_null(client);

	assert_int_equal(http_client_new(base, &client), 0);
	start(&other, "/hold", false);
	start(&t, "/echo", false);
	wait_for(&t.done, 1);
	settle();
	assert_int_equal(other.done, 0);
	assert_null(client);

	assert_int_equal(http_client_new(base, &client), 0);
	t = (struct seen){ .free_in_done = true };
	start_request(&t, &(struct http_request){ .stall_timeout_ms = 20 }, "/hold", true);
	wait_for(&t.done, 1);
	assert_null(client);
}

static void unix_sockets_are_spoken_to(void **state)
{
	char dir[] = "/tmp/nlt-http-XXXXXX", path[64];
	struct fake_http *u;
	struct seen s = {};

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	u = fake_http_new(base, path, serve, NULL);
	assert_non_null(u);
	start_request(&s, &(struct http_request){ .unix_socket = path }, "/echo", false);
	wait_for(&s.done, 1);
	assert_int_equal(s.status, 200);
	assert_int_equal(fake_http_accepted(u), 1);
	fake_http_free(u);
	unlink(path);
	rmdir(dir);
}

static void unsound_requests_are_refused_by_name(void **state)
{
	static const char *const split[] = { "X: a\r\nY: b", NULL };
	static const char *const no_colon[] = { "nonsense", NULL };
	static const struct {
		struct http_request req;
		const char *says;
	} cases[] = {
		{ { .url = "" }, "no URL" },
		{ { .url = "file:///etc/passwd" }, "http or https" },
		{ { .url = "http://[::1/" }, "no URL" },
		{ { .url = "http://x/", .method = "GET /" }, "method" },
		{ { .url = "http://x/", .headers = split }, "header 0" },
		{ { .url = "http://x/", .headers = no_colon }, "header 0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_call *call;
		struct err e = {};

		assert_int_equal(http_call_new(client, &cases[i].req, &gathering, NULL, &call, &e),
				 -EINVAL);
		assert_non_null(strstr(e.msg, cases[i].says));
	}
}

/* What curl would do by itself: the connection was kept, and died after the request. */
static void what_must_not_happen_twice_is_sent_once(void **state)
{
	for (int once = 0; once < 2; once++) {
		struct http_request req = {
			.method = "POST",
			.body = "x",
			.body_len = 1,
			.once = once,
		};
		struct seen first = {}, s = {};

		start_request(&first, &req, "/echo", false);
		wait_for(&first.done, 1);
		assert_non_null(strstr(first.body, "|x"));
		n_held = 0;
		start_request(&s, &req, "/hold", false);
		wait_for(&n_held, 1);
		fake_close(held);
		if (once) {
			wait_for(&s.done, 1);
			assert_int_equal(s.err, -ECONNRESET);
			assert_false(s.unsent);
		} else {
			wait_for(&n_held, 2);
			http_call_cancel(s.call);
		}
	}
}

static void the_environments_proxy_is_not_used(void **state)
{
	struct seen s = {};

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	start(&s, "/echo", false);
	wait_for(&s.done, 1);
	unsetenv("http_proxy");
	assert_int_equal(s.err, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_request_goes_out_as_it_was_given),
		T(each_method_is_sent),
		T(connections_are_used_again),
		T(many_calls_run_side_by_side),
		T(a_refusal_has_its_body_and_retry_after),
		T(a_stream_arrives_as_it_comes),
		T(faults_of_transport_have_their_errno),
		T(a_refused_connection_was_not_sent),
		T(a_handshake_that_is_cut_is_no_refusal),
		T(silence_ends_in_time),
		T(a_body_above_the_bound_ends_the_call),
		T(on_data_can_end_the_call),
		T(a_cancelled_call_says_nothing),
		T(callbacks_may_start_and_cancel_other_calls),
		T(the_client_may_be_freed_inside_of_callbacks),
		T(unix_sockets_are_spoken_to),
		T(unsound_requests_are_refused_by_name),
		T(what_must_not_happen_twice_is_sent_once),
		T(the_environments_proxy_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
