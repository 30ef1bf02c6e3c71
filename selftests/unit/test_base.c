// SPDX-License-Identifier: Apache-2.0
/* The small helpers of lib/base. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/base/chore.h"
#include "lib/base/folders.h"
#include "lib/base/name.h"
#include "lib/base/utf8.h"

/* ---- names ---- */

static const struct {
	const char *name;
	bool label, subdomain;
} names[] = {
	{ "n", true, true },
	{ "node-1", true, true },
	{ "1a", true, true },
	{ "node.example.org", false, true },
	{ "a--b", true, true },
	{ "", false, false },
	{ "-a", false, false },
	{ "a-", false, false },
	{ "a.-b", false, false },
	{ "a-.b", false, false },
	{ ".a", false, false },
	{ "a.", false, false },
	{ "a..b", false, false },
	{ "Node", false, false },
	{ "a_b", false, false },
	{ "a/b", false, false },
	{ "a b", false, false },
	{ "n\xc3\xb6"
	  "de",
	  false, false },
};

static void names_are_those_that_kubernetes_takes(void **state)
{
	char longest[NAME_MAX_SUBDOMAIN + 2];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (name_is_label(names[i].name) != names[i].label ||
		    name_is_subdomain(names[i].name) != names[i].subdomain)
			fail_msg("'%s'", names[i].name);
	}
	memset(longest, 'a', sizeof(longest));
	longest[NAME_MAX_SUBDOMAIN + 1] = 0;
	assert_false(name_is_subdomain(longest));
	longest[NAME_MAX_SUBDOMAIN] = 0;
	assert_true(name_is_subdomain(longest));
	longest[NAME_MAX_LABEL + 1] = 0;
	assert_false(name_is_label(longest));
	longest[NAME_MAX_LABEL] = 0;
	assert_true(name_is_label(longest));
}

/* ---- UTF-8 ---- */

static const struct {
	const char *text, *escaped;
} utf8[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "n\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80", NULL },
	{ "\xff", "\\xff" },
	{ "a\xc3", "a\\xc3" },
	{ "\xc3(", "\\xc3(" },
	{ "\xc0\xaf", "\\xc0\\xaf" },
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
	{ "\xe2\x82", "\\xe2\\x82" },
};

static void bytes_that_are_no_utf8_are_escaped(void **state)
{
	char buf[64];

	for (size_t i = 0; i < ARRAY_SIZE(utf8); i++) {
		const char *want = utf8[i].escaped ? utf8[i].escaped : utf8[i].text;

		assert_string_equal(utf8_escape(utf8[i].text, buf, sizeof(buf)), want);
		assert_int_equal(utf8_valid(utf8[i].text),
				 want == utf8[i].text || !strcmp(want, utf8[i].text));
	}
	assert_string_equal(utf8_escape("ab\xc3\xb6"
					"c",
					buf, 4),
			    "ab");
	assert_string_equal(utf8_escape("ab\xff", buf, 5), "ab");
}

/* ---- folders ---- */

static char dir[64];

static void in_dir(char *buf, size_t size, const char *name)
{
	snprintf(buf, size, "%s/%s", dir, name);
}

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/nlt-base-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const left[] = { "a/b/c", "a/b", "a", "file", "x/y", "x" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		in_dir(path, sizeof(path), left[i]);
		remove(path);
	}
	return rmdir(dir);
}

static unsigned int mode_of(const char *name)
{
	char path[128];
	struct stat st;

	in_dir(path, sizeof(path), name);
	return stat(path, &st) < 0 ? 0 : st.st_mode & 0777;
}

static void folders_are_made_with_all_above_them(void **state)
{
	mode_t mask = umask(022);
	char path[128];

	in_dir(path, sizeof(path), "a/b/c");
	assert_int_equal(make_folders(path, 0700), 0);
	assert_int_equal(mode_of("a"), 0755);
	assert_int_equal(mode_of("a/b"), 0755);
	assert_int_equal(mode_of("a/b/c"), 0700);
	assert_int_equal(make_folders(path, 0755), 0);
	assert_int_equal(mode_of("a/b/c"), 0700);

	in_dir(path, sizeof(path), "x//y/");
	assert_int_equal(make_folders(path, 0755), 0);
	assert_int_equal(mode_of("x/y"), 0755);
	in_dir(path, sizeof(path), "x/y/file");
	assert_int_equal(make_parents(path), 0);
	assert_int_equal(mode_of("x/y/file"), 0);
	assert_int_equal(make_folders("/", 0755), 0);
	assert_int_equal(make_parents("relative"), 0);
	umask(mask);
}

static void what_keeps_a_folder_from_being_made_is_told(void **state)
{
	char path[PATH_MAX + 16];
	int fd;

	in_dir(path, sizeof(path), "file");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	in_dir(path, sizeof(path), "file/a");
	assert_int_equal(make_folders(path, 0755), -ENOTDIR);
	in_dir(path, sizeof(path), "file/a/b");
	assert_int_equal(make_parents(path), -ENOTDIR);
	memset(path, 'a', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_int_equal(make_parents(path), -ENAMETOOLONG);
}

/* ---- chores ---- */

/* Each turn says that it is at it, and waits until it may end. */
struct work {
	sem_t begun, end;
	int turns;
};

static void do_work(void *arg)
{
	struct work *w = arg;

	sem_post(&w->begun);
	sem_wait(&w->end);
	w->turns++;
}

static void what_is_told_meanwhile_is_done_once_more(void **state)
{
	struct chore *c = NULL;
	struct work w = {};

	sem_init(&w.begun, 0, 0);
	sem_init(&w.end, 0, 0);
	assert_int_equal(chore_new(do_work, &w, &c), 0);
	assert_false(chore_wait(c));
	chore_kick(c);
	sem_wait(&w.begun);
	for (int i = 0; i < 3; i++)
		chore_kick(c);
	sem_post(&w.end);
	sem_post(&w.end);
	chore_wait(c); /* or they are over before it looks */
	assert_int_equal(w.turns, 2);
	assert_false(chore_wait(c));

	sem_post(&w.end);
	chore_kick(c);
	chore_free(c);
	assert_int_equal(w.turns, 3);
	chore_free(NULL);
	sem_destroy(&w.begun);
	sem_destroy(&w.end);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_that_kubernetes_takes),
		cmocka_unit_test(bytes_that_are_no_utf8_are_escaped),
		cmocka_unit_test_setup_teardown(folders_are_made_with_all_above_them, make_dir,
						remove_dir),
		cmocka_unit_test_setup_teardown(what_keeps_a_folder_from_being_made_is_told,
						make_dir, remove_dir),
		cmocka_unit_test(what_is_told_meanwhile_is_done_once_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
