/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>
#include <time.h>

/* CLOCK_MONOTONIC in nanoseconds; the clock that bpf_ktime_get_ns() reads. */
static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + ts.tv_nsec;
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000u;
}

#define CLOCK_STRLEN 40
/* RFC 3339 with milliseconds, of a moment on CLOCK_MONOTONIC, by what the time of day is now. */
void clock_text(uint64_t mono_ns, char buf[static CLOCK_STRLEN]);

/* CLOCK_REALTIME in milliseconds since 1970. */
static inline uint64_t clock_real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000u + ts.tv_nsec / 1000000u;
}
