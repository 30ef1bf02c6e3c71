/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the store, from below:
 *
 *	attempt	 one POST to one endpoint, with the token that RBAC wants
 *	request	 one answer from whichever endpoint gives it, within the time allowed
 *	op	 what the caller sees of range and txn: one or more requests
 *	stream	 one watch at one endpoint, until it breaks
 *	follow	 list, stream, and again, for ever
 *	lease	 grant, keep alive, and again, for ever
 *
 * Each is started, ends with one callback at most, and can be stopped at any time, also from inside
 * of that callback. Nothing calls back from inside of its own start.
 */
#include <event2/event_struct.h>

#include "lib/http/http.h"
#include "lib/store/codec.h"

struct store_attempt;

struct store {
	struct event_base *base;
	struct http_client *http;
	char **endpoints;
	unsigned int n_endpoints, current;
	char *ca_file, *cert_file, *key_file, *username, *password;
	unsigned int timeout_ms;
	struct store_budget budget;
	struct store_op *ops;
	struct store_follow *follows;
	struct store_lease *leases;

	/* auth.c */
	char *token;
	unsigned int token_serial;
	struct http_call *auth_call;
	unsigned int auth_endpoint;
	struct store_attempt *auth_waiting;
	bool auth_disabled; /* etcd said that it wants no token */

	/* connectedness: told from the loop, never from inside of what changes it */
	unsigned int failures;
	bool connected, told;
	void (*on_change)(bool connected, void *arg);
	void *on_change_arg;
	struct event *tell;
};

/* ---- store.c ---- */
void store_endpoint_ok(struct store *s);
/* Moves on to the next endpoint if `endpoint` is the current one. */
void store_endpoint_failed(struct store *s, unsigned int endpoint);
/* Bytes that one answer may have: what the budget leaves, but never less than 1 MiB. */
size_t store_answer_max(const struct store *s);
/* A delay before the n-th retry (from 0): 50 ms doubling up to 2 s, each ±25 %. */
unsigned int store_backoff_ms(unsigned int n);
/* event_add() in milliseconds. */
void store_timer_add(struct event *ev, unsigned int ms);

/* ---- attempt.c, auth.c ---- */

struct store_attempt {
	/* set by the caller; all borrowed until it ends */
	struct store *store;
	unsigned int endpoint;
	const char *path, *body;
	size_t len;
	unsigned int timeout_ms, stall_ms; /* as in struct http_request */
	bool once;			   /* as in struct http_request */
	bool hasleader;			   /* the member refuses when it knows no leader */
	int (*on_data)(struct store_attempt *a, const void *data, size_t len); /* may be NULL */
	void (*on_done)(struct store_attempt *a, const struct http_response *res);

	/* attempt.c's own */
	struct http_call *call;
	struct event later; /* ends with an error that was found at once */
	struct err failed;
	bool ending, waiting; /* `later` is set; in the line for a token */
	unsigned int token_serial;
	struct store_attempt *prev, *next;
};
void attempt_start(struct store_attempt *a);
void attempt_stop(struct store_attempt *a);
/* The token is there, or is not to be had: `err`, else NULL. Calls nobody back before it returns.
 */
void attempt_auth_done(struct store_attempt *a, const struct err *err);
/* Low level: POST to an endpoint, with the store's TLS. */
int store_post(struct store *s, unsigned int endpoint, const char *path,
	       const struct http_request *shape, const struct http_ops *ops, void *arg,
	       struct http_call **ret, struct err *e);

/* True when a token is at hand, or none is needed; else `a` waits for one. */
bool auth_ready(struct store_attempt *a);
void auth_stop_waiting(struct store_attempt *a);
/* The server did not take the token of that serial: get another one, unless somebody did. */
void auth_forget(struct store *s, unsigned int serial);
void auth_fini(struct store *s);
/* Does this refusal go away with a new token? */
bool auth_is_stale(int grpc_code, const char *message);

/* ---- request.c ---- */

enum request_retry {
	RETRY_ANY,    /* reads, and writes that may happen twice */
	RETRY_UNSENT, /* only when the first one surely did not happen */
};

struct store_request {
	struct store *store;
	const char *path;
	char *body; /* owned, heap */
	size_t len;
	enum request_retry retry;
	bool pinned; /* one attempt, at attempt.endpoint */
	bool stream; /* time counts while no byte comes, since the answer may be long */
	/* answer is borrowed and NULL when err->code is set. May free the request's owner. */
	void (*fn)(struct store_request *r, struct json_object *answer, const struct err *err);

	struct store_attempt attempt;
	struct event again;
	bool waiting, reauthenticated;
	uint64_t deadline_ms;
	unsigned int tried;
	struct err last;
};
/* Takes r->body over. The other fields up to `fn` are set by the caller. */
void request_start(struct store_request *r);
/* Ends it without a callback; it can be started again. Also right for one that is zero. */
void request_stop(struct store_request *r);
/* An etcd answer that is one JSON object, or why not. *ret_code gets etcd's gRPC code or 0. */
int answer_decode(const struct http_response *res, struct json_object **ret, int *ret_code,
		  struct err *e);

/* ---- ops ---- */

struct store_op {
	struct store *store;
	struct store_op *prev, *next;
	struct store_request req;
	bool done; /* its callback runs: whoever runs it frees it */
	void (*free)(struct store_op *op);
};
/* Links it into the store. */
void op_init(struct store_op *op, struct store *s, void (*free_fn)(struct store_op *op));
/* Before the callback: unlinks, so that nothing the callback does can free it. */
void op_done(struct store_op *op);

void follow_orphan(struct store_follow *f);
void lease_orphan(struct store_lease *l);
