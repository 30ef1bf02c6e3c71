// SPDX-License-Identifier: Apache-2.0
#include "lib/base/name.h"

#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *s, size_t max, bool dots)
{
	size_t n = strnlen(s, max + 1);

	if (!n || n > max)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool edge = i == 0 || i == n - 1 || s[i - 1] == '.' || s[i + 1] == '.';

		if (is_alnum(s[i]) || (s[i] == '-' && !edge))
			continue;
		if (s[i] != '.' || !dots || i == 0 || i == n - 1 || s[i - 1] == '.')
			return false;
	}
	return true;
}

bool name_is_label(const char *s)
{
	return is_name(s, NAME_MAX_LABEL, false);
}

bool name_is_subdomain(const char *s)
{
	return is_name(s, NAME_MAX_SUBDOMAIN, true);
}
