/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an agent publishes of its pods (/netloom/endpoint/…) is the agent's to delete. That of a
 * node that never comes back never does; this deletes in its place, while this process leads.
 *
 * A key goes when, for a whole grace, the source had no Node of the name that the value tells, nor
 * the Pod of the key on it. The transaction holds only as long as nobody has written the key since,
 * and etcd has no such Node either. Nothing goes before nodes and pods have been listed, nor while
 * the source has no Node at all: a folder of manifests need not declare them.
 */
#include "ksr/fence.h"
#include "ksr/table.h"

struct endpoints_ops {
	/* Gone from etcd: so many, this one among them. */
	void (*on_removed)(size_t n, const char *key, const char *node, void *arg);
	/* A value that can't be read; the key is left alone. */
	void (*on_bad)(const char *key, const struct err *e, void *arg);
	/* Writing or reading etcd fails; retried. */
	void (*on_trouble)(const char *error, void *arg);
};

struct endpoints;
int endpoints_new(struct event_base *base, struct store *s, const struct table *t,
		  unsigned int grace_ms, const struct endpoints_ops *ops, void *arg,
		  struct endpoints **ret);
void endpoints_free(struct endpoints *p); /* accepts NULL */
/* Starts, or goes on with another fence. */
int endpoints_fence(struct endpoints *p, const struct fence_value *fence);
void endpoints_stop(struct endpoints *p);

size_t endpoints_count(const struct endpoints *p);     /* keys in etcd */
uint64_t endpoints_removed(const struct endpoints *p); /* since the start */
