// SPDX-License-Identifier: Apache-2.0
/* The file that makes a runtime use us: written when the node is ready, and kept from then on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/cni_spool.h"
#include "lib/json/json.h"
#include "selftests/unit/pods/fake_core.h"

static bool no_inotify;

/* In place of libc's. */
int inotify_init1(int flags)
{
	if (!no_inotify)
		return syscall(SYS_inotify_init1, flags);
	errno = EMFILE;
	return -1;
}

static int start_agent(void **state)
{
	struct agent *a = fake_agent_new();

	fake_agent_start(a, true);
	*state = a;
	return 0;
}

static int stop_agent(void **state)
{
	fake_agent_stop(*state);
	fake_agent_free(*state);
	return 0;
}

static void the_conflist_is_written_once_and_whole(void **state)
{
	struct agent *a = *state;
	char path[160], text[4096] = "";
	struct stat before, after;
	_json_ *o = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/05-netloom.conflist", a->cfg.cni.conf_dir);
	fd = open(path, O_RDONLY);
	assert_true(read(fd, text, sizeof(text)) > 0);
	assert_int_equal(fstat(fd, &before), 0);
	close(fd);
	assert_int_equal(json_parse(text, strlen(text), &o, NULL), 0);
	assert_non_null(strstr(text, "\"netloom-cni\""));
	assert_non_null(strstr(text, a->cfg.cni.socket));
	a->on_ready(a, true);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	fd = open(path, O_WRONLY | O_TRUNC);
	close(fd);
	a->on_ready(a, true);
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	unlink(path);
	a->cfg.cni.conflist = false;
	a->on_ready(a, true);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(a->cfg.cni.conf_dir), 0);
}

static void await_file(struct agent *a, const char *path, off_t size)
{
	struct stat st;

	while (stat(path, &st) < 0 || st.st_size != size)
		event_base_loop(a->base, EVLOOP_ONCE);
}

/* Other installers clear the folder, some of them with its end. */
static void a_conflist_that_somebody_takes_away_is_written_again(void **state)
{
	struct agent *a = *state;
	char path[160];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/05-netloom.conflist", a->cfg.cni.conf_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	await_file(a, path, st.st_size);
	fd = open(path, O_WRONLY | O_TRUNC);
	close(fd);
	await_file(a, path, st.st_size);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(a->cfg.cni.conf_dir), 0);
	await_file(a, path, st.st_size);
	/* A node that can serve no pod does not call for them. */
	a->on_ready(a, false);
	assert_int_equal(unlink(path), 0);
	event_base_loop(a->base, EVLOOP_NONBLOCK);
	a->on_ready(a, true);
	assert_int_equal(access(path, F_OK), 0);
}

static void a_machine_without_inotify_is_served_too(void **state)
{
	struct agent *a = *state;
	char path[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/05-netloom.conflist", a->cfg.cni.conf_dir);
	fake_agent_stop(a);
	no_inotify = true;
	fake_agent_start(a, true);
	no_inotify = false;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(unlink(path), 0);
	await_file(a, path, st.st_size);
	/* What nobody can read is taken out of the spool. */
	snprintf(path, sizeof(path), "%s/1" CNI_SPOOL_SUFFIX, a->cfg.cni.spool_dir);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	while (access(path, F_OK) == 0)
		event_base_loop(a->base, EVLOOP_ONCE);
}

#define with_agent(f) cmocka_unit_test_setup_teardown(f, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_agent(the_conflist_is_written_once_and_whole),
		with_agent(a_conflist_that_somebody_takes_away_is_written_again),
		with_agent(a_machine_without_inotify_is_served_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
