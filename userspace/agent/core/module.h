/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A module is one concern of the agent. It has one const descriptor, listed in
 * agent/modules/modules.c (the only list), names the modules that it needs, and is started after
 * them and stopped before them. Nothing runs before main.
 *
 * A module keeps its state behind its own pointer: init() stores it with module_set_state(), other
 * modules reach it through the module's public header only (<m>/<m>.h), whose functions take the
 * struct agent.
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "agent/core/event.h"
#include "agent/core/scheduler.h"

struct agent;
struct agent_config; /* agent/core/agent_config.h */
struct httpd;
struct metrics;

#define NEEDS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

struct module {
	const char *name;
	const char *const *needs; /* NULL-terminated, or NULL */
	/* Registers descriptors and routes, opens what it needs. A failure stops the agent with the
	 * message. */
	int (*init)(struct agent *a, struct err *e);
	/* Called in reverse order, also when a later module's init failed, or its own. Leaves the
	 * node as it is. Optional. */
	void (*fini)(struct agent *a);
	/* Which events concern it; resyncs go to every module that has resync(). Optional. */
	bool (*handles)(struct agent *a, const struct agent_event *ev);
	/* Puts the items that the event changes. An error fails the event when it reverts; else it
	 * is recorded and the others go on. Optional. */
	int (*update)(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e);
	/* Puts all items of the module. Optional. */
	int (*resync)(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e);
	/* A transaction with TXN_REVERT_ON_FAILURE failed after this module's update() succeeded:
	 * undo what update() changed in the module's own state. Optional. */
	void (*revert)(struct agent *a, struct agent_event *ev);
	/* 0 when it is ready to serve, else -EAGAIN and what it waits for. Optional. */
	int (*ready)(struct agent *a, struct err *e);
	/* Adds its samples. Optional. */
	void (*metrics)(struct agent *a, struct metrics *m);
	/* Its part of /v1/status: a new object, or NULL. Optional. */
	struct json_object *(*status)(struct agent *a);
};

/* ---- what the core offers to modules ---- */

struct event_base *agent_base(struct agent *a);
const struct agent_config *agent_cfg(const struct agent *a);
struct scheduler *agent_scheduler(struct agent *a);
struct httpd *agent_httpd(struct agent *a);
void module_set_state(struct agent *a, const struct module *m, void *state);
void *module_state(const struct agent *a, const struct module *m);
/* Asks for a healing resync (agent-wide, delayed and merged) and says why. */
void agent_heal(struct agent *a, const char *reason);
/* Ends the loop with this exit code. */
void agent_stop(struct agent *a, int exit_code);
/* Says that readiness may have changed; the core looks again. */
void agent_ready_changed(struct agent *a);
/* Called each time the agent as a whole turns ready or not. */
void agent_on_ready(struct agent *a, void (*fn)(struct agent *a, bool ready));
