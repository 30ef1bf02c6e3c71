/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The core with made-up modules: m1, m2 (needs m1), m3 (needs m2), and a descriptor, "item". Each
 * call is noted in world.log as "m1:update", "+one", "-one", "done".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/core/agent.h"

struct world {
	char log[1024];
	const char *fail;	       /* "m2:update": that call fails */
	const char *fail_item;	       /* name of an item that can't be created */
	const char *not_ready;	       /* reason of m3 */
	struct agent_event *follow_up; /* pushed by m1's update */
	const char *resync_puts;       /* items of m2's resync */
	int ready_calls;
	bool ready;
};
extern struct world world;

struct test_event {
	struct agent_event ev;
	const char *items; /* put by m2 */
	int *ret_err;
	char *ret_msg; /* 256 bytes */
};
extern const struct event_type opening, adding, changing, deleting;
struct test_event *new_event(const struct event_type *type);

struct fixture {
	char dir[64];
	struct agent_config cfg;
	struct agent *a;
};
void fixture_open(struct fixture *f, bool start);
void fixture_close(struct fixture *f);
int agent_in(struct fixture *f, struct err *e);
/* Turns the loop until the log holds `what`. */
void turn_until(struct fixture *f, const char *what);
/* Pushes and turns until it is done. */
void push(struct fixture *f, struct test_event *t);
/* Handles an event that opens, and forgets the log. */
void open_queue(struct fixture *f);
