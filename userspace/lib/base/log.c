// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/utf8.h"

static const char *const level_names[] = {
	[LOG_LVL_ERROR] = "error",
	[LOG_LVL_WARN] = "warn",
	[LOG_LVL_INFO] = "info",
	[LOG_LVL_DEBUG] = "debug",
};

static enum log_level max_level = LOG_LVL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

int log_level_parse(const char *word, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcmp(word, level_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_enabled(enum log_level level)
{
	return level <= max_level;
}

void log_write(enum log_level level, const char *name, const char *fmt, ...)
{
	struct timespec now;
	char line[2048];
	struct tm tm;
	size_t n;
	va_list ap;
	int saved_errno = errno;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
	n += snprintf(line + n, sizeof(line) - n, ".%03ldZ %-5s %s: ", now.tv_nsec / 1000000,
		      level_names[level], name);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);

	/* Messages quote input: a line break in it must not forge a second line, and any bytes not
	 * make the log unreadable. */
	for (char *c = line + n; *c;) {
		size_t bytes = utf8_next(c);

		if (!bytes)
			*c = '?';
		else if ((unsigned char)*c < ' ')
			*c = ' ';
		c += bytes ? bytes : 1;
	}
	n = strlen(line);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0) {
		/* Nowhere left to say it. */
	}
	errno = saved_errno;
}

bool log_limit_pass(struct log_limit *l, enum log_level level, const char *name)
{
	uint64_t now_ms = clock_ms();

	if (now_ms - l->window_start_ms >= 10000) {
		if (l->suppressed)
			log_write(level, name, "%u similar lines suppressed", l->suppressed);
		l->window_start_ms = now_ms;
		l->used = 0;
		l->suppressed = 0;
	}
	if (l->used >= l->burst) {
		l->suppressed++;
		return false;
	}
	l->used++;
	return true;
}
