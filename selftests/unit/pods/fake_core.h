/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent around the pods module, as small as it can be: events are handled one at a time from
 * the loop, the local store is in memory and outlives the module (so stopping without fini is a
 * crash), addresses and links are made up. And a way to run the real CNI binary against it.
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "agent/core/agent_config.h"
#include "agent/core/event.h"
#include "agent/modules/pods/pods.h"

#define FAKE_NODE_ADDRESS "192.0.2.1"

struct fake_pair {
	char *key, *value;
	struct fake_pair *next;
};

struct agent {
	struct event_base *base;
	struct agent_config cfg;
	struct event *turn; /* handles the next queued event */
	void *state;	    /* of the pods module */
	void (*on_ready)(struct agent *a, bool ready);
	struct fake_pair *local, *published;
	/* what the fakes are told to do */
	int alloc_err, wire_err, check_err, put_err;
	bool frozen;	 /* events stay in the queue */
	bool die_in_add; /* freeze after the modules' part of an ADD, before it is done */
	/* what happened */
	unsigned int adds, dels, resyncs, saved_before_wiring, next_ip;
	char last_released[600], last_reserved[600], trace[4096];
	char described[1024]; /* the last event, as the history would have it */
	char dir[64];
};

struct queued {
	struct agent_event *ev;
	struct queued *next;
};

struct agent *fake_agent_new(void);
void fake_agent_free(struct agent *a);
/* Module init, first resync and readiness; `ready` false stops after init. */
void fake_agent_start(struct agent *a, bool ready);
void fake_agent_resync(struct agent *a);
void fake_agent_thaw(struct agent *a);
/* Turns the loop until so many events wait in the queue of a frozen agent. */
void fake_agent_await(struct agent *a, size_t n_events);
/* fini, or nothing of the kind: what a kill leaves. */
void fake_agent_stop(struct agent *a);
void fake_agent_crash(struct agent *a);
const char *fake_get(struct fake_pair *list, const char *key);
/* As a reboot does, which empties /run. */
void fake_remove_copies(const struct agent *a);

/* What GET /v1/pods answers; new object. Metrics go as lines to the FILE that stands for them. */
struct json_object *fake_agent_get(struct agent *a);

/* A process in a network namespace of its own; its path is /proc/<pid>/ns/net. */
struct sandbox {
	int pid, fd;
	char netns[64];
};
struct sandbox sandbox_new(void);
void sandbox_end(struct sandbox *s);

struct cni_call {
	const char *command, *container, *ifname, *netns, *args, *path; /* NULL: not set */
	const char *traceparent;
	const char *config;
	size_t config_len; /* 0: strlen */
};
struct cni_answer {
	int exit_code;
	char *out;
	struct json_object *json; /* NULL when out is no JSON */
};
/* Starts the binary and turns the loop until it has ended. */
struct cni_answer cni_run(struct agent *a, const struct cni_call *c);
/* The same in two steps; cni_wait() turns the loop. */
struct running {
	int pid, fd;
};
struct running cni_start(const struct cni_call *c);
struct cni_answer cni_wait(struct agent *a, struct running *r);
void cni_answer_clear(struct cni_answer *r);
/* A network configuration for this agent; `more` like ",\"key\":1". Static buffer. */
const char *config_for(const struct agent *a, const char *version, const char *more);
int answer_code(const struct cni_answer *r); /* of an error object; 0 when it is none */
const char *binary_path(void);
