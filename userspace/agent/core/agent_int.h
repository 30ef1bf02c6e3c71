/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the core.
 *
 *	agent.c      start, stop, what modules can ask for
 *	order.c      modules sorted by need
 *	loop.c       the queue, and one event at a time
 *	history.c    what events did
 *	healing.c    resyncs after failures
 *	ready.c      readiness
 *	rest.c       /livez /readyz /metrics /v1/…
 *	process.c    figures of the process
 */
#include "agent/core/agent.h"
#include "agent/core/history.h"

struct module_slot {
	const struct module *m;
	void *state;
};

/* What became of the events of one type. */
struct event_stats {
	struct event_stats *next;
	const char *name; /* of the type */
	uint64_t ok, failed, reverted;
	double seconds;
};

struct ready_hook {
	struct ready_hook *next;
	void (*fn)(struct agent *a, bool ready);
};

struct agent {
	const struct agent_config *cfg;
	struct event_base *base;
	struct scheduler *scheduler;
	struct httpd *httpd;
	struct history *history;
	struct module_slot *modules;
	size_t n_modules, n_started;
	int lock_fd, exit_code;
	bool stopping;
	uint64_t start_ms, start_real_ms;

	struct event *turn; /* a turn of the loop is due */
	struct event_queue {
		struct agent_event *first, *last;
		size_t n;
	} queue, follow_ups;
	struct agent_event *current; /* being handled */
	uint64_t seq;
	bool open; /* the first event that opens has been taken */
	struct event_stats *stats;

	struct event *heal_timer;
	char *heal_reason;
	unsigned int heal_delay_ms;
	uint64_t heals;

	struct event *ready_check;
	struct ready_hook *ready_hooks;
	bool ready;

	struct event *signals[3];
};

/* loop.c */
int loop_init(struct agent *a);
void loop_fini(struct agent *a);

/* healing.c */
int healing_init(struct agent *a);
void healing_fini(struct agent *a);
/* How a resync ended: failures make the next healing wait longer. */
void healing_resynced(struct agent *a, bool ok);

/* ready.c */
int ready_init(struct agent *a);
void ready_fini(struct agent *a);
/* Calls fn for each module that waits; returns how many do. */
size_t ready_waiting(struct agent *a, void (*fn)(const char *module, const char *why, void *arg),
		     void *arg);

/* rest.c */
int rest_init(struct agent *a, struct err *e);

/* process.c */
void process_metrics(struct metrics *m);
