/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Arrays that grow. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * Room for `want` elements of `size` bytes in *(T **)array_ptr, which has some for *room; it is at
 * least doubled. 0 or -ENOMEM: nothing has changed then.
 */
static inline int grow_room(void *array_ptr, size_t *room, size_t want, size_t size)
{
	char **array = array_ptr, *v;
	size_t n = *room ? *room * 2 : 4;

	if (want <= *room)
		return 0;
	n = n < want ? want : n;
	v = reallocarray(*array, n, size);
	if (!v)
		return -ENOMEM;
	*array = v;
	*room = n;
	return 0;
}

/*
 * For arrays that keep no room: a zeroed element more of *(T **)array_ptr, which has *n of `size`
 * bytes; NULL: out of memory, and nothing has changed. Room doubles: it is full when the number is
 * a power of two, so *n must not be lowered while more is to come.
 */
static inline void *grow(void *array_ptr, size_t *n, size_t size)
{
	char **array = array_ptr, *v = *array;

	if ((*n & (*n - 1)) == 0) {
		v = realloc(v, (*n ? *n * 2 : 1) * size);
		if (!v)
			return NULL;
		*array = v;
	}
	memset(v + *n * size, 0, size);
	return v + (*n)++ * size;
}
