/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strings that are kept once, however many objects hold them: names of namespaces, labels' keys and
 * values, ports' names. Equal strings are equal pointers. Counted; one thread.
 *
 * A string also knows whether policies look at it. Labels and ports that none looks at tell no pods
 * apart, and most of a cluster's are such: hashes and names that a controller gives to each pod.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

struct strs;

struct str {
	UT_hash_handle hh;
	struct strs *of;
	uint32_t refs;
	uint32_t chosen; /* by selectors, or by named ports of rules */
	char text[];
};

struct strs {
	struct str *all;
	bool newly_chosen; /* some string is that was not; the reader takes it back */
};

/* NULL: out of memory. */
struct str *str_get(struct strs *s, const char *text);
/* Borrowed; NULL when nobody holds such a string. */
struct str *str_find(const struct strs *s, const char *text);
struct str *str_ref(struct str *s); /* accepts NULL */
void str_put(struct str *s);	    /* accepts NULL */
/* Counted: a policy looks at what has this key or name. Both accept NULL. */
void str_choose(struct str *s);
void str_unchoose(struct str *s);
