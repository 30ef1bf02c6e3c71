/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the agent did: one record an event, with who handled it, how long it took, and each
 * operation on the node. A ring of the last ones, kept as JSON text, since it is seldom read.
 *
 *	history_begin(h, &head);
 *	history_handler(…); history_op(…);     any number
 *	history_end(h, …);
 *
 * Functions that take a part accept that no record is open, and do nothing then. Out of memory
 * costs a record, never more.
 */
#include <json-c/json.h>

#include "agent/core/sched_observe.h"

struct history;

struct history_head {
	uint64_t seq, follow_up_to, waited_ms;
	const char *event, *method;
	struct json_object *facts; /* taken; may be NULL */
};

int history_new(size_t entries, struct history **ret);
void history_free(struct history *h); /* accepts NULL */
void history_begin(struct history *h, const struct history_head *head);
void history_handler(struct history *h, const char *module, const char *step, uint64_t us,
		     const char *error);
void history_op(struct history *h, const struct sched_op *op);
/* `stats` may be NULL; `error` NULL or "" when all went well. */
void history_end(struct history *h, const struct txn_stats *stats, const char *error);
/* Drops the open record. */
void history_cancel(struct history *h);
/* {"seq": <last>, "records": […]}: those after `since`, at most the `last` newest. Heap, or NULL.
 */
char *history_text(const struct history *h, uint64_t since, size_t last);
