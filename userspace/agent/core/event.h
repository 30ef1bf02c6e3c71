/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Events are what the agent reacts to: one queue, one at a time, follow-ups (pushed while an event
 * is handled) first. For each event the loop asks every module that handles it, in the modules'
 * order (reverse order for deletions), to put items into one transaction, commits it, and records
 * all of that in the history.
 *
 *	struct add_pod { struct agent_event ev; … };           embed
 *	static const struct event_type add_pod_type = { .name = "add-pod", .method = EVENT_UPDATE,
 *	                                                .mode = TXN_REVERT_ON_FAILURE, … };
 *	event_push(agent, &add_pod->ev);                 the loop owns it now
 */
#include <json-c/json.h>

#include "agent/core/scheduler.h"
#include "lib/base/err.h"

struct agent;
struct agent_event;

enum event_method {
	EVENT_UPDATE,	       /* modules' update() */
	EVENT_FULL_RESYNC,     /* modules' resync() after reloading their sources; then
				  scheduler_resync() */
	EVENT_UPSTREAM_RESYNC, /* modules' resync() from what they hold; then scheduler_resync() */
	EVENT_DOWNSTREAM_RESYNC, /* modules are not asked; scheduler_verify() */
};

struct event_type {
	const char *name;
	enum event_method method;
	enum txn_mode mode; /* EVENT_UPDATE */
	bool reverse;	    /* handlers in reverse order: deletions */
	/* From this event on modules know all that they need: events pushed before the first such
	 * one wait for it. A resync before that would take what is not known yet for what is gone.
	 */
	bool opens;
	/* Optional: facts for the history, without secrets. */
	struct json_object *(*describe)(const struct agent_event *ev);
	/* Called once when the event is done: err 0 or the first error of a reverted transaction.
	 * Optional. */
	void (*done)(struct agent_event *ev, int err, const struct err *e);
	void (*free)(struct agent_event *ev);
};

struct agent_event {
	const struct event_type *type;
	struct agent_event *next;
	uint64_t seq;	       /* set by event_push */
	uint64_t follow_up_to; /* seq of the event that was being handled; 0 = none */
	uint64_t pushed_ms;
};

/* Takes ownership. Never blocks and never fails (the queue is a list); runs from the loop, not from
 * inside this call. */
void event_push(struct agent *a, struct agent_event *ev);
/* Events waiting. */
size_t event_queue_len(const struct agent *a);

/* A resync event without data of its own. `reason` is for the history, copied. One of that method
 * that waits already does for both. Returns the seq of the one that will run; 0 without memory,
 * then a healing resync follows. */
uint64_t event_push_resync(struct agent *a, enum event_method method, const char *reason);
