/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The sets of one policy, by the peer's number (never 0): a hash table that is small when empty. */
#include <stddef.h>
#include <stdint.h>

struct list;

struct setmap_entry {
	uint32_t peer; /* 0: free */
	struct list *list;
};

struct setmap {
	struct setmap_entry *v;
	uint32_t n, room; /* room: a power of two, or 0 */
};

struct list *setmap_find(const struct setmap *m, uint32_t peer);
/* The peer has no list yet. 0 or -ENOMEM. */
int setmap_add(struct setmap *m, uint32_t peer, struct list *list);
/* What was there, or NULL. */
struct list *setmap_take(struct setmap *m, uint32_t peer);
void setmap_fini(struct setmap *m);
