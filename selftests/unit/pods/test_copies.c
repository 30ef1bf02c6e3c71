// SPDX-License-Identifier: Apache-2.0
/* What is left of attachments when the local store is damaged or gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

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

/* The file of the local store was damaged, or removed with its folder. */
static void attachments_outlive_the_local_store(void **state)
{
	struct agent *a = *state;
	struct fake_pair *lost;

	assert_int_equal(verb(a, "ADD", "c1"), 0);
	assert_int_equal(verb(a, "ADD", "c2"), 0);
	assert_int_equal(verb(a, "DEL", "c2"), 0);
	fake_agent_crash(a);
	while ((lost = a->local)) {
		a->local = lost->next;
		free(lost->key);
		free(lost->value);
		free(lost);
	}
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

#define with_agent(f) cmocka_unit_test_setup_teardown(f, start_agent, stop_agent)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_agent(an_unreadable_attachment_harms_no_other),
		with_agent(attachments_outlive_the_local_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
