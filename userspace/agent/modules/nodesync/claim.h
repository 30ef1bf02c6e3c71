/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node id by compare-and-swap on /netloom/alloc/node/<id>.
 *
 * A node that has an id of before (from its local store) claims the same one again when etcd has
 * lost it. Otherwise an id under this node's name is taken up, else the lowest free one. When there
 * is none, the id of a node is taken over whose Kubernetes object is gone, provided that the
 * reflector has reflected all Node objects; the same transaction checks both and deletes what that
 * node published. Nothing else ever frees an id.
 *
 * If the id of before belongs to another node meanwhile, that is told as a conflict, and tried
 * again for ever; it is never answered with another id, since pods run with addresses that follow
 * from it.
 */
#include <event2/event.h>

#include "lib/base/err.h"
#include "lib/store/store.h"

struct claim;

struct claim_config {
	struct event_base *base;
	struct store *store;
	const char *name;  /* of this node; copied */
	uint32_t known_id; /* of before, or 0 */
	uint32_t max_id;
	unsigned int retry_min_ms, retry_max_ms;
	/* The id is in etcd under this node's name. Called again after each claim_verify(). */
	void (*on_claimed)(uint32_t id, void *arg);
	/* Not yet: e says why. Called for each failed attempt. */
	void (*on_failed)(const struct err *e, void *arg);
	void *arg;
};

int claim_new(const struct claim_config *cfg, struct claim **ret);
void claim_free(struct claim *c); /* accepts NULL */
/* Starts, or looks again whether etcd still knows it. Does nothing while an attempt is under way.
 */
void claim_verify(struct claim *c);
