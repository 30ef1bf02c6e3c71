/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files share.
 *
 *	explain.c    the module, its routes and metrics
 *	asking.c     questions of this node to others
 *	answering.c  those of others to this one
 *	names.c      names for addresses and numbers, from the other modules
 *
 * Everything runs on the loop's thread; the engine takes about half a millisecond.
 */
#include <event2/event.h>

#include "agent/core/module.h"
#include "lib/explain/explain.h"
#include "lib/httpd/httpd.h"
#include "lib/store/store.h"

#define EXPLAIN_WAIT_MS	   3000 /* for another node's answer */
#define EXPLAIN_LEASE_S	   10	/* that a question and its answer last, if nobody removes them */
#define EXPLAIN_MAX_ASKING 16	/* questions of this node that are under way */
#define EXPLAIN_MAX_QUEUE  16	/* questions of others that wait for their turn */
#define EXPLAIN_RATE	   50	/* questions of others a second, and at once */
/* Of a service's table: more would hold the loop for more than a millisecond (0.2 us each). */
#define EXPLAIN_MAX_SLOTS 4096

struct asking;

/* A question of another node that waits for its turn. */
struct waiting {
	char id[17];
	int64_t lease;
	struct explain_letter letter;
};

/* So many a second, and so many at once. */
struct bucket {
	double tokens;
	uint64_t at_ms;
};

enum outcome { ASKED_ANSWERED, ASKED_REFUSED, ASKED_LATE, ASKED_MALFORMED, ASKED_OUTCOMES };

struct answering {
	struct store_follow *follow;
	struct event *turn;
	struct waiting queue[EXPLAIN_MAX_QUEUE];
	size_t first, n;
	int64_t revision; /* up to which all questions were taken */
	struct bucket answers, refusals;
	uint64_t counts[ASKED_OUTCOMES];
};

struct explain_module {
	struct agent *agent;
	struct asking *asking;
	size_t n_asking;
	struct answering answering;
	uint64_t runs;
	double seconds; /* of the loop, in the engine */
};

/* This node's half, with the names that it knows. */
int explain_here(struct explain_module *m, const struct explain_question *q,
		 struct json_object **ret, struct err *e);
/* {"error": …} with the status. */
void explain_refuse(struct httpd_reply *reply, int status, const char *error);

/* names.c */
struct explain_names explain_agent_names(struct explain_module *m);
/* GET /v1/explain/where */
void explain_where(const struct httpd_request *req, struct httpd_reply *reply, void *arg);

/* asking.c: answers `later` when the node does, or does not. Negative errno: not begun. */
int ask_node(struct explain_module *m, const char *node, const struct explain_question *q,
	     const struct httpd_request *req);
void asking_fini(struct explain_module *m);

/* answering.c */
int answering_init(struct explain_module *m);
void answering_fini(struct explain_module *m);
