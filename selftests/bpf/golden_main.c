// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "selftests/bpf/golden.h"

static const struct target *target;

static void one_case(void **state)
{
	const struct golden *g = *state;

	golden_run(target, g, 4);
	golden_run(target, g, 6);
}

int golden_main(const struct target *t)
{
	struct CMUnitTest tests[golden_count];
	unsigned int i;
	int err = t->start();

	if (err) {
		printf("[  ERROR   ] target %s does not start: %s\n", t->name, strerror(-err));
		return 1;
	}
	for (i = 0; i < golden_count; i++)
		tests[i] = (struct CMUnitTest){ .name = golden_cases[i].name,
						.test_func = one_case,
						.initial_state = (void *)&golden_cases[i] };
	target = t;
	err = _cmocka_run_group_tests(t->name, tests, golden_count, NULL, NULL);
	t->stop();
	return err;
}
