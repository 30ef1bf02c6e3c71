/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small helpers that every file may use: ownership attributes, array sizes, container_of.
 *
 *	_cleanup_(foo_freep) struct foo *f = NULL;   freed when the scope ends
 *	*ret = TAKE_PTR(f);                          ownership moves out, f becomes NULL
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)	__attribute__((cleanup(f)))
#define _printf_(a, b)	__attribute__((format(printf, a, b)))
#define _unused_	__attribute__((unused))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)	((a) < (b) ? (a) : (b))
#define MAX(a, b)	((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, to) (((x) + (to)-1) / (to) * (to))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define TAKE_PTR(p)                     \
	({                              \
		typeof(p) _taken = (p); \
		(p) = NULL;             \
		_taken;                 \
	})

#define TAKE_FD(fd)                \
	({                         \
		int _taken = (fd); \
		(fd) = -1;         \
		_taken;            \
	})

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* Defines foo_freep() for _cleanup_(), from foo_free() which accepts NULL. */
#define DEFINE_FREEP(type, free_fn)             \
	static inline void free_fn##p(type **p) \
	{                                       \
		free_fn(*p);                    \
	}
