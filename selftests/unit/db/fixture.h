/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The db module in a real agent core on a real etcd. A second module notes what it is told:
 * "etcd:2" a resync from etcd with two nodes, "+node/n1" "~node/n1" "-node/n1" a node that came,
 * changed, went. Waiting turns the agent's loop; after 30 s the test fails.
 */
#include "agent/core/agent.h"
#include "agent/modules/db/db.h"
#include "api/etcd_keys.h"
#include "lib/json/json.h"
#include "selftests/unit/store/fixture.h"

extern struct event_base *writer; /* of the one who writes to etcd; the agent stands still then */
extern struct etcd etcd;
extern struct agent *agent;
extern char told[2048];

int setup(void **state);
int teardown(void **state);

/* The agent; what it was told starts anew. It waits for etcd, which may be slow, or takes what is
 * mirrored 300 ms later. */
void start(void);
void start_from_mirror(void);
void stop(void);
void tell(const char *what);

void turn(const char *name, bool (*what)(const void *arg), const void *arg);
void until(const char *what); /* it is told this */
void until_published(void);
/* What this node publishes comes back by itself after etcd lost it. */
void until_written_again(void);

int status_number(const char *name);
/* For turn(): the key is there; so many keys are lost. */
bool is_known(const void *arg);
bool are_lost(const void *arg);
/* For db_foreach(): counts in *(int *)arg. */
int count(const char *key, struct json_object *value, void *arg);

void publish(const char *key, const char *value);
void write_key(const char *key, const char *value); /* NULL deletes */
void write_many(const char *prefix, int n);	    /* prefix0, prefix1, … */
struct answer read_key(const char *key);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
