// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "lib/httpd/httpd.h"
#include "lib/httpd/httpd_int.h"
#include "lib/json/json.h"

struct fixture {
	struct event_base *base;
	struct httpd *h;
	char dir[32], socket[64];
};

/* ---- routes under test ---- */

static void on_echo(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	const char *q = httpd_query(req, "q");
	char text[256];

	snprintf(text, sizeof(text), "%s %s rest='%s' q='%s' body='%s' %zu", req->method, req->path,
		 req->rest, q ? q : "(none)", req->body, req->body_len);
	reply->text = strdup(text);
}

static void on_json(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	reply->json = json_object_new_object();
	json_add_str(reply->json, "a", "b/c");
	reply->status = 503;
}

static void on_nothing(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
}

static void on_door(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	reply->text = strdup(httpd_by_socket(req) ? "by the socket" : "by TCP");
}

/* The last one that waits. */
static struct httpd_later *waiting;

static void on_wait(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	waiting = httpd_later(req);
	assert_non_null(waiting);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct httpd_reply reply = { .text = strdup("at last") };

	httpd_answer(waiting, &reply);
}

/* Waits for the turn of the loop after the one that it is in. */
static void on_soon(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct fixture *f = arg;

	on_wait(req, reply, arg);
	event_base_once(f->base, -1, EV_TIMEOUT, on_time, NULL, &(struct timeval){ .tv_usec = 1 });
}

static void fixture_open(struct fixture *f)
{
	struct err e = {};

	*f = (struct fixture){ .dir = "/tmp/nlt-httpd-XXXXXX" };
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->socket, sizeof(f->socket), "%s/sub/api.sock", f->dir);
	f->base = event_base_new();
	assert_int_equal(httpd_new(f->base, &f->h), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/echo", on_echo, NULL), 0);
	assert_int_equal(httpd_route(f->h, "POST", "/echo", on_echo, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/echo", on_echo, NULL), -EEXIST);
	assert_int_equal(httpd_route(f->h, "GET", "/below/", on_echo, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/below/json", on_json, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/nothing", on_nothing, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/door", on_door, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/wait", on_wait, NULL), 0);
	assert_int_equal(httpd_route(f->h, "GET", "/soon", on_soon, f), 0);
	if (httpd_listen(f->h, "127.0.0.1", 0, &e) < 0 ||
	    httpd_listen_unix(f->h, f->socket, 0600, &e) < 0)
		fail_msg("%s", e.msg);
	assert_true(httpd_port(f->h) > 0);
}

static void fixture_close(struct fixture *f)
{
	char sub[64];

	httpd_free(f->h);
	event_base_free(f->base);
	assert_int_equal(access(f->socket, F_OK), -1);
	snprintf(sub, sizeof(sub), "%s/sub", f->dir);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(f->dir), 0);
}

/* ---- a client that sends bytes as they are ---- */

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	if (!(what & BEV_EVENT_CONNECTED))
		*(bool *)arg = true;
}

static char *exchange(struct fixture *f, bool by_unix, const void *request, size_t len)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(httpd_port(f->h)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct bufferevent *bev = bufferevent_socket_new(f->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bool closed = false;
	char *text;
	size_t n;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", f->socket);
	bufferevent_setcb(bev, NULL, NULL, on_event, &closed);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	if (by_unix)
		bufferevent_socket_connect(bev, (struct sockaddr *)&un, sizeof(un));
	else
		bufferevent_socket_connect(bev, (struct sockaddr *)&in, sizeof(in));
	bufferevent_write(bev, request, len);
	while (!closed)
		event_base_loop(f->base, EVLOOP_ONCE);
	n = evbuffer_get_length(bufferevent_get_input(bev));
	text = strndup(n ? (char *)evbuffer_pullup(bufferevent_get_input(bev), -1) : "", n);
	bufferevent_free(bev);
	return text;
}

#define HOST  "Host: localhost\r\n"
#define CLOSE "Connection: close\r\n\r\n"

static const struct {
	const char *name, *request;
	bool by_unix;
	const char *status, *part;
} asks[] = {
	{ "a route", "GET /echo HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "GET /echo rest='' q='(none)' body='' 0" },
	{ "a query", "GET /echo?x=1&q=a%20b%2Fc HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "q='a b/c'" },
	{ "a body", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n" CLOSE "hello", false,
	  "200", "body='hello' 5" },
	{ "what follows a prefix", "GET /below/a%2Fb/c HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "rest='a/b/c'" },
	{ "the longer route wins", "GET /below/json HTTP/1.1\r\n" HOST CLOSE, false, "503",
	  "{\"a\":\"b/c\"}" },
	{ "JSON says so", "GET /below/json HTTP/1.1\r\n" HOST CLOSE, false, "503",
	  "Content-Type: application/json\r\n" },
	{ "an empty reply", "GET /nothing HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "Content-Length: 0\r\n" },
	{ "an unknown path", "GET /nowhere HTTP/1.1\r\n" HOST CLOSE, false, "404",
	  "{\"error\":\"no such path\"}" },
	{ "a prefix without its slash", "GET /below HTTP/1.1\r\n" HOST CLOSE, false, "404", "" },
	{ "another method", "DELETE /echo HTTP/1.1\r\n" HOST CLOSE, false, "405", "Allow: " },
	{ "an absolute URL", "GET http://localhost/echo HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "GET /echo" },
	{ "a NUL in the path", "GET /echo%00 HTTP/1.1\r\n" HOST CLOSE, false, "400", "malformed" },
	{ "another host", "GET /echo HTTP/1.1\r\nHost: evil.example\r\n" CLOSE, false, "403",
	  "Host" },
	{ "no host", "GET /echo HTTP/1.0\r\n" CLOSE, false, "403", "Host" },
	{ "another host by unix socket", "GET /echo HTTP/1.1\r\nHost: agent\r\n" CLOSE, true, "200",
	  "GET /echo" },
	{ "a change from a web page",
	  "POST /echo HTTP/1.1\r\n" HOST
	  "Origin: http://evil.example\r\nContent-Length: 0\r\n" CLOSE,
	  false, "403", "Origin" },
	{ "the door is TCP", "GET /door HTTP/1.1\r\n" HOST CLOSE, false, "200", "by TCP" },
	{ "the door is the socket", "GET /door HTTP/1.1\r\n" HOST CLOSE, true, "200",
	  "by the socket" },
	{ "an answer that takes time", "GET /soon HTTP/1.1\r\n" HOST CLOSE, false, "200",
	  "at last" },
	{ "no HTTP at all", "\x16\x03\x01 hello\r\n\r\n", false, "", "" },
};

static void requests_get_their_answers(void **state)
{
	struct fixture f;

	fixture_open(&f);
	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		_cleanup_(freep) char *text =
			exchange(&f, asks[i].by_unix, asks[i].request, strlen(asks[i].request));
		char want[32];

		snprintf(want, sizeof(want), "HTTP/1.%c %s ",
			 strstr(asks[i].request, "HTTP/1.0") ? '0' : '1', asks[i].status);
		if (*asks[i].status && strncmp(text, want, strlen(want)) != 0)
			fail_msg("%s: not %s: %s", asks[i].name, asks[i].status, text);
		if (!strstr(text, asks[i].part))
			fail_msg("%s: no '%s' in: %s", asks[i].name, asks[i].part, text);
	}
	fixture_close(&f);
}

static void a_head_has_no_body(void **state)
{
	static const char request[] = "HEAD /echo HTTP/1.1\r\n" HOST CLOSE;
	_cleanup_(freep) char *text = NULL;
	struct fixture f;

	fixture_open(&f);
	text = exchange(&f, false, request, strlen(request));
	assert_memory_equal(text, "HTTP/1.1 200 ", 13);
	assert_null(strstr(text, "rest="));
	fixture_close(&f);
}

static void a_body_that_is_too_large_is_refused(void **state)
{
	/* Before it comes, so that nobody sends it in vain. */
	static const char request[] =
		"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n" CLOSE;
	_cleanup_(freep) char *text = NULL;
	struct fixture f;

	fixture_open(&f);
	text = exchange(&f, false, request, strlen(request));
	assert_memory_equal(text, "HTTP/1.1 413 ", 13);
	fixture_close(&f);
}

static void the_unix_socket_is_for_its_owner(void **state)
{
	struct fixture f;
	struct stat st;

	fixture_open(&f);
	assert_int_equal(stat(f.socket, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	fixture_close(&f);
}

static void a_dead_socket_is_replaced_and_a_living_one_is_not(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct err e = {};
	struct fixture f;
	int fd, other;

	fixture_open(&f);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/dead.sock", f.dir);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	close(fd); /* as a killed process leaves it */
	assert_int_equal(httpd_socket_unix(un.sun_path, 0600, &fd, &e), 0);
	assert_int_equal(httpd_socket_unix(un.sun_path, 0600, &other, &e), -EADDRINUSE);
	assert_non_null(strstr(e.msg, "is served by another process"));
	close(fd);
	unlink(un.sun_path);
	fixture_close(&f);
}

static void addresses_that_can_not_be_listened_on_are_named(void **state)
{
	struct event_base *base = event_base_new();
	char path[200];
	struct httpd *h;
	struct err e = {};

	assert_int_equal(httpd_new(base, &h), 0);
	assert_int_equal(httpd_listen(h, "nonsense", 1, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "nonsense"));
	assert_int_equal(httpd_listen(h, "192.0.2.77", 1, &e), -EADDRNOTAVAIL);
	assert_non_null(strstr(e.msg, "192.0.2.77 port 1"));
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_int_equal(httpd_listen_unix(h, path, 0600, &e), -ENAMETOOLONG);
	httpd_free(h);
	event_base_free(base);
}

static void hosts_are_told_apart(void **state)
{
	static const struct {
		const char *host, *address;
		bool allowed;
	} hosts[] = {
		{ "localhost", "127.0.0.1", true },
		{ "LOCALHOST:9990", "127.0.0.1", true },
		{ "127.0.0.1:9990", "127.0.0.1", true },
		{ "127.9.9.9", "127.0.0.1", true },
		{ "[::1]:9990", "127.0.0.1", true },
		{ "[::1]", "::1", true },
		{ "10.0.0.1:9990", "10.0.0.1", true },
		{ "10.0.0.2", "10.0.0.1", false },
		{ "10.0.0.2", "0.0.0.0", true },
		{ "[fd00::1]", "::", true },
		{ "name.example", "0.0.0.0", false },
		{ "localhost.evil.example", "127.0.0.1", false },
		{ "127.0.0.1.evil.example", "127.0.0.1", false },
		{ "", "127.0.0.1", false },
		{ ":80", "127.0.0.1", false },
		{ "[::1", "127.0.0.1", false },
		{ "[::1]x", "127.0.0.1", false },
		{ NULL, "127.0.0.1", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (httpd_host_allowed(hosts[i].host, hosts[i].address) != hosts[i].allowed)
			fail_msg("'%s' at %s", hosts[i].host, hosts[i].address);
}

static int connect_tcp(const struct fixture *f)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(httpd_port(f->h)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

/* A process that connects, and never says a word; less than the backlog, or it would wait. */
static pid_t crowd(const struct fixture *f, int n, int *ret_pipe)
{
	int ends[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < n; i++)
			connect_tcp(f);
		_exit(write(ends[1], &byte, 1) == 1 && pause());
	}
	close(ends[1]);
	*ret_pipe = ends[0];
	return pid;
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

static void turn_for(struct fixture *f, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_once(f->base, -1, EV_TIMEOUT, on_late, f->base, &tv);
	event_base_dispatch(f->base);
}

static int lowest_free(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static void silent_connections_leave_descriptors_to_others(void **state)
{
	static const char request[] = "GET /nothing HTTP/1.0\r\nHost: localhost\r\n\r\n";
	_cleanup_(freep) char *answer = NULL;
	struct rlimit before, few;
	struct fixture f;
	pid_t pid;
	char byte;
	int fd;

	fixture_open(&f);
	getrlimit(RLIMIT_NOFILE, &before);
	pid = crowd(&f, 60, &fd);
	few = (struct rlimit){ 80, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	for (int i = 0; i < 3000 && lowest_free() < 40; i++)
		turn_for(&f, 10);
	turn_for(&f, 50);
	assert_in_range(lowest_free(), 40, 41);
	close(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	answer = exchange(&f, false, request, strlen(request));
	assert_non_null(strstr(answer, "200"));
	setrlimit(RLIMIT_NOFILE, &before);
	fixture_close(&f);
}

static void ask_to_wait(struct fixture *f, int fd)
{
	static const char request[] = "GET /wait HTTP/1.1\r\n" HOST "\r\n";

	waiting = NULL;
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while (!waiting)
		event_base_loop(f->base, EVLOOP_ONCE);
}

static void a_client_that_has_gone_is_answered_without_harm(void **state)
{
	struct httpd_reply reply = { .text = strdup("too late") };
	struct fixture f;
	int fd;

	fixture_open(&f);
	fd = connect_tcp(&f);
	ask_to_wait(&f, fd);
	close(fd);
	turn_for(&f, 10);
	httpd_answer(waiting, &reply);
	turn_for(&f, 10);
	fixture_close(&f);
}

static void a_server_ends_with_what_waits_for_an_answer(void **state)
{
	struct fixture f;
	int fd;

	fixture_open(&f);
	fd = connect_tcp(&f);
	ask_to_wait(&f, fd);
	fixture_close(&f);
	close(fd);
}

static void metrics_are_written_as_prometheus_reads_them(void **state)
{
	_cleanup_(freep) char *text = NULL;
	struct metrics *m;

	assert_int_equal(metrics_new(&m), 0);
	metrics_sample(m, "a_total", METRIC_COUNTER, "Line\nbreak.", 3, NULL);
	metrics_sample(m, "b", METRIC_GAUGE, "B.", 1.5, "x", "q\"uo\\te\n", "y", "z", NULL);
	metrics_sample(m, "a_total", METRIC_COUNTER, "Line\nbreak.", 4e9, "k", "v", NULL);
	metrics_sample(m, "b", METRIC_GAUGE, "B.", 1.0 / 0.0, NULL);
	assert_int_equal(metrics_sample(m, "b", METRIC_COUNTER, "B.", 1, NULL), -EINVAL);
	text = metrics_text(m);
	assert_string_equal(text, "# HELP a_total Line\\nbreak.\n"
				  "# TYPE a_total counter\n"
				  "a_total 3\n"
				  "a_total{k=\"v\"} 4000000000\n"
				  "# HELP b B.\n"
				  "# TYPE b gauge\n"
				  "b{x=\"q\\\"uo\\\\te\\n\",y=\"z\"} 1.5\n"
				  "b +Inf\n");
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_get_their_answers),
		cmocka_unit_test(a_head_has_no_body),
		cmocka_unit_test(a_body_that_is_too_large_is_refused),
		cmocka_unit_test(the_unix_socket_is_for_its_owner),
		cmocka_unit_test(a_dead_socket_is_replaced_and_a_living_one_is_not),
		cmocka_unit_test(addresses_that_can_not_be_listened_on_are_named),
		cmocka_unit_test(hosts_are_told_apart),
		cmocka_unit_test(silent_connections_leave_descriptors_to_others),
		cmocka_unit_test(a_client_that_has_gone_is_answered_without_harm),
		cmocka_unit_test(a_server_ends_with_what_waits_for_an_answer),
		cmocka_unit_test(metrics_are_written_as_prometheus_reads_them),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
