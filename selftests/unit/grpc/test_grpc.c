// SPDX-License-Identifier: Apache-2.0
/*
 * Our server against grpcio's client, our client against grpcio's server, and what only the socket
 * shows. Our server runs in a child process, since our client blocks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/grpc/grpc.h"
#include "lib/grpc/grpc_wire.h"

#define PEER "selftests/unit/grpc/peer.py"

static char dir[64], ours[96];

struct later {
	struct grpc_call *call;
	struct event *ev;
	uint8_t *msg;
	size_t len;
};

static void echo(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	grpc_call_finish(call, GRPC_OK, NULL, msg, len);
}

static void answer_later(evutil_socket_t fd, short what, void *arg)
{
	struct later *l = arg;

	grpc_call_finish(l->call, GRPC_OK, NULL, l->msg, l->len);
	event_free(l->ev);
	free(l->msg);
	free(l);
}

static void later(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	static const struct timeval tv = { .tv_usec = 1000 };
	struct later *l = calloc(1, sizeof(*l));

	*l = (struct later){ .call = call, .msg = malloc(len + 1), .len = len };
	memcpy(l->msg, msg, len);
	l->ev = evtimer_new(arg, answer_later, l);
	event_add(l->ev, &tv);
}

static void not_found(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	grpc_call_finish(call, GRPC_NOT_FOUND, "no such thing: 50% or ü", NULL, 0);
}

static void count(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	static uint8_t zeros[500000];

	for (size_t i = 0; i < 50 && grpc_call_alive(call); i++)
		grpc_call_send(call, zeros, i * 10000);
	grpc_call_finish(call, GRPC_OK, NULL, NULL, 0);
}

static void never(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
}

static void whoami(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg)
{
	pid_t pid = grpc_call_peer_pid(call);

	/* The caller waits for this answer, so it lives. */
	if (pidfd_send_signal(grpc_call_peer_pidfd(call), 0, NULL, 0) < 0)
		pid = 0;
	grpc_call_finish(call, GRPC_OK, NULL, (uint8_t *)&pid, sizeof(pid));
}

static void on_stdin(evutil_socket_t fd, short what, void *arg)
{
	event_base_loopbreak(arg);
}

/* Serves until `stop` reads end of file; returns an exit code. */
static int serve(int stop, int ready)
{
	struct grpc_server_config cfg = {
		.socket_path = ours, .mode = 0640, .max_message = 1 << 20, .max_connections = 4
	};
	struct event_base *base = event_base_new();
	struct event *ev = event_new(base, stop, EV_READ, on_stdin, base);
	struct grpc_server *s;
	struct err e = {};

	event_add(ev, NULL);
	if (grpc_server_new(base, &cfg, &s, &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	grpc_server_method(s, "/test.T/Echo", echo, NULL);
	grpc_server_method(s, "/test.T/Later", later, base);
	grpc_server_method(s, "/test.T/Fail", not_found, NULL);
	grpc_server_method(s, "/test.T/Count", count, NULL);
	grpc_server_method(s, "/test.T/Never", never, NULL);
	grpc_server_method(s, "/test.T/Whoami", whoami, NULL);
	close(ready);
	event_base_dispatch(base);
	grpc_server_free(s);
	event_free(ev);
	event_base_free(base);
	return 0;
}

struct child {
	pid_t pid;
	int in; /* closing it ends the child */
};

static struct child our_server(void)
{
	int stop[2], ready[2];
	struct child c;
	char byte;

	assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	c.pid = fork();
	if (c.pid == 0) {
		close(stop[1]);
		close(ready[0]);
		_exit(serve(stop[0], ready[1]));
	}
	close(stop[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	close(ready[0]);
	c.in = stop[1];
	return c;
}

static int child_end(struct child c)
{
	int status;

	close(c.in);
	assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs peer.py; returns once it has written its first line, which is `want`. */
static struct child python(const char *role, const char *path, const char *want)
{
	int in[2], out[2];
	char line[64] = "";
	struct child c;
	size_t n = 0;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	c.pid = fork();
	if (c.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		/* By its whole name: it looks for its modules beside whatever the path has for it.
		 */
		execl("/usr/bin/python3", "/usr/bin/python3", PEER, role, path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	while (n < sizeof(line) - 1 && read(out[0], line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
	close(out[0]);
	c.in = in[1];
	assert_string_equal(line, want);
	return c;
}

static void a_foreign_client_gets_every_answer_right(void **state)
{
	struct child server = our_server(), client = python("client", ours, "ok");

	assert_int_equal(child_end(client), 0);
	assert_int_equal(child_end(server), 0);
	assert_int_equal(access(ours, F_OK), -1);
}

static void a_foreign_server_is_understood(void **state)
{
	char path[96];
	struct grpc_reply r = {};
	static uint8_t big[300000];
	struct child server;
	struct err e = {};

	snprintf(path, sizeof(path), "%s/theirs", dir);
	server = python("server", path, "ready");
	memset(big, 'x', sizeof(big));
	assert_int_equal(grpc_unary(path, "/test.T/Echo", big, sizeof(big), 60000, &r, &e), 0);
	assert_int_equal(r.status, GRPC_OK);
	assert_int_equal(r.len, sizeof(big));
	assert_memory_equal(r.msg, big, sizeof(big));
	grpc_reply_clear(&r);
	assert_int_equal(grpc_unary(path, "/test.T/Echo", NULL, 0, 60000, &r, &e), 0);
	assert_int_equal(r.len, 0);
	grpc_reply_clear(&r);
	assert_int_equal(grpc_unary(path, "/test.T/Fail", big, 1, 60000, &r, &e), 0);
	assert_int_equal(r.status, 9);
	assert_string_equal(r.message, "not now: 5% ü");
	grpc_reply_clear(&r);
	assert_int_equal(grpc_unary(path, "/test.T/None", big, 1, 60000, &r, &e), 0);
	assert_int_equal(r.status, GRPC_UNIMPLEMENTED);
	grpc_reply_clear(&r);
	/* Either side may notice first. */
	if (grpc_unary(path, "/test.T/Slow", big, 1, 100, &r, &e) == 0)
		assert_int_equal(r.status, GRPC_DEADLINE_EXCEEDED);
	else
		assert_int_equal(e.code, -ETIMEDOUT);
	grpc_reply_clear(&r);
	assert_int_equal(child_end(server), 0);
}

static void a_server_that_is_not_there_is_said_to_be(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct grpc_reply r = {};
	struct err e = {};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(grpc_unary(ours, "/test.T/Echo", NULL, 0, 1000, &r, &e), -ENOENT);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", ours);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(grpc_unary(ours, "/test.T/Echo", NULL, 0, 1000, &r, &e), -ECONNREFUSED);
	/* Bound, listening, and never accepting. */
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(grpc_unary(ours, "/test.T/Echo", NULL, 0, 50, &r, &e), -ETIMEDOUT);
	close(fd);
	unlink(ours);
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void **state)
{
	struct grpc_server_config cfg = { .socket_path = ours, .mode = 0600 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct event_base *base = event_base_new();
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct grpc_server *s = NULL, *second = NULL;
	struct err e = {};
	struct stat st;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", ours);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd);
	assert_int_equal(grpc_server_new(base, &cfg, &s, &e), 0);
	assert_int_equal(stat(ours, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(grpc_server_new(base, &cfg, &second, &e), -EADDRINUSE);
	assert_null(second);
	grpc_server_free(s);
	assert_int_equal(access(ours, F_OK), -1);

	fd = open(ours, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_int_equal(grpc_server_new(base, &cfg, &s, &e), -EEXIST);
	assert_int_equal(access(ours, F_OK), 0);
	unlink(ours);
	event_base_free(base);
}

static void the_peer_is_known_and_deadlines_hold(void **state)
{
	struct child server = our_server();
	struct grpc_reply r = {};
	struct err e = {};
	struct stat st;
	pid_t pid;

	assert_int_equal(stat(ours, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(grpc_unary(ours, "/test.T/Whoami", NULL, 0, 60000, &r, &e), 0);
	assert_int_equal(r.len, sizeof(pid));
	memcpy(&pid, r.msg, sizeof(pid));
	assert_int_equal(pid, getpid());
	grpc_reply_clear(&r);
	if (grpc_unary(ours, "/test.T/Never", NULL, 0, 50, &r, &e) == 0)
		assert_int_equal(r.status, GRPC_DEADLINE_EXCEEDED);
	else
		assert_int_equal(e.code, -ETIMEDOUT);
	grpc_reply_clear(&r);
	assert_int_equal(child_end(server), 0);
}

static void a_server_that_dies_in_a_call_is_a_reset(void **state)
{
	struct child server = our_server();
	struct grpc_reply r = {};
	struct err e = {};
	pid_t killer;

	killer = fork();
	if (killer == 0) {
		struct grpc_reply mine = {};

		/* Answered after the call below is under way, as connections are served in order of
		 * arrival at the latest; killing too early gives the same error. */
		grpc_unary(ours, "/test.T/Later", NULL, 0, 5000, &mine, NULL);
		kill(server.pid, SIGKILL);
		_exit(0);
	}
	assert_true(grpc_unary(ours, "/test.T/Never", NULL, 0, 60000, &r, &e) < 0);
	assert_true(e.code == -ECONNRESET || e.code == -ECONNREFUSED);
	waitpid(killer, NULL, 0);
	assert_int_equal(child_end(server), 128 + SIGKILL);
	unlink(ours);
}

/* Five at a time where four may be open: the fifth waits in the backlog and is served. */
static void more_connections_than_allowed_wait(void **state)
{
	struct child server = our_server();
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct grpc_reply r = {};
	struct err e = {};
	int fds[4];

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", ours);
	for (size_t i = 0; i < 4; i++) {
		fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_int_equal(connect(fds[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
	}
	assert_int_equal(grpc_unary(ours, "/test.T/Echo", NULL, 0, 100, &r, &e), -ETIMEDOUT);
	close(fds[0]);
	assert_int_equal(grpc_unary(ours, "/test.T/Echo", NULL, 0, 60000, &r, &e), 0);
	grpc_reply_clear(&r);
	for (size_t i = 1; i < 4; i++)
		close(fds[i]);
	assert_int_equal(child_end(server), 0);
}

static const struct {
	const char *text;
	int err;
	uint64_t ms;
} timeouts[] = {
	{ "100m", 0, 100 },   { "5S", 0, 5000 },     { "1H", 0, 3600000 },
	{ "2M", 0, 120000 },  { "1500u", 0, 2 },     { "1n", 0, 1 },
	{ "0m", 0, 0 },	      { "m", -EINVAL, 0 },   { "123456789m", -EINVAL, 0 },
	{ "1x", -EINVAL, 0 }, { "-1m", -EINVAL, 0 }, { "", -EINVAL, 0 },
};

static void timeouts_are_read_as_the_protocol_says(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(timeouts); i++) {
		uint64_t ms = 0;

		assert_int_equal(
			grpc_timeout_parse(timeouts[i].text, strlen(timeouts[i].text), &ms),
			timeouts[i].err);
		assert_int_equal(ms, timeouts[i].ms);
	}
}

static void messages_are_framed_and_escaped(void **state)
{
	const uint8_t two[] = { 0, 0, 0, 0, 1, 'a', 'b' };
	const uint8_t zipped[] = { 1, 0, 0, 0, 1 }, large[] = { 0, 0, 1, 0, 1 };
	struct grpc_reader r = {};
	char *text, back[16];

	assert_int_equal(grpc_reader_feed(&r, two, 3, 10), 0);
	assert_false(grpc_reader_complete(&r));
	assert_int_equal(grpc_reader_feed(&r, two + 3, 3, 10), 0);
	assert_true(grpc_reader_complete(&r));
	assert_int_equal(grpc_reader_feed(&r, two + 6, 1, 10), -EPROTO);
	grpc_reader_clear(&r);
	assert_int_equal(grpc_reader_feed(&r, zipped, 5, 10), -EOPNOTSUPP);
	grpc_reader_clear(&r);
	assert_int_equal(grpc_reader_feed(&r, large, 5, 65536), -EMSGSIZE);
	grpc_reader_clear(&r);

	text = grpc_percent_encode("a%\nü");
	assert_string_equal(text, "a%25%0A%C3%BC");
	grpc_percent_decode(text, strlen(text), back, sizeof(back));
	assert_string_equal(back, "a%\nü");
	grpc_percent_decode("%4", 2, back, sizeof(back));
	assert_string_equal(back, "%4");
	grpc_percent_decode("abcdef", 6, back, 4);
	assert_string_equal(back, "abc");
	free(text);
}

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nlt-grpc-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(ours, sizeof(ours), "%s/ours", dir);
	signal(SIGPIPE, SIG_IGN);
	return 0;
}

static int remove_dir(void **state)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/theirs", dir);
	unlink(path);
	unlink(ours);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timeouts_are_read_as_the_protocol_says),
		cmocka_unit_test(messages_are_framed_and_escaped),
		cmocka_unit_test(a_server_that_is_not_there_is_said_to_be),
		cmocka_unit_test(a_stale_socket_is_replaced_and_a_live_one_is_not),
		cmocka_unit_test(the_peer_is_known_and_deadlines_hold),
		cmocka_unit_test(a_server_that_dies_in_a_call_is_a_reset),
		cmocka_unit_test(more_connections_than_allowed_wait),
		cmocka_unit_test(a_foreign_client_gets_every_answer_right),
		cmocka_unit_test(a_foreign_server_is_understood),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
