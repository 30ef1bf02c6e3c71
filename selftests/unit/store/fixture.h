/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the store's tests share: a loop, a store on a real etcd, and ways to wait for one thing.
 * Waiting turns the loop until a flag is set; after 30 s the test fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "lib/base/clock.h"
#include "lib/store/store.h"
#include "selftests/lib/etcd.h"

extern struct event_base *base;

/* Turns the loop until *flag is at least `value`. */
void wait_for(const int *flag, int value);
/* Turns the loop for so long, to see that nothing happens. */
void turn_for(unsigned int ms);

struct store *connect_to(const char *url);
struct store *connect_with(const struct store_config *cfg);

/* ---- one operation, waited for ---- */

struct answer {
	int done, err;
	char error[512];
	bool succeeded;
	int64_t revision;
	size_t n;
	uint64_t cluster_id;
	/* of the first and the last */
	char first_key[256], last_key[256], first_value[256];
	size_t first_value_len;
	bool sorted;
};
void on_range(const struct store_range_result *res, void *arg);
void on_txn(const struct store_txn_result *res, void *arg);
struct answer get(struct store *s, const char *key, bool prefix);
struct answer put(struct store *s, const char *key, const char *value);
struct answer del(struct store *s, const char *key, bool prefix);
struct answer txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
		  const struct store_write *writes, size_t n_writes);
/* POST to the gateway, past the store under test; asserts status 200. */
void gateway(const char *url, const char *path, const char *body);
void compact(const char *url, int64_t revision);

/* ---- a follow that is recorded ---- */

struct followed {
	int syncs, changes, events, deletions, breaks, break_err;
	size_t sync_n;
	int64_t sync_revision, last_revision;
	bool in_order; /* each revision above the one before */
	char last_key[256], last_value[256];
	struct store_follow *f;
	struct store *free_store; /* freed inside of the next callback */
	bool free_in_callback;
};
extern const struct store_follow_ops follow_recorder;
void follow(struct store *s, const char *prefix, struct followed *ret);
