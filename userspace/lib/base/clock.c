// SPDX-License-Identifier: Apache-2.0
#include "lib/base/clock.h"

#include <stdio.h>

void clock_text(uint64_t mono_ns, char buf[static CLOCK_STRLEN])
{
	int64_t ms = (int64_t)clock_real_ms() - (int64_t)(clock_ns() - mono_ns) / 1000000;
	time_t s = ms / 1000;
	struct tm tm;
	size_t at;

	gmtime_r(&s, &tm);
	at = strftime(buf, CLOCK_STRLEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + at, CLOCK_STRLEN - at, ".%03dZ", (int)(ms % 1000));
}
