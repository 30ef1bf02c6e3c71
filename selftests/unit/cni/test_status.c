// SPDX-License-Identifier: Apache-2.0
/* STATUS while the agent is away for a moment; the real binary, as in test_cni. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/modules.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"
#include "selftests/unit/pods/fake_core.h"

static bool turned_away(struct agent *a)
{
	char text[4096] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	pods_module.metrics(a, (struct metrics *)f);
	fclose(f);
	return strstr(text, "netloom_cni_requests_total{verb=STATUS,code=50}");
}

/* A runtime that hears of no agent takes the whole node for not ready. */
static void a_status_waits_for_an_agent_that_is_started_again(void **state)
{
	struct agent *a = fake_agent_new();
	const struct cni_call status = { .command = "STATUS",
					 .path = "/opt/cni/bin",
					 .config = config_for(a, "1.1.0",
							      ",\"statusWaitMs\":60000") };
	const struct timeval soon = { .tv_usec = 100 * 1000 };
	uint64_t until = clock_ms() + 20000;
	struct running r = cni_start(&status);
	struct cni_answer answer;

	fake_agent_start(a, false);
	/* It has asked an agent that does not know its node yet. */
	while (!turned_away(a)) {
		assert_true(clock_ms() < until);
		event_base_loopexit(a->base, &soon);
		event_base_loop(a->base, EVLOOP_ONCE);
	}
	fake_agent_resync(a);
	a->on_ready(a, true);
	answer = cni_wait(a, &r);
	assert_int_equal(answer.exit_code, 0);
	cni_answer_clear(&answer);
	fake_agent_stop(a);
	fake_agent_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_status_waits_for_an_agent_that_is_started_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
