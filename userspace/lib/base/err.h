/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A sentence that goes with an error code. Functions that can fail on input return a negative errno
 * and take a `struct err *` (may be NULL) that they fill with what was wrong, naming the object and
 * the field. Callers add what they know in front with err_prefix(), and only the one who decides
 * what happens next logs it.
 *
 *	struct err e = {};
 *	if (prefix_parse(s, &p, &e) < 0)
 *		return err_prefix(&e, "clusterCIDRs[%d]", i);
 *	-> "clusterCIDRs[0]: '10.1.0.0/33': prefix length above 32"
 */
#include "lib/base/util.h"

struct err {
	int code; /* negative errno, 0 while nothing failed */
	char msg[508];
};

/* Sets code and message, replacing what was there; returns `code`. `e` may be NULL. */
int err_set(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
/* Puts "<fmt>: " in front of the message; returns e->code (-EIO when e is NULL). */
int err_prefix(struct err *e, const char *fmt, ...) _printf_(2, 3);
/* "<fmt>: <strerror(-code)>"; returns `code`. */
int err_errno(struct err *e, int code, const char *fmt, ...) _printf_(3, 4);
