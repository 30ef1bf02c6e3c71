// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/chore.h"
#include "lib/mirror/mirror.h"

struct place {
	char dir[64], path[96];
};

static int place_make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/nlt-mirror-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/m.mdb", p->dir);
	*state = p;
	return 0;
}

static int place_remove(void **state)
{
	static const char *const suffixes[] = { "", "-lock", ".corrupt" };
	struct place *p = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", p->path, suffixes[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}

static int gather(const char *key, const char *value, void *arg)
{
	char *out = arg;
	size_t n = strlen(out);

	snprintf(out + n, 256 - n, "%s=%s ", key, value);
	return 0;
}

static struct mirror *open_at(const struct place *p)
{
	struct mirror *m = NULL;
	struct err e = {};

	assert_int_equal(mirror_open(p->path, &m, &e), 0);
	return m;
}

static void what_was_written_is_there_after_reopening(void **state)
{
	char got[256] = "";
	struct mirror *m = open_at(*state);

	assert_int_equal(mirror_put(m, "a", "k2", "two"), 0);
	assert_int_equal(mirror_put(m, "a", "k1", "one"), 0);
	assert_int_equal(mirror_put(m, "b", "k1", ""), 0);
	assert_int_equal(mirror_del(m, "a", "absent"), 0);
	mirror_close(m);

	m = open_at(*state);
	assert_int_equal(mirror_foreach(m, "a", gather, got), 0);
	assert_string_equal(got, "k1=one k2=two ");
	assert_int_equal(mirror_foreach(m, "none", gather, got), 0);
	assert_int_equal(mirror_del(m, "a", "k1"), 0);
	got[0] = 0;
	assert_int_equal(mirror_foreach(m, "a", gather, got), 0);
	assert_string_equal(got, "k2=two ");
	mirror_close(m);
}

static void an_aborted_batch_leaves_nothing(void **state)
{
	char got[256] = "";
	struct mirror *m = open_at(*state);

	assert_int_equal(mirror_begin(m), 0);
	assert_int_equal(mirror_put(m, "a", "k", "v"), 0);
	assert_int_equal(mirror_begin(m), -EBUSY);
	mirror_abort(m);
	assert_int_equal(mirror_foreach(m, "a", gather, got), 0);
	assert_string_equal(got, "");
	assert_int_equal(mirror_begin(m), 0);
	assert_int_equal(mirror_put(m, "a", "k", "v"), 0);
	assert_int_equal(mirror_commit(m), 0);
	assert_int_equal(mirror_foreach(m, "a", gather, got), 0);
	assert_string_equal(got, "k=v ");
	mirror_close(m);
}

static void writes_outlive_a_killed_process(void **state)
{
	char got[256] = "";
	int ready[2], status;
	struct mirror *m;
	pid_t pid;
	char c;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		m = open_at(*state);
		mirror_put(m, "a", "k", "v");
		mirror_begin(m);
		mirror_put(m, "a", "half", "done");
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(ready[0]);
	close(ready[1]);

	m = open_at(*state);
	assert_null(mirror_set_aside(m));
	assert_int_equal(mirror_foreach(m, "a", gather, got), 0);
	assert_string_equal(got, "k=v ");
	assert_int_equal(mirror_put(m, "a", "k2", "v2"), 0);
	mirror_close(m);
}

static void a_file_that_is_no_database_is_set_aside(void **state)
{
	const struct place *p = *state;
	char junk[16384], want[128];
	int fd = open(p->path, O_CREAT | O_WRONLY, 0600);
	struct mirror *m;

	memset(junk, 0x5a, sizeof(junk));
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	close(fd);
	m = open_at(p);
	snprintf(want, sizeof(want), "%s.corrupt", p->path);
	assert_string_equal(mirror_set_aside(m), want);
	assert_int_equal(access(want, F_OK), 0);
	assert_int_equal(mirror_put(m, "a", "k", "v"), 0);
	mirror_close(m);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
	struct mirror *m = open_at(*state);
	char key[2000];

	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = 0;
	assert_int_equal(mirror_put(m, "a", key, "v"), -ENAMETOOLONG);
	assert_int_equal(mirror_put(m, "a", "k", "v"), 0);
	mirror_close(m);
}

static struct mirror *walked;

static int put_one(const char *key, const char *value, void *arg)
{
	return mirror_put(walked, "a", "more", "v");
}

static int del_one(const char *key, const char *value, void *arg)
{
	return mirror_del(walked, "a", key);
}

static int begin_one(const char *key, const char *value, void *arg)
{
	return mirror_begin(walked);
}

static int walk_again(const char *key, const char *value, void *arg)
{
	return mirror_foreach(walked, "a", put_one, arg);
}

static void a_walk_that_writes_is_a_mistake_that_shows_at_once(void **state)
{
	static int (*const writers[])(const char *, const char *,
				      void *) = { put_one, del_one, begin_one, walk_again };
	const struct rlimit no_core = {};

	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			setrlimit(RLIMIT_CORE, &no_core);
			alarm(120); /* without the assertion it hangs */
			close(STDERR_FILENO);
			walked = open_at(*state);
			mirror_put(walked, "a", "k", "v");
			mirror_foreach(walked, "a", writers[i], NULL);
			_exit(0);
		}
		waitpid(pid, &status, 0);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

static int count_them(const char *key, const char *value, void *arg)
{
	++*(int *)arg;
	return 0;
}

struct syncing {
	struct mirror *m;
	int err;
};

/* On a thread of its own, where nothing may be asserted. */
static void sync_again_and_again(void *arg)
{
	struct syncing *s = arg;

	for (int i = 0; !s->err && i < 200; i++)
		s->err = mirror_sync(s->m);
}

static void another_thread_may_sync_beside_writes(void **state)
{
	struct mirror *m = open_at(*state);
	struct syncing s = { .m = m };
	struct chore *c = NULL;
	char key[16], value[256] = "";
	int n = 0, again = 0;

	assert_int_equal(chore_new(sync_again_and_again, &s, &c), 0);
	chore_kick(c);
	for (int i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "%d", i % 100);
		snprintf(value, sizeof(value), "%0200d", i);
		assert_int_equal(i % 7 ? mirror_put(m, "t", key, value) : mirror_del(m, "t", key),
				 0);
	}
	assert_int_equal(mirror_foreach(m, "t", count_them, &n), 0);
	chore_free(c);
	assert_int_equal(s.err, 0);
	mirror_close(m);
	m = open_at(*state);
	assert_int_equal(mirror_foreach(m, "t", count_them, &again), 0);
	assert_int_equal(again, n);
	assert_in_range(n, 80, 100);
	mirror_close(m);
}

#define with_place(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_place(what_was_written_is_there_after_reopening),
		with_place(an_aborted_batch_leaves_nothing),
		with_place(writes_outlive_a_killed_process),
		with_place(a_file_that_is_no_database_is_set_aside),
		with_place(a_key_that_is_too_long_is_refused),
		with_place(a_walk_that_writes_is_a_mistake_that_shows_at_once),
		with_place(another_thread_may_sync_beside_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
