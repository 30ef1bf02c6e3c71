/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * UTF-8 (RFC 3629: no surrogates, nothing above U+10FFFF, nothing longer than it needs to be), for
 * bytes of the environment, of files and of peers that go into JSON or a log.
 */
#include "lib/base/util.h"

/* Bytes of the character that `s` begins with, 1 to 4; 0 when it begins with none, or is "". */
size_t utf8_next(const char *s);
bool utf8_valid(const char *s);
/* Copies, with \xNN in place of each byte that is part of no character; cut between characters
 * when `size` is too small. Returns `buf`. Four times the length and one are always enough. */
char *utf8_escape(const char *s, char *buf, size_t size);
