/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Random clusters, and what happens to them: the objects go to the oracle's model and to the
 * compiler's world alike, over whatever maps the test has given to `cluster`.
 *
 *	history_start(&h, set_endpoint);          the seed: SEED=…, or of the clock; it is printed
 *	cluster_init(&h.cluster);                 or cluster_begin()
 *	history_fill(&h);
 *	cluster_settle(&h.cluster); …             maps and model say the same
 *	history_change(&h); …
 *	history_forget(&h);                       and another one
 *
 * The same seed makes the same worlds, as long as the test draws from `random` alike.
 */
#include "selftests/unit/policy/cluster.h"
#include "selftests/unit/policy/generator.h"

struct history {
	struct random random;
	struct model model;
	struct cluster cluster;
	uint64_t seed;
	size_t world, step;
	bool disturbs;	/* the latest change closes pods for a while, as it has to */
	bool restarted; /* it was a new agent over the same maps, and changed nothing */
	/* The pod's object was set, is gone or goes to a new agent: whether it has an endpoint is
	 * the test's to say (world_set_endpoint(), world_del_endpoint()). */
	void (*set_endpoint)(struct history *h, size_t pod);
};

void history_start(struct history *h, void (*set_endpoint)(struct history *h, size_t pod));
void history_fill(struct history *h);
void history_change(struct history *h);
/* Its cluster too. */
void history_forget(struct history *h);
/* All objects, for who looks into a failure. */
void history_show(const struct history *h);
/* "namespace/name" or "name", in `buf`. */
const char *history_key(struct json_object *obj, char *buf, size_t len);
/* A number of the environment. */
uint64_t history_number(const char *name, uint64_t otherwise);
