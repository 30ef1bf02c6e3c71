// SPDX-License-Identifier: Apache-2.0
#include "lib/base/utf8.h"

#include <stdio.h>
#include <string.h>

/* What the second byte may be, which rules out the overlong, the surrogates and the too large. */
static bool second_fits(unsigned char first, unsigned char second)
{
	switch (first) {
	case 0xe0:
		return second >= 0xa0 && second <= 0xbf;
	case 0xed:
		return second >= 0x80 && second <= 0x9f;
	case 0xf0:
		return second >= 0x90 && second <= 0xbf;
	case 0xf4:
		return second >= 0x80 && second <= 0x8f;
	}
	return second >= 0x80 && second <= 0xbf;
}

size_t utf8_next(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t n = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;

	if (u[0] < 0x80)
		return u[0] != 0;
	if (u[0] < 0xc2 || u[0] > 0xf4 || !second_fits(u[0], u[1]))
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

bool utf8_valid(const char *s)
{
	while (*s) {
		size_t n = utf8_next(s);

		if (!n)
			return false;
		s += n;
	}
	return true;
}

char *utf8_escape(const char *s, char *buf, size_t size)
{
	size_t used = 0;

	while (*s) {
		size_t n = utf8_next(s);
		char hex[8];
		const char *from = s;

		if (!n) {
			snprintf(hex, sizeof(hex), "\\x%02x", (unsigned char)*s);
			from = hex;
		}
		s += n ? n : 1;
		n = n ? n : strlen(hex);
		if (used + n >= size)
			break;
		memcpy(buf + used, from, n);
		used += n;
	}
	if (size)
		buf[used] = 0;
	return buf;
}
