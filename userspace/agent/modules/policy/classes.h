/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Prefixes that the policies of this node's pods name, each with a number of its own: the class of
 * the addresses that it covers and no longer one does. Families are apart: "::/0" holds no IPv4
 * address, although these are part of it as numbers. So where such a prefix is, 0.0.0.0/0 is also.
 */
#include <uthash.h>

#include "agent/modules/policy/setmap.h"
#include "lib/base/addr.h"
#include "shared/loom_maps.h"

struct class
{
	UT_hash_handle hh;
	struct loom_cidrkey key;
	struct prefix prefix;
	struct class *parent;	   /* the longest of the others that covers it */
	uint32_t number, refs, at; /* at: in `v` */
	bool fresh;		   /* not all rule sets have a set for it yet */
	bool written;		   /* in loom_class */
	bool there;		   /* it may be, whatever has been written since */
	bool seen;		   /* was there once */
	uint64_t idle_at;
	uint32_t marks; /* scratch of who compiles; 0: none */
};

struct classes {
	struct class *all;
	struct class **v; /* sorted: one stands behind those that cover it;
			     NULL where one went, until then */
	size_t room;
	uint32_t n, n_idle;
	bool unsorted;
	uint32_t last;	       /* number given */
	struct setmap numbers; /* that are in use; lists mean nothing */
	uint64_t now;
};

/* Counted. classes_sort() is due before the next look at `v` or `parent`. NULL: out of memory. */
struct class *class_get(struct classes *c, const struct prefix *p);
struct class *class_find(const struct classes *c, const struct prefix *p);
void class_put(struct classes *c, struct class *class);
/* An earlier run's; nobody has it. NULL: out of memory, or it is there. */
struct class *class_adopt(struct classes *c, const struct loom_cidrkey *key, uint32_t number);
void class_forget(struct classes *c, struct class *class);
void classes_sort(struct classes *c);
void classes_fini(struct classes *c);

/* The IPv4 prefix that must be there with it, or NULL. */
const struct prefix *class_barrier(const struct prefix *p);
