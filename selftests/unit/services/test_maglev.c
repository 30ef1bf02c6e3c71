// SPDX-License-Identifier: Apache-2.0
/* Balance and disruption of the tables for clients outside, over their sizes; and who has which
 * slots. Prints the figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/modules/services/maglev.h"
#include "agent/modules/services/slots.h"
#include "lib/base/util.h"

static uint64_t name_of(uint32_t i)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (int k = 0; k < 4; k++)
		h = (h ^ (i >> 8 * k & 0xff)) * 0x100000001b3u;
	return h;
}

static uint32_t *table_of(size_t n, uint32_t without, uint32_t size)
{
	uint64_t *names = calloc(n, sizeof(*names));
	uint32_t *slots = calloc(size, sizeof(*slots));
	size_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (i != without)
			names[kept++] = name_of(i);
	assert_int_equal(maglev_fill(names, kept, size, slots), 0);
	for (uint32_t s = 0; s < size; s++) {
		assert_true(slots[s] < kept);
		slots[s] += slots[s] >= without;
	}
	free(names);
	return slots;
}

struct figures {
	double worst; /* share of the busiest backend, 1.0: exactly 1/n */
	double least;
	double moved; /* slots that change when one of n goes, beyond those that must; of all */
};

static struct figures measure(size_t n, uint32_t size)
{
	uint32_t *all = table_of(n, UINT32_MAX, size), *count = calloc(n, sizeof(*count));
	struct figures f = { .least = 1e9 };
	size_t rounds = MIN(n, (size_t)8);

	for (uint32_t s = 0; s < size; s++)
		count[all[s]]++;
	for (size_t i = 0; i < n; i++) {
		f.worst = MAX(f.worst, count[i] * (double)n / size);
		f.least = MIN(f.least, count[i] * (double)n / size);
	}
	for (size_t i = 0; i < rounds; i++) {
		uint32_t gone = i * n / rounds, *less = table_of(n, gone, size);

		for (uint32_t s = 0; s < size; s++)
			f.moved += all[s] != gone && all[s] != less[s];
		free(less);
	}
	f.moved /= (double)size * rounds;
	free(count);
	free(all);
	return f;
}

static void each_backend_has_its_share_and_few_flows_move(void **state)
{
	static const struct {
		uint32_t per;
		double worst, moved;
	} want[] = { { 10, 1.4, 0.12 }, { 100, 1.06, 0.06 }, { 1000, 1.01, 0.05 } };
	static const size_t counts[] = { 2, 3, 5, 10, 50, 200, 1000 };

	printf("%9s %9s %9s  %s\n", "backends", "per each", "slots",
	       "busiest  idlest  moved beyond 1/n");
	for (size_t p = 0; p < ARRAY_SIZE(want); p++)
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
			uint32_t size = maglev_size(counts[i], want[p].per);
			struct figures f = measure(counts[i], size);

			printf("%9zu %9u %9u  %6.3f  %6.3f  %6.2f %%\n", counts[i], want[p].per,
			       size, f.worst, f.least, f.moved * 100);
			assert_true(f.worst <= want[p].worst);
			assert_true(f.moved <= want[p].moved);
		}
}

static void the_order_of_names_alone_decides(void **state)
{
	uint32_t *a = table_of(20, UINT32_MAX, 2003), *b = table_of(20, UINT32_MAX, 2003);

	assert_memory_equal(a, b, 2003 * sizeof(*a));
	free(a);
	free(b);
}

static bool is_prime(uint32_t n)
{
	for (uint32_t d = 2; (uint64_t)d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static void sizes_are_primes_that_are_large_enough_and_rarely_change(void **state)
{
	uint32_t before = 0, changes = 0;

	assert_int_equal(maglev_size(0, 100), 0);
	assert_int_equal(maglev_size(1, 100), 1);
	for (size_t n = 2; n < 5000; n++) {
		uint32_t size = maglev_size(n, 100);

		if (size == before)
			continue;
		changes++;
		before = size;
		assert_true(is_prime(size));
		assert_true(size >= n * 100);
	}
	assert_true(changes <= 14);
}

/* ---- slots ---- */

static void check(const struct slots *s)
{
	uint32_t at = 0, idle = 0;

	for (size_t i = 0; i < s->n_gaps; i++) {
		assert_true(s->gaps[i].size > 0);
		assert_true(!i || s->gaps[i].first > at); /* else they would touch */
		at = s->gaps[i].first + s->gaps[i].size;
		idle += s->gaps[i].size;
	}
	assert_true(at <= s->n);
	assert_int_equal(idle + s->used, s->n);
}

static void regions_never_overlap_and_come_back_whole(void **state)
{
	enum { N = 300, SIZE = 20000 };
	static uint8_t owner[SIZE];
	struct region held[N] = {};
	uint32_t seed = 1;
	struct slots s;

	assert_int_equal(slots_init(&s, SIZE), 0);
	memset(owner, 0, sizeof(owner));
	for (int round = 0; round < 20000; round++) {
		struct region *r = &held[(seed = seed * 1664525u + 1013904223u) >> 8 & 0xff];
		uint32_t size = (seed >> 17) % 250 + 1;

		for (uint32_t i = 0; i < r->size; i++)
			owner[r->first + i] = 0;
		if (r->size) {
			assert_int_equal(slots_give(&s, r), 0);
			*r = (struct region){};
		} else if (slots_take(&s, size, r) == 0) {
			for (uint32_t i = 0; i < size; i++) {
				assert_int_equal(owner[r->first + i], 0);
				owner[r->first + i] = 1;
			}
		} else {
			assert_true(slots_largest(&s) < size);
		}
		check(&s);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(slots_give(&s, &held[i]), 0);
	assert_int_equal(s.used, 0);
	assert_int_equal(slots_largest(&s), SIZE);
	slots_fini(&s);
}

static void what_was_in_use_is_adopted_once(void **state)
{
	static const struct {
		struct region r;
		int err;
	} cases[] = { { { 10, 5 }, 0 },	       { { 10, 5 }, -EBUSY }, { { 12, 9 }, -EBUSY },
		      { { 0, 10 }, 0 },	       { { 15, 1 }, 0 },      { { 90, 20 }, -EINVAL },
		      { { 200, 1 }, -EINVAL }, { { 99, 1 }, 0 },      { { 16, 83 }, 0 },
		      { { 50, 1 }, -EBUSY },   { { 4, 0 }, -EINVAL } };
	struct region r;
	struct slots s;

	assert_int_equal(slots_init(&s, 100), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(slots_adopt(&s, &cases[i].r), cases[i].err);
		check(&s);
	}
	assert_int_equal(s.used, 100);
	assert_int_equal(slots_take(&s, 1, &r), -ENOSPC);
	slots_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_backend_has_its_share_and_few_flows_move),
		cmocka_unit_test(the_order_of_names_alone_decides),
		cmocka_unit_test(sizes_are_primes_that_are_large_enough_and_rarely_change),
		cmocka_unit_test(regions_never_overlap_and_come_back_whole),
		cmocka_unit_test(what_was_in_use_is_adopted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
