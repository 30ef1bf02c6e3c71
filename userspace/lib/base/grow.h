/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Arrays that grow by one element at a time: a pointer and a number, and no more to keep. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/*
 * A zeroed element more of *(T **)array_ptr, which has *n of `size` bytes; NULL: out of memory, and
 * nothing has changed. Room doubles: it is full when the number is a power of two, so *n must not
 * be lowered while more is to come.
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
