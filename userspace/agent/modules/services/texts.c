// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/texts.h"

#include <string.h>

#define FIRST_BLOCK 64
#define LAST_BLOCK  16384

struct texts_block {
	struct texts_block *next;
	size_t used, size;
	char text[];
};

static struct texts_block *add_block(struct texts *t, size_t need)
{
	size_t size = t->blocks ? MIN(t->blocks->size * 2, (size_t)LAST_BLOCK) : FIRST_BLOCK;
	struct texts_block *b;

	size = MAX(size, need);
	b = malloc(sizeof(*b) + size);
	if (!b)
		return NULL;
	b->next = t->blocks;
	b->used = 0;
	b->size = size;
	t->blocks = b;
	return b;
}

const char *texts_add(struct texts *t, const char *s, const char *like)
{
	struct texts_block *b = t->blocks;
	size_t n = strlen(s) + 1;
	char *copy;

	if (n == 1)
		return "";
	if (like && strcmp(like, s) == 0)
		return like;
	if (!b || b->size - b->used < n)
		b = add_block(t, n);
	if (!b)
		return NULL;
	copy = b->text + b->used;
	memcpy(copy, s, n);
	b->used += n;
	return copy;
}

void texts_clear(struct texts *t)
{
	while (t->blocks) {
		struct texts_block *b = t->blocks;

		t->blocks = b->next;
		free(b);
	}
}
