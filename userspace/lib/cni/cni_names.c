// SPDX-License-Identifier: Apache-2.0
#include "lib/cni/cni_names.h"

#include <string.h>

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool cni_identifier_valid(const char *s)
{
	if (!is_alnum(*s))
		return false;
	for (; *s; s++) {
		if (!is_alnum(*s) && !strchr("_.-", *s))
			return false;
	}
	return true;
}

bool cni_ifname_valid(const char *s)
{
	if (!*s || strlen(s) > 15 || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++) {
		if (*s <= ' ' || *s >= 0x7f || strchr("/:", *s))
			return false;
	}
	return true;
}
