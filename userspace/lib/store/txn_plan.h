/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * How a set of writes is cut into transactions that etcd takes: at most 128 operations each
 * (--max-txn-ops), at most 1.5 MiB (--max-request-bytes), no key written twice, and no key put that
 * the same transaction deletes by prefix. Pure; borrows the writes. Private to lib/store.
 */
#include "lib/store/store.h"

#define TXN_MAX_OPS   128u
#define TXN_MAX_BYTES (1536u << 10)

struct txn_plan {
	const struct store_write **writes; /* in the order they are done */
	size_t n;
	size_t *ends; /* part i has writes [ends[i - 1], ends[i]) */
	size_t n_parts;
};

/*
 * At least one part, even without writes. When there are several, what is written to compared keys
 * comes last and in one part, since the comparisons have to hold for each part. -E2BIG: one write,
 * the comparisons, or the writes to compared keys do not fit in one part; -EINVAL: a prefix
 * deletion in several parts covers a compared key. The message names the key.
 */
int txn_plan_new(const struct store_cmp *cmps, size_t n_cmps, const struct store_write *writes,
		 size_t n_writes, struct txn_plan *ret, struct err *e);
void txn_plan_clear(struct txn_plan *p);
