// SPDX-License-Identifier: Apache-2.0
/* What is left of attachments when the local store is damaged or gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json/json.h"
#include "selftests/unit/pods/fake_core.h"

static struct sandbox pod;

static int verb(struct agent *a, const char *command, const char *container)
{
	const struct cni_call c = { .command = command,
				    .container = container,
				    .ifname = "eth0",
				    .netns = pod.netns,
				    .args = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
				    .path = "/opt/cni/bin",
				    .config = config_for(a, "1.1.0", "") };
	struct cni_answer r = cni_run(a, &c);
	int code = answer_code(&r);

	cni_answer_clear(&r);
	return code;
}

static size_t up(struct agent *a)
{
	_json_ *o = fake_agent_get(a);
	const char *text = json_text(o);
	size_t n = 0;

	while ((text = strstr(text, "\"state\":\"up\"")))
		n++, text++;
	return n;
}

static int start_agent(void **state)
{
	struct agent *a = fake_agent_new();

	signal(SIGPIPE, SIG_IGN);
	pod = sandbox_new();
	fake_agent_start(a, true);
	*state = a;
	return 0;
}

static int stop_agent(void **state)
{
	sandbox_end(&pod);
	fake_agent_free(*state);
	return 0;
}

static void edit(struct agent *a, const char *text, const char *instead)
{
	char *p = strstr(fake_get(a->local, "c1/eth0"), text);

	assert_non_null(p);
	assert_int_equal(strlen(text), strlen(instead));
	memcpy(p, instead, strlen(instead));
}

static void an_unreadable_attachment_harms_no_other(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c2"), 0);
	fake_agent_crash(a);
	edit(a, "\"netnsIno\":", "\"netnsInx\":");
	fake_agent_start(a, true);
	assert_int_equal(up(a), 2);
	fake_agent_crash(a);
	fake_remove_copies(a);
	edit(a, "\"netnsInx\":", "\"netnsIny\":");
	fake_agent_start(a, true);
	assert_int_equal(up(a), 1);
	assert_non_null(fake_get(a->local, "c1/eth0"));
}

static void lose_the_local_store(struct agent *a)
{
	struct fake_pair *lost;

	while ((lost = a->local)) {
		a->local = lost->next;
		free(lost->key);
		free(lost->value);
		free(lost);
	}
}

/* The file of the local store was damaged, or removed with its folder. */
static void attachments_outlive_the_local_store(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c2"), 0);
	assert_int_equal(verb(a, "DEL", "c2"), 0);
	fake_agent_crash(a);
	lose_the_local_store(a);
	fake_agent_start(a, true);
	assert_int_equal(up(a), 1);
	assert_non_null(fake_get(a->local, "c1/eth0"));
	assert_int_equal(a->dels, 1);
	assert_int_equal(verb(a, "DEL", "c1"), 0);
	assert_int_equal(a->dels, 2);
	fake_agent_stop(a);
	fake_agent_start(a, true);
	assert_int_equal(up(a), 0);
}

static void write_file(int dir, const char *name, const char *text, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* Each copy once more, as a backup has it, and what is no file. */
static void litter(const struct agent *a)
{
	char folder[256], name[300], text[4096];
	struct dirent *entry;
	DIR *d;

	snprintf(folder, sizeof(folder), "%.*s/attachments",
		 (int)(strrchr(a->cfg.cni.socket, '/') - a->cfg.cni.socket), a->cfg.cni.socket);
	d = opendir(folder);
	while ((entry = readdir(d))) {
		int fd = openat(dirfd(d), entry->d_name, O_RDONLY);
		ssize_t n = strchr(entry->d_name, '~') ? -1 : read(fd, text, sizeof(text));

		close(fd);
		snprintf(name, sizeof(name), "%s~", entry->d_name);
		if (n > 0)
			write_file(dirfd(d), name, text, n);
	}
	write_file(dirfd(d), "none", "c9/eth0\n{}", 10);
	assert_int_equal(mkfifoat(dirfd(d), "pipe", 0600), 0);
	assert_int_equal(mkdirat(dirfd(d), "folder", 0700), 0);
	assert_int_equal(symlinkat("/dev/zero", dirfd(d), "link"), 0);
	closedir(d);
}

/* Nor does a disk so full that the new store takes none of them. */
static void what_stands_beside_the_copies_costs_no_pod_its_network(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c2"), 0);
	fake_agent_crash(a);
	lose_the_local_store(a);
	litter(a);
	a->put_err = -ENOSPC;
	fake_agent_start(a, true);
	a->put_err = 0;
	assert_int_equal(up(a), 2);
}

/* A name that says another than the text. */
static void a_copy_of_another_is_none(void **state)
{
	struct agent *a = *state;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	fake_agent_crash(a);
	fake_remove_copies(a);
	edit(a, "\"containerID\":\"c1\"", "\"containerID\":\"c7\"");
	fake_agent_start(a, true);
	assert_int_equal(up(a), 0);
	assert_non_null(fake_get(a->local, "c1/eth0"));
}

#define with_agent(f) cmocka_unit_test_setup_teardown(f, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_agent(an_unreadable_attachment_harms_no_other),
		with_agent(attachments_outlive_the_local_store),
		with_agent(what_stands_beside_the_copies_costs_no_pod_its_network),
		with_agent(a_copy_of_another_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
