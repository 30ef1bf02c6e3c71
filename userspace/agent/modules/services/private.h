/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the module share. */
#include <uthash.h>

#include "agent/modules/services/compile.h"
#include "agent/modules/services/maps.h"
#include "agent/modules/services/services.h"

struct program;
struct service;

/* One program's wish for a frontend; of several for one key the oldest service gets it. */
struct frontend {
	struct program *program;
	struct frontend *next; /* with the same key */
	struct front_key *key;
	uint32_t kind; /* LOOM_SVC_CLUSTER_IP … */
	bool refused;  /* the map is full */
};

struct front_key {
	struct loom_svckey key;
	struct frontend *wishes;
	struct loom_svc written;
	bool is_written, has_vip;
	UT_hash_handle hh;
};

struct backend {
	struct loom_backend value;
	uint32_t number;
};

/* One port of a service, for one family. */
struct program {
	struct service *service;
	struct service_port port; /* its name is a copy */
	char *port_name;
	int family;
	uint32_t number;
	struct backend *backends; /* sorted as wants are */
	size_t n_backends;
	struct region tables[N_TABLES];
	struct frontend *fronts;
	size_t n_fronts;
	struct prefix *ranges;
	size_t n_ranges;
	bool silent_in, silent_out, stale;
	struct program *next;
};

struct slice {
	char *key; /* "namespace/name" */
	struct slice_object *obj;
	struct service *service;
	struct slice *next; /* of the service */
	UT_hash_handle hh;
};

struct service {
	char *name; /* "namespace/name"; "hostport:namespace/pod" for a pod's hostPorts */
	struct service_object *obj; /* NULL: only slices are known */
	struct slice *slices;
	struct program *programs;
	struct problems problems; /* of the last time it was programmed */
	uint16_t health_port;	  /* open; 0: none */
	unsigned int local_ready;
	bool dirty;
	struct service *next_dirty;
	UT_hash_handle hh;
};

struct services {
	struct agent *agent;
	struct svcmaps *maps; /* NULL before the first resync */
	struct service *all;
	struct slice *slices;
	struct front_key *keys;
	struct service *dirty;
	uint32_t *dying, *ending; /* backends whose flows are to end, and are being ended */
	size_t n_dying, n_ending;
	struct region *freed; /* slots that a packet may still be reading */
	size_t n_freed;
	struct event *free_timer;
	struct health *health;
	char zone[256];
	bool flows; /* some flows must end */
	bool running, swept;
	uint64_t compiled;
	int failed; /* first error of this round */
};

#define EXTERNAL_KINDS \
	(LOOM_SVC_NODEPORT | LOOM_SVC_EXTERNAL_IP | LOOM_SVC_LOADBALANCER | LOOM_SVC_HOSTPORT)

struct services *services_get(struct agent *a);
/* Notes the first error of this round. */
void services_fail(struct services *s, int err);

/* The frontends that a program is to have. */
struct fronts {
	struct services *s;
	struct program *p;
	struct frontend *v;
	size_t n, room;
};
void fronts_wish(struct fronts *l, const struct service_object *obj);
/* The program takes over want->v. */
void fronts_set(struct services *s, struct program *p, struct fronts *want);

/* Flows of backends that are gone end; slots are free when no packet reads them any more. */
void services_end_flows(struct services *s);
void services_free_slots(evutil_socket_t fd, short what, void *arg);
/* A backend that an earlier run left, and nobody has claimed. */
void services_left_behind(uint32_t number, void *arg);
/* healthCheckNodePort of a service, as it stands now. */
void service_health(struct services *s, struct service *svc);

/* Compiles and writes one service. Errors of writing are in s->failed. */
void service_program(struct services *s, struct service *svc, const struct here *here);
/* Removes all that it has in the maps. */
void service_withdraw(struct services *s, struct service *svc);
/* Who has the key, or NULL. */
struct frontend *front_winner(const struct front_key *k);
/* After a change of a key's wishes or of the winner's program. */
void front_write(struct services *s, struct front_key *k);

int services_routes(struct services *s);
void services_metrics(struct agent *a, struct metrics *m);
struct json_object *services_status(struct agent *a);
