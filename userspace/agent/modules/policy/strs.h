/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strings that are kept once, however many objects hold them: names of namespaces, labels' keys and
 * values, ports' names. Equal strings are equal pointers. Counted; one thread.
 */
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct strs;

struct str {
	UT_hash_handle hh;
	struct strs *of;
	uint32_t refs;
	char text[];
};

struct strs {
	struct str *all;
};

/* NULL: out of memory. */
struct str *str_get(struct strs *s, const char *text);
/* Borrowed; NULL when nobody holds such a string. */
struct str *str_find(const struct strs *s, const char *text);
struct str *str_ref(struct str *s); /* accepts NULL */
void str_put(struct str *s);	    /* accepts NULL */
