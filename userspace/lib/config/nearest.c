// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <string.h>

#include "lib/config/config_int.h"

#define MAX_WORD 64

/* Edit distance in which swapping two neighbours counts once, as typing does. Case is ignored. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][MAX_WORD + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			int x = tolower((unsigned char)a[i - 1]);
			int y = tolower((unsigned char)b[j - 1]);

			now[j] = MIN(MIN(last[j], now[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]))
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

const char *config_nearest(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word), best = len / 3 + 2;
	const char *found = NULL;

	if (len > MAX_WORD)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t d, wlen = strlen(words[i]);

		if (wlen > MAX_WORD)
			continue;
		d = distance(word, len, words[i], wlen);
		if (d < best && d < wlen) {
			best = d;
			found = words[i];
		}
	}
	return found;
}
