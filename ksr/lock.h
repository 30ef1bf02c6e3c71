/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Leader election in etcd itself, where there is no Kubernetes: /netloom/ksr/lock is created
 * under a lease of 15 s, by whoever comes first, and goes with the lease. Single-threaded;
 * on_lead() and on_lost() alternate, and may not free the lock.
 */
#include "lib/store/store.h"

struct lock_ops {
	void (*on_lead)(void *arg);
	void (*on_lost)(const char *why, void *arg);
	void (*on_trouble)(const char *error, void *arg); /* retried */
};

struct lock;
int lock_new(struct event_base *base, struct store *s, const char *identity,
	     const struct lock_ops *ops, void *arg, struct lock **ret);
void lock_free(struct lock *l); /* accepts NULL */
/* Gives the key back; `done` is called once, and no other callback after this. */
void lock_release(struct lock *l, void (*done)(void *arg), void *arg);
/* Steps down without on_lost(), and stands again after 15 s. */
void lock_yield(struct lock *l);
/* Who holds it; "" when nobody, or not known yet. */
const char *lock_holder(const struct lock *l);
