// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void problems_add(struct problems *p, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (p->n == PROBLEMS_MAX) {
		p->more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->v[p->n] = strdup(text);
	if (p->v[p->n])
		p->n++;
	else
		p->more++;
}

void problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	*p = (struct problems){};
}

/* FNV-1a. */
uint64_t problems_hash(const struct problems *p, uint64_t seed)
{
	uint64_t h = seed ?: 0xcbf29ce484222325u;

	if (!p->n && !p->more)
		return seed;
	for (size_t i = 0; i < p->n; i++)
		for (const char *c = p->v[i]; *c; c++)
			h = (h ^ (uint8_t)*c) * 0x100000001b3u;
	return (h ^ p->more) * 0x100000001b3u ?: 1;
}
