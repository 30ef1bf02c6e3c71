/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * etcd v3 over its JSON gateway (/v3/kv/…, /v3/watch, /v3/lease/…), on the event loop. Tested with
 * etcd 3.4; follows the etcd v3 API (rpc.proto). Keys and values are bytes; here they are
 * NUL-terminated strings with a length.
 *
 * Endpoints are tried in turn: a connect failure, UNAVAILABLE (grpc code 14) or a stalled stream
 * moves on to the next one. A write that timed out may have happened, so writers use guards
 * (mod_revision) or idempotent values.
 *
 * Each operation ends with one callback, unless cancelled. Errors: -EAGAIN nobody could be reached
 * in time, -EPROTO gateway answered nonsense, -ENOSPC etcd is out of space, -E2BIG too large,
 * -EACCES auth or TLS, -ESTALE compacted.
 */
#include <event2/event.h>

#include "lib/base/err.h"

struct store;
struct store_op;

struct store_config {
	const char *const *endpoints; /* "http://10.0.0.1:2379", NULL-terminated; copied */
	const char *ca_file, *cert_file, *key_file; /* PEM, for https endpoints; NULL = none */
	const char *username, *password;	    /* etcd RBAC, NULL = none */
	unsigned int timeout_ms;		    /* one request; 0 = 5,000 */
	size_t max_memory;			    /* bound on buffered answers; 0 = 512 MiB */
};

struct store_kv {
	const char *key;
	const char *value; /* NULL for a deletion */
	size_t key_len, value_len;
	int64_t mod_revision, create_revision, version, lease;
};

int store_new(struct event_base *base, const struct store_config *cfg, struct store **ret,
	      struct err *e);
/* Cancels all operations without callbacks; accepts NULL. Follows and leases fall silent, but are
 * still to be freed. */
void store_free(struct store *s);
void store_op_cancel(struct store_op *op);

/* True while the last request to some endpoint succeeded; `on_change` is told of each change. */
bool store_connected(const struct store *s);
void store_on_connected(struct store *s, void (*on_change)(bool connected, void *arg), void *arg);

/* ---- reading ---- */

struct store_range_result {
	int err;
	const char *error;
	const struct store_kv *kvs; /* sorted by key, borrowed */
	size_t n;
	int64_t revision; /* the one revision that all pages were read at */
	uint64_t cluster_id;
};
typedef void (*store_range_fn)(const struct store_range_result *res, void *arg);
/* One key, or with `prefix` all keys that start with it, in pages of 1,000, all at one revision. */
int store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		struct store_op **ret);

/* ---- writing ---- */

enum store_cmp_kind {
	STORE_CMP_ABSENT, /* the key does not exist */
	STORE_CMP_EXISTS,
	STORE_CMP_MOD_REVISION, /* == number */
	STORE_CMP_VALUE,	/* == value */
	STORE_CMP_LEASE,	/* == number */
};
struct store_cmp {
	enum store_cmp_kind kind;
	const char *key;
	const char *value;
	int64_t number;
};
enum store_write_kind { STORE_PUT, STORE_DELETE, STORE_DELETE_PREFIX };
struct store_write {
	enum store_write_kind kind;
	const char *key;
	const char *value; /* NUL-terminated text */
	int64_t lease;	   /* 0 = none */
};
struct store_txn_result {
	int err; /* 0 also when !succeeded */
	const char *error;
	bool succeeded; /* every comparison held, in every part */
	int64_t revision;
	const struct store_kv
		*kvs; /* when !succeeded: the compared keys as they stand (absent ones left out) */
	size_t n;
};
typedef void (*store_txn_fn)(const struct store_txn_result *res, void *arg);
/*
 * Writes if all comparisons hold. More than 128 operations, or more than 1.5 MiB, are split into
 * several transactions, each with the same comparisons (so a fence holds for all), in order,
 * stopping at the first that fails. A later write to the same key in one call replaces the earlier
 * one. Everything is copied. When there are several parts, what is written to compared keys comes
 * last, since it would make the comparisons of later parts fail.
 *
 * `fn` may be NULL. Without comparisons a write whose answer is lost is repeated; with them it is
 * not, and ends with -EAGAIN: read to learn what happened.
 */
int store_txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
	      const struct store_write *writes, size_t n_writes, store_txn_fn fn, void *arg,
	      struct store_op **ret);
/* store_txn() without comparisons. */
int store_put(struct store *s, const char *key, const char *value, int64_t lease, store_txn_fn fn,
	      void *arg, struct store_op **ret);
int store_delete(struct store *s, const char *key, bool prefix, store_txn_fn fn, void *arg,
		 struct store_op **ret);

/* ---- following ---- */

/*
 * A prefix kept in step for ever: first one on_sync() with everything below it, then on_change()
 * for each change in revision order. Whatever happens in between (lost stream, failover, stall) is
 * resumed at the last revision + 1; after a compaction, or when the cluster was rolled back or
 * replaced (cluster id, or revision behind ours), everything is listed again and on_sync() called
 * anew, so that the caller can sweep what is gone.
 */
struct store_follow_ops {
	void (*on_sync)(const struct store_range_result *all, void *arg);
	/* Events of one revision come in one call. value is NULL for deletions. */
	void (*on_change)(const struct store_kv *events, size_t n, int64_t revision, void *arg);
	/* The stream is interrupted; reported once a break, and retried for ever. May be NULL. */
	void (*on_break)(int err, const char *error, void *arg);
};
struct store_follow;
int store_follow_new(struct store *s, const char *prefix, const struct store_follow_ops *ops,
		     void *arg, struct store_follow **ret);
void store_follow_free(struct store_follow *f);

/* ---- leases ---- */

/*
 * A lease kept alive while the object lives; granted anew when etcd forgot it, or when it could not
 * be renewed within its TTL (on_lost, then on_granted with the new id: write the keys again).
 * store_lease_free() revokes it, if the loop still turns.
 */
struct store_lease_ops {
	void (*on_granted)(int64_t id, void *arg);
	void (*on_lost)(void *arg);
};
struct store_lease;
int store_lease_new(struct store *s, unsigned int ttl_s, const struct store_lease_ops *ops,
		    void *arg, struct store_lease **ret);
void store_lease_free(struct store_lease *l);
