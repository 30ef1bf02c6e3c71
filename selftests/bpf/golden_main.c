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

static void one_check(void **state)
{
	const struct golden_check *c = *state;

	c->run(target, 4);
	c->run(target, 6);
}

static void add(struct CMUnitTest *tests, const struct golden *cases, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = cases[i].name,
						.test_func = one_case,
						.initial_state = (void *)&cases[i] };
}

static void add_checks(struct CMUnitTest *tests, const struct golden_check *checks, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = checks[i].name,
						.test_func = one_check,
						.initial_state = (void *)&checks[i] };
}

int golden_main(const struct target *t)
{
	unsigned int first_check = golden_count + golden_svc_count + golden_xdp_count;
	unsigned int first_policy = first_check + golden_check_count;
	unsigned int n = first_policy + golden_policy_check_count;
	struct CMUnitTest tests[n];
	int err = t->start();

	if (err) {
		printf("[  ERROR   ] target %s does not start: %s\n", t->name, strerror(-err));
		return 1;
	}
	add(tests, golden_cases, golden_count);
	add(tests + golden_count, golden_svc_cases, golden_svc_count);
	add(tests + golden_count + golden_svc_count, golden_xdp_cases, golden_xdp_count);
	add_checks(tests + first_check, golden_checks, golden_check_count);
	add_checks(tests + first_policy, golden_policy_checks, golden_policy_check_count);
	target = t;
	err = _cmocka_run_group_tests(t->name, tests, n, NULL, NULL);
	t->stop();
	return err;
}
