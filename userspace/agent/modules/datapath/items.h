/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Entries of the maps as scheduler items: one descriptor a map. An item's value is the plain struct
 * of headers/shared/loom_maps.h, with the key kept behind it; names are for people
 * ("bpf-ep/0:10.1.1.5").
 */
#include "agent/core/scheduler.h"
#include "shared/loom_maps.h"

enum map_kind_flags {
	MAP_KIND_ARRAY = 1 << 0,     /* no deletion: zeros are "nothing" */
	MAP_KIND_STATE = 1 << 1,     /* generations and counters are kept and don't compare */
	MAP_KIND_REDIRECTS = 1 << 2, /* a change may move live flows to another next hop */
	MAP_KIND_NODE_VIPS = 1 << 3, /* numbers from LOOM_VIP_SERVICE_FIRST on are not ours */
};

#define ITEM_NAME_STRLEN 80

struct map_kind {
	struct descriptor descriptor;
	const char *map;
	size_t key_size, value_size;
	unsigned int flags; /* enum map_kind_flags */
	/* ITEM_NAME_STRLEN bytes. */
	void (*name)(const void *key, char *ret);
};

enum { KIND_STATE, KIND_NODE, KIND_IP, KIND_CIDR, KIND_IFCFG, KIND_EP, KIND_VIP, N_KINDS };
extern const struct map_kind map_kinds[N_KINDS];

struct map_item {
	_Alignas(8) uint8_t value[sizeof(struct loom_state)]; /* first: a pointer to the item is one
								 to the plain struct */
	uint8_t key[sizeof(struct loom_ipkey)];
	const struct map_kind *kind;
};

/* Heap; NULL on out-of-memory. */
struct map_item *map_item_new(const struct map_kind *kind, const void *key, const void *value);

/* ctx of the descriptors; the caller keeps it for as long as the scheduler lives. */
struct map_items {
	const struct map_kind *kind;
	int fd;
	uint32_t max_entries;
	void (*redirected)(void *arg); /* after a change of a MAP_KIND_REDIRECTS map; may be NULL */
	/* After masqueraded traffic got another source, in loom_state; may be NULL. */
	void (*masq_moved)(void *arg, const union loom_addr *old);
	void *arg;
};
