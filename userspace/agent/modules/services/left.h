/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an earlier run of the agent has left in the maps: read when they are opened, claimed piece
 * by piece by who would write the same, and removed when all objects are known (svcmaps_sweep()),
 * never before: until then packets go as they went. Each piece is claimed once.
 */
#include "agent/modules/services/maps.h"

struct left;

int left_read(struct svcmaps *m);
void left_free(struct left *l); /* accepts NULL */

/* An earlier run had services here. */
bool left_any(const struct svcmaps *m);
/* The value of a frontend that nobody has claimed; else NULL. */
const struct loom_svc *left_front(const struct svcmaps *m, const struct loom_svckey *key);
/* True: it was there, with this value. It is claimed whatever its value was. */
bool left_claim_front(struct svcmaps *m, const struct loom_svckey *key, const struct loom_svc *v);
/* False when somebody has it. */
bool left_claim_service(struct svcmaps *m, uint32_t number);
/* An empty region when it is no table of the earlier run, or somebody has it. */
struct region left_claim_region(struct svcmaps *m, uint32_t first, uint32_t size);
/* A number that has the same address, port and protocol, or 0. Numbers that are in somebody
 * else's table are left to them. */
uint32_t left_claim_backend(struct svcmaps *m, const struct loom_backend *b,
			    const struct region *from, size_t n_from);
bool left_claim_range(struct svcmaps *m, const struct loom_srckey *key);
/* The backend in the first slot of a table, or NULL: to tell whose a hostPort was. */
const struct loom_backend *left_first_backend(struct svcmaps *m, const struct loom_svc *v);

/* Removes what nobody has claimed. `dying` is called for each backend whose flows are to end.
 * Negative errno: of the first write that failed. */
int svcmaps_sweep(struct svcmaps *m, void (*dying)(uint32_t number, void *arg), void *arg);
