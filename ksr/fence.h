/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The fence: /netloom/ksr/leader holds who may write, and an epoch that grows with each change of
 * hands. All writes of a leader are transactions that compare this key with the value that it wrote
 * itself. So one that does not know yet that it lost its election (a stopped process, a slow
 * network) writes nothing more from the moment that another took the fence.
 *
 * The value holds a random instance besides, so that two processes that were given the same
 * identity are told apart.
 */
#include "lib/store/store.h"

struct fence_value {
	char text[512]; /* as it stands in etcd */
	int64_t epoch, revision;
};

struct fence;
/* `value` stays valid until fence_free(); called from inside of fence_take() only when out of
 * memory. */
typedef void (*fence_fn)(const struct fence_value *value, const struct err *e, void *arg);

/* `identity`: at most 253 printable characters. */
int fence_new(struct store *s, const char *identity, struct fence **ret);
void fence_free(struct fence *f); /* accepts NULL; no callback follows */
/*
 * Takes the fence from whoever has it; the epoch is one more than what is there, and than any that
 * this fence had before (etcd may have lost its data). Ends with `fn`: e->code 0, or what went
 * wrong; try again then. A second call replaces the first.
 */
void fence_take(struct fence *f, fence_fn fn, void *arg);
/* Takes it no more, unless that is under way already; no callback. */
void fence_cancel(struct fence *f);
/* The value last taken, "" before. */
const struct fence_value *fence_get(const struct fence *f);
/* Reads {"holder": …, "epoch": …}; what is missing stays "" and 0. */
void fence_parse(const char *text, char holder[static 256], int64_t *ret_epoch);
