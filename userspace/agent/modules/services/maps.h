/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The maps of services, as this module writes them: numbers of backends and addresses, slots, ports
 * in use. What an earlier run has left is read once and adopted piece by piece (left.h); the rest
 * is removed by svcmaps_sweep(). Every write is counted: an agent that restarts makes none.
 *
 * Knows maps and numbers, no services.
 */
#include <uthash.h>

#include "agent/modules/services/slots.h"
#include "lib/base/addr.h"
#include "shared/loom_svc.h"

struct svcmaps_fds {
	int svc, lut, backend, vip, ports, srcrange;
	uint32_t max_backends, max_slots, max_vips, max_ranges;
};

struct vip {
	union loom_addr addr;
	uint32_t number, refs;
	struct vip *prev, *next; /* of those that nobody refers to */
	UT_hash_handle hh;
};

enum number_state { NUMBER_IDLE, NUMBER_USED, NUMBER_DYING };

struct svcmaps {
	struct svcmaps_fds fd;
	uint64_t *lut;	 /* the first `mapped` slots, as the kernel lays an array out */
	uint32_t mapped; /* the others are mapped when they are needed … */
	bool unmappable; /* … or written by system calls */
	struct slots slots;
	uint8_t *numbers; /* backend number -> enum number_state */
	uint32_t next_number, used_numbers, next_vip, next_service;
	struct vip *vips;	/* all addresses that have a number */
	struct vip *idle_vips;	/* those that are nobody's any more, the longest so first */
	uint8_t *is_vip_number; /* by number: some address has it */
	uint64_t ports[LOOM_PORTS_SETS * LOOM_PORTS_WORDS];
	uint32_t port_refs[LOOM_PORTS_SETS][65536];
	struct left *left; /* NULL after the sweep */
	uint64_t writes, failed;
};

/* Heap; reads what is in the maps. Descriptors are borrowed. */
int svcmaps_new(const struct svcmaps_fds *fd, struct svcmaps **ret);
void svcmaps_free(struct svcmaps *m); /* accepts NULL; the maps stay as they are */

/* Counts a write that has just been tried: 0, or -errno when `failed` is not 0. */
int svcmaps_note(struct svcmaps *m, int failed);

/* The number of a port that had none. */
uint32_t svcmaps_service_new(struct svcmaps *m);

/*
 * 0 or a negative errno; -ENOSPC when all numbers are taken. `b->gen` is filled in. A backend that
 * an earlier run had keeps its number, the one in the caller's adopted regions `from` before
 * others.
 */
int svcmaps_backend_add(struct svcmaps *m, struct loom_backend *b, const struct region *from,
			size_t n_from, uint32_t *ret_number);
/* Only if an earlier run had it, else -ENOENT: for a backend that gets no new flows. */
int svcmaps_backend_adopt(struct svcmaps *m, const struct loom_backend *b,
			  const struct region *from, size_t n_from, uint32_t *ret_number);
/* Writes what differs from the map; the generation there stays. */
int svcmaps_backend_set(struct svcmaps *m, uint32_t number, const struct loom_backend *b);
/* Its flows are to end; the number is not free before svcmaps_backend_forget(). */
int svcmaps_backend_end(struct svcmaps *m, uint32_t number);
int svcmaps_backend_forget(struct svcmaps *m, uint32_t number);

/* Slots of the region become `v`; those that differ are written. */
int svcmaps_slots_set(struct svcmaps *m, const struct region *r, const uint32_t *v);
uint32_t svcmaps_slot(struct svcmaps *m, uint32_t slot); /* 0 when it can't be read */

/* 0 or a negative errno, -E2BIG when the map is full. Unchanged since an earlier run: no write. */
int svcmaps_front_set(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v);
int svcmaps_front_del(struct svcmaps *m, const struct loom_svckey *key);

/*
 * Number of an address, counted: each get has its put. 0 when all are taken. Flows have the number
 * and answer from what it says, for as long as they live: an address that nobody refers to keeps
 * its number, and has it again when it comes back, until there is none left for a new address; then
 * the one that has been idle for the longest goes.
 */
uint32_t svcmaps_vip_get(struct svcmaps *m, const union loom_addr *addr);
void svcmaps_vip_put(struct svcmaps *m, const union loom_addr *addr);
/* Nobody refers to it, and nobody will who had it in an earlier run. */
void svcmaps_vip_idle(struct svcmaps *m, struct vip *v);

int svcmaps_range_add(struct svcmaps *m, uint32_t service, const struct prefix *p);
int svcmaps_range_del(struct svcmaps *m, uint32_t service, const struct prefix *p);

/* Counted, like addresses. Host byte order. */
int svcmaps_port_get(struct svcmaps *m, enum loom_port_set set, uint16_t port);
int svcmaps_port_put(struct svcmaps *m, enum loom_port_set set, uint16_t port);
/* Writes the words that are not what is counted, such as after a failed write. */
int svcmaps_ports_check(struct svcmaps *m);
