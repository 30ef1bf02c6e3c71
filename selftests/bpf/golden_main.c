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

static const struct {
	const struct golden *cases;
	const unsigned int *count;
} case_groups[] = { { golden_cases, &golden_count },
		    { golden_svc_cases, &golden_svc_count },
		    { golden_end_cases, &golden_end_count },
		    { golden_dsr_cases, &golden_dsr_count },
		    { golden_sctp_cases, &golden_sctp_count },
		    { golden_xdp_cases, &golden_xdp_count },
		    { golden_hostile_cases, &golden_hostile_count } };

static const struct {
	const struct golden_check *checks;
	const unsigned int *count;
} check_groups[] = { { golden_checks, &golden_check_count },
		     { golden_gc_checks, &golden_gc_check_count },
		     { golden_policy_checks, &golden_policy_check_count },
		     { golden_judge_checks, &golden_judge_check_count } };

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static unsigned int count_all(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < COUNT(case_groups); i++)
		n += *case_groups[i].count;
	for (i = 0; i < COUNT(check_groups); i++)
		n += *check_groups[i].count;
	return n;
}

static void add_all(struct CMUnitTest *t)
{
	unsigned int i, j;

	for (i = 0; i < COUNT(case_groups); i++) {
		for (j = 0; j < *case_groups[i].count; j++, t++)
			*t = (struct CMUnitTest){ .name = case_groups[i].cases[j].name,
						  .test_func = one_case,
						  .initial_state =
							  (void *)&case_groups[i].cases[j] };
	}
	for (i = 0; i < COUNT(check_groups); i++) {
		for (j = 0; j < *check_groups[i].count; j++, t++)
			*t = (struct CMUnitTest){ .name = check_groups[i].checks[j].name,
						  .test_func = one_check,
						  .initial_state =
							  (void *)&check_groups[i].checks[j] };
	}
}

int golden_main(const struct target *t)
{
	unsigned int n = count_all();
	struct CMUnitTest tests[n];
	int err = t->start();

	if (err) {
		printf("[  ERROR   ] target %s does not start: %s\n", t->name, strerror(-err));
		return 1;
	}
	add_all(tests);
	target = t;
	err = _cmocka_run_group_tests(t->name, tests, n, NULL, NULL);
	t->stop();
	return err;
}
