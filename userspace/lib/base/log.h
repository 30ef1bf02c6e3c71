/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Log lines on stderr: `<RFC 3339 time> <level> <subsystem>: <message>`. Written with one write(2)
 * each. lib/ logs at debug only. Messages are lower case, quote their subject, and end without a
 * full stop.
 *
 * A file that logs names its subsystem before the include:
 *
 *	#define LOG_NAME "ipam"
 *	#include "lib/base/log.h"
 */
#include "lib/base/util.h"

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

#ifndef LOG_NAME
#define LOG_NAME "lib"
#endif

/* Default is LOG_LVL_INFO. */
void log_set_level(enum log_level level);
/* "error" | "warn" | "info" | "debug"; -EINVAL for any other word. */
int log_level_parse(const char *word, enum log_level *ret);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *name, const char *fmt, ...) _printf_(3, 4);

#define log_at(level, ...)                                       \
	do {                                                     \
		if (log_enabled(level))                          \
			log_write(level, LOG_NAME, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_LVL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LVL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LVL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LVL_DEBUG, __VA_ARGS__)

/* For what a peer can trigger: at most `burst` lines per 10 s at this place, then one that counts
 * the rest. */
struct log_limit {
	uint64_t window_start_ms;
	unsigned int burst, used, suppressed;
};
#define LOG_LIMIT(n)         \
	{                    \
		.burst = (n) \
	}
bool log_limit_pass(struct log_limit *l, enum log_level level, const char *name);
#define log_limited(level, n, ...)                                                  \
	do {                                                                        \
		static struct log_limit _limit = LOG_LIMIT(n);                      \
		if (log_enabled(level) && log_limit_pass(&_limit, level, LOG_NAME)) \
			log_write(level, LOG_NAME, __VA_ARGS__);                    \
	} while (0)
