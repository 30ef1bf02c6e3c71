/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of the module share.
 *
 *	problems texts read object_*   objects, from JSON
 *	nodes compile table maglev     what they mean here; pure
 *	slots maps left                the maps, and what an earlier run left in them
 *	program                        one service: from what it shall be to what the maps say,
 *	backends tables front          its three parts; who has a frontend that several want
 *	ranges                         who may use it
 *	flows                          what must wait: ends of flows, numbers, slots
 *	hostports                      services made of pods' port mappings
 *	checks health                  healthCheckNodePort
 *	objects                        which services and slices there are
 *	services                       events
 *	show                           REST, metrics, status
 *
 * A service has a program for each port, a program has a side for each family, a side has backends,
 * tables and frontends.
 */
#include <event2/event.h>
#include <uthash.h>

#include "agent/core/module.h"
#include "agent/modules/pods/pods.h"
#include "agent/modules/services/compile.h"
#include "agent/modules/services/maps.h"
#include "agent/modules/services/services.h"

struct front_key;
struct program;
struct service;
struct side;

/* One side's wish for a frontend. */
struct frontend {
	struct side *side;
	struct front_key *key;
	struct frontend *next_of_side, *next_of_key;
	uint32_t kind; /* LOOM_SVC_CLUSTER_IP … */
	bool full;     /* left out: the map has no room */
	bool stale;
};

/* A frontend in the map, or one that somebody wants there. */
struct front_key {
	struct loom_svckey key;
	struct frontend *wishes;
	struct frontend *holder; /* whose value is there */
	struct loom_svc written;
	bool is_written;
	uint32_t vip; /* number of the address; 0: none yet */
	UT_hash_handle hh;
};

struct backend {
	struct loom_backend value;
	uint32_t number;
	bool own; /* counted in LOOM_PORTS_HOST_BACKEND */
};

struct side {
	struct program *program;
	int family;		  /* 0: IPv4, 1: IPv6 */
	struct backend *backends; /* those that have a number; sorted by address and port */
	size_t n_backends;
	struct region tables[N_TABLES];
	struct frontend *fronts;
	bool silent_in, silent_out;
};

struct program {
	struct service *service;
	struct program *next;
	struct service_port port; /* its names are the two below */
	char *port_name, *former_name;
	uint32_t number;
	struct side sides[2];
	struct prefix *ranges; /* in the map; sorted as ranges.c has it */
	size_t n_ranges;
	bool stale;
};

struct slice {
	char *key; /* "namespace/name"; NULL: of a pod's hostPorts */
	struct slice_object *obj;
	struct service *service; /* NULL: of none */
	struct slice *next;	 /* of the service */
	bool seen;
	UT_hash_handle hh;
};

struct service {
	char *key;		    /* "namespace/name", or "hostport:<attachment>" */
	char *title;		    /* "namespace/name" of the Service or of the pod */
	struct service_object *obj; /* NULL: only slices are known */
	struct slice *slices;
	struct program *programs;
	struct problems problems; /* of the last time it was programmed */
	uint64_t told;		  /* problems_hash() of what was logged */
	bool gone;	      /* nothing of it shall be; `obj` is what it was until that is so */
	uint16_t health_port; /* that is open for it; 0: none */
	bool dirty, short_of_room, seen;
	uint64_t next_ms; /* a large one is not programmed before */
	struct service *next_dirty;
	UT_hash_handle hh;
};

struct numbers {
	uint32_t *v;
	size_t n, room;
};

struct services {
	struct agent *agent;
	struct svcmaps *maps; /* NULL before the first resync */
	struct service *all;
	struct slice *slices;
	struct front_key *keys;
	struct service *dirty;
	struct nodes nodes;
	struct health *health;
	bool swept;    /* what an earlier run left and nobody claimed is gone */
	bool settling; /* about to sweep: nobody has to wait for an earlier holder any more */
	bool verify;   /* a resync: ask the map, don't trust memory */
	int failed;    /* first error of this round */
	bool broken;   /* a write has failed, and no resync has made it good */
	uint64_t compiled, rounds;
	double seconds;

	struct { /* flows.c */
		struct numbers dying, ending;
		size_t sockets_done; /* of `ending` */
		uint8_t *connected;  /* bit by number: has sockets; NULL: not known */
		bool wanted, running, tables_done;
		struct event *sockets, *retry, *pause;
		uint64_t next_ms;     /* no run before */
		struct region *freed; /* slots that a packet may still be reading */
		size_t n_freed, room_freed;
		struct event *free_timer;
	} flows;
	size_t n_short; /* services that did not fit */
	struct event *short_timer, *large_timer;
};

struct services *services_get(struct agent *a);
void services_fail(struct services *s, int err); /* notes the first; >= 0 is none */

/* ---- services.c ---- */

/* By key, made when there is none; NULL on out-of-memory. `title` NULL: the key. */
struct service *service_get(struct services *s, const char *key, const char *title);
void service_mark(struct services *s, struct service *svc); /* is to be programmed; accepts NULL */
void services_mark_all(struct services *s);
void service_gone(struct services *s, struct service *svc); /* with its slices of hostPorts */
void slice_drop(struct services *s, struct slice *sl);
/* Programs those that are marked, and all that follows from it. */
void services_run(struct services *s);
/* Something has room again: services that were short of it are tried, soon. */
void services_room(struct services *s);

/* ---- program.c ---- */

/* Compiles and writes. */
void service_program(struct services *s, struct service *svc);
/* Frees what is held in memory and leaves the maps alone. */
void service_forget(struct services *s, struct service *svc);
/* The service's slices as an array; heap. */
struct slice_object **service_slices(const struct service *svc, size_t *ret_n);

/* ---- front.c ---- */

struct wish {
	struct loom_svckey key;
	uint32_t kind;
};
struct wishes {
	struct wish *v;
	size_t n, room;
};
int side_wishes(struct services *s, const struct side *side, struct wishes *ret);
void side_fronts_set(struct services *s, struct side *side, const struct wishes *w);
void fronts_check(struct services *s); /* the whole map, at a resync */
void fronts_settle(struct services *s);
/* Frees them and leaves the maps alone. */
void fronts_forget(struct services *s, struct side *side);
bool front_is_external(uint32_t kind);
/* Why it is not served; NULL: it is. In `buf`. */
const char *front_problem(const struct frontend *f, char *buf, size_t len);

/* ---- flows.c ---- */

int flows_init(struct services *s);
void flows_fini(struct services *s);
void flows_end_backend(struct services *s, uint32_t number);
void flows_free_slots(struct services *s, const struct region *r);
/* Some flows are not what they would be if they began now. */
void flows_want(struct services *s);
void flows_run(struct services *s);

/* ---- checks.c ---- */

void service_check(struct services *s, struct service *svc);

/* ---- hostports.c ---- */

int host_ports_set(struct services *s, const struct attachment *att, bool there);
int host_ports_resync(struct services *s);
/* The pod's address of that family; NULL when the service is none of hostPorts. */
const union loom_addr *host_ports_pod(const struct service *svc, int family);

/* ---- show.c ---- */

int services_routes(struct services *s);
void services_metrics(struct agent *a, struct metrics *m);
struct json_object *services_status(struct agent *a);
