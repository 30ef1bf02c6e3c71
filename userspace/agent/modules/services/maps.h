/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The maps of services, as this module writes them: numbers of backends and addresses, slots, ports
 * in use. What an earlier run has left is read once and adopted piece by piece; the rest is removed
 * by svcmaps_sweep(). Every write is counted: an agent that restarts makes none.
 */
#include <uthash.h>

#include "agent/modules/services/slots.h"
#include "lib/base/addr.h"
#include "shared/loom_svc.h"

struct svcmaps_fds {
	int svc, lut, backend, vip, ports, srcrange;
	uint32_t max_backends, max_slots, max_vips;
};

struct vip {
	union loom_addr addr;
	uint32_t number, refs;
	UT_hash_handle hh;
};

/* What an earlier run has left under a key. */
struct left_front {
	struct loom_svckey key;
	struct loom_svc value;
	bool claimed;
	UT_hash_handle hh;
};
struct left_range {
	struct loom_srckey key;
	bool claimed;
	UT_hash_handle hh;
};
struct left_backend {
	uint32_t number;
	bool claimed;
	struct left_backend *next; /* of the same tuple */
	struct {
		union loom_addr addr;
		__be16 port;
		uint16_t proto;
	} key;
	UT_hash_handle hh;
};

enum number_state { NUMBER_IDLE, NUMBER_USED, NUMBER_DYING };

struct svcmaps {
	struct svcmaps_fds fd;
	uint64_t *lut; /* mapped, as the kernel lays an array out; NULL: by system calls */
	struct slots slots;
	uint8_t *numbers; /* backend number -> enum number_state */
	uint32_t next_number, used_numbers, next_vip;
	uint32_t next_service;
	struct vip *vips;
	uint64_t ports[LOOM_PORTS_SETS * LOOM_PORTS_WORDS];
	uint16_t port_refs[LOOM_PORTS_SETS][65536];
	struct left_front *left_fronts;
	struct left_range *left_ranges;
	struct left_backend *left_backends;
	struct region *left_regions;
	size_t n_left_regions;
	uint64_t writes, failed;
};

/* Heap; reads what is in the maps. Descriptors are borrowed. */
int svcmaps_new(const struct svcmaps_fds *fd, struct svcmaps **ret);
void svcmaps_free(struct svcmaps *m); /* accepts NULL; the maps stay */

/* Removes what nobody has claimed. `dying` is called for each backend that goes. */
void svcmaps_sweep(struct svcmaps *m, void (*dying)(uint32_t number, void *arg), void *arg);

/* 0 or a negative errno; -ENOSPC when all numbers are taken. An adopted backend keeps its number.
 */
int svcmaps_backend_add(struct svcmaps *m, struct loom_backend *b, uint32_t *ret_number);
int svcmaps_backend_set(struct svcmaps *m, uint32_t number, const struct loom_backend *b);
/* Its flows are to end; the number is not free before svcmaps_backend_forget(). */
void svcmaps_backend_end(struct svcmaps *m, uint32_t number);
void svcmaps_backend_forget(struct svcmaps *m, uint32_t number);

/* A region that an earlier run used, which is the caller's from now on; an empty one when that is
 * not so, or somebody has claimed it. */
struct region svcmaps_region_claim(struct svcmaps *m, uint32_t first, uint32_t size);
/* Slots of the region become `v`; those that differ are written. */
int svcmaps_slots_set(struct svcmaps *m, const struct region *r, const uint32_t *v);

/* 0 or a negative errno, -E2BIG when the map is full. Unchanged: no write. */
int svcmaps_front_set(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v);
int svcmaps_front_del(struct svcmaps *m, const struct loom_svckey *key);
/* What an earlier run had there, as long as nobody has set it; else NULL. */
const struct loom_svc *svcmaps_front_left(const struct svcmaps *m, const struct loom_svckey *key);

/* Number of an address, counted: each get has its put. 0 when all are taken. */
uint32_t svcmaps_vip_get(struct svcmaps *m, const union loom_addr *addr);
void svcmaps_vip_put(struct svcmaps *m, const union loom_addr *addr);

int svcmaps_range_add(struct svcmaps *m, uint32_t service, const struct prefix *p);
void svcmaps_range_del(struct svcmaps *m, uint32_t service, const struct prefix *p);

/* Counted, like addresses. Host byte order. */
void svcmaps_port_get(struct svcmaps *m, enum loom_port_set set, uint16_t port);
void svcmaps_port_put(struct svcmaps *m, enum loom_port_set set, uint16_t port);
