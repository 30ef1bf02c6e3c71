/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the pods module. A record is one attachment and what is being done to it; a request is
 * one CNI call (or spooled DEL) on its way. At most one event per record is under way; requests
 * that come meanwhile wait at the record and go on when it is done. All on the loop's thread.
 *
 *	requests.c   CNI calls in, answers out
 *	work.c       what a request does to records: the events
 *	host_ports.c which host ports a pod may have
 *	records.c    records in memory and in the local store
 *	copies.c     what is left of records when the local store is lost
 *	publish.c    /netloom/endpoint/…
 *	spool.c      DELs from while the agent was away
 *	conflist.c   the file that makes a runtime use us; conflist_keep.c sees to it that it stays
 *	view.c       REST, metrics, status
 */
#include <event2/event.h>
#include <uthash.h>

#include "agent/core/module.h"
#include "agent/modules/pods/cni_config.h"
#include "lib/grpc/grpc.h"

#define ATTACHMENT_KEY_MAX 512

struct pods;
struct request;
struct conflist;

/* A GC answers when the last of its deletions is done. */
struct gc_run {
	struct request *request;
	unsigned int left;
};

struct request {
	struct request *next;
	struct pods *pods;
	enum cni_verb verb;
	struct grpc_call *call; /* NULL: nobody waits for the answer */
	uint64_t start_ns;
	char *container_id, *ifname, *netns;
	char trace[56]; /* TRACEPARENT of the runtime; "" when there is none */
	struct cni_args args;
	struct cni_config config;
	int netns_fd;
	uint64_t netns_dev, netns_ino;
	char *spool_file;  /* name of the file to remove when it is done */
	struct gc_run *gc; /* counts down when it is done */
};

enum work { WORK_NONE, WORK_ADD, WORK_DEL };

struct record {
	struct attachment att;
	struct pods *pods;
	unsigned int refs; /* the table's and the event's: an event's facts outlive the pod */
	bool listed;
	char *key, *network;
	uint64_t since_ms; /* real time of the state */
	bool delivered;	   /* the runtime has got ADD's result */
	bool leftover;	   /* of an interrupted ADD or DEL, or of a namespace that is gone */
	enum work work;
	struct request *waiting;
	UT_hash_handle hh;
};

#define N_CODES 16 /* codes counted apart for one verb */
struct verb_stats {
	struct {
		unsigned int code;
		uint64_t count;
	} codes[N_CODES];
	uint64_t count;
	double seconds;
};

struct pods {
	struct agent *agent;
	struct record *records;
	struct grpc_server *server;
	bool synced;	      /* the first resync is over: records and node agree */
	bool ready;	      /* the agent as a whole */
	struct request *held; /* DELs from before that */
	int inotify_fd;
	struct event *inotify_ev;
	struct conflist *conflist;
	struct verb_stats stats[CNI_N_VERBS];
};

struct pods *pods_get(struct agent *a);

/* requests.c */
int requests_listen(struct pods *p, struct err *e);
int request_new(struct pods *p, enum cni_verb verb, struct request **ret);
void request_free(struct request *r);
DEFINE_FREEP(struct request, request_free)
/*
 * For the history and the log. What is no W3C traceparent (version 00: 2-32-16-2 hexadecimal
 * digits) is left out: a trace that broke on its way is no reason to refuse a pod.
 */
void request_set_trace(struct request *r, const char *traceparent);
/* Answers (result NULL = none) and frees. */
void request_succeed(struct request *r, struct json_object *result);
void request_fail(struct request *r, const struct cni_error *f);

/* work.c; each takes the request. */
void work_add(struct request *r);
void work_del(struct request *r);
void work_gc(struct request *r);
/* Deletes without a request. */
void work_delete_record(struct record *rec);
void work_release_held(struct pods *p);

/* host_ports.c; -EINVAL with *f: the node does not have that address, or another pod has the port.
 */
int host_ports_check(const struct request *r, struct cni_error *f);

/* records.c */
int record_new(struct request *r, struct record **ret);
void record_put(struct record *rec);	/* accepts NULL */
void record_remove(struct record *rec); /* from the table, with its reference */
struct record *record_find(struct pods *p, const char *container_id, const char *ifname);
int record_save(struct record *rec, enum attachment_state state);
void record_forget(struct record *rec); /* in the local store */
/* Reads all of them; those that can't go on as they are become leftovers. */
int records_load(struct pods *p, struct err *e);
/* The namespace is proven gone: its path does not lead to it, and the link's other end went. */
bool record_namespace_gone(const struct record *rec);
const char *attachment_state_name(enum attachment_state state);

/* copies.c */
void copy_save(const struct pods *p, const char *key, const char *text);
void copy_forget(const struct pods *p, const char *key);
char *copy_find(const struct pods *p, const char *key); /* heap; NULL: there is none */
int copies_foreach(const struct pods *p, int (*fn)(const char *key, const char *text, void *arg),
		   void *arg);

/* publish.c */
void publish_record(struct record *rec);
void unpublish_record(struct record *rec);

/* spool.c */
int spool_open(struct pods *p, struct err *e);
void spool_close(struct pods *p);
void spool_replay(struct pods *p);
void spool_remove(struct pods *p, const char *name);

/* conflist.c; 0, or 1 when it was right already. */
int conflist_write(const struct agent_config *cfg, struct err *e);

/* conflist_keep.c */
int conflist_new(struct pods *p, struct conflist **ret);
void conflist_free(struct conflist *c); /* accepts NULL; the file stays */
DEFINE_FREEP(struct conflist, conflist_free)
/* Writes it if the agent is ready and it is not as it should be, and again whenever that changes.
 */
void conflist_keep(struct conflist *c);

/* view.c */
int view_init(struct pods *p);
void view_count(struct pods *p, const struct request *r, unsigned int code);
void pods_metrics(struct agent *a, struct metrics *m);
struct json_object *pods_status(struct agent *a);
