// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/policy/strs.h"

#include <stdlib.h>
#include <string.h>

struct str *str_find(const struct strs *s, const char *text)
{
	struct str *found;

	HASH_FIND_STR(s->all, text, found);
	return found;
}

struct str *str_get(struct strs *s, const char *text)
{
	struct str *str = str_find(s, text);
	size_t len = strlen(text);

	if (str)
		return str_ref(str);
	str = calloc(1, sizeof(*str) + len + 1);
	if (!str)
		return NULL;
	memcpy(str->text, text, len);
	str->refs = 1;
	str->of = s;
	HASH_ADD_KEYPTR(hh, s->all, str->text, len, str);
	return str;
}

struct str *str_ref(struct str *s)
{
	if (s)
		s->refs++;
	return s;
}

void str_put(struct str *s)
{
	if (!s || --s->refs)
		return;
	HASH_DEL(s->of->all, s);
	free(s);
}

void str_choose(struct str *s)
{
	if (s && !s->chosen++)
		s->of->newly_chosen = true;
}

void str_unchoose(struct str *s)
{
	if (s)
		s->chosen--;
}
