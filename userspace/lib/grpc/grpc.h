/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * gRPC (HTTP/2 with prior knowledge, no TLS) over unix sockets with nghttp2 and protobuf-c: a
 * server on the event loop with unary and server-streaming methods, and a blocking unary client
 * with no event loop, small enough for the static CNI binary. Follows grpc/doc/PROTOCOL-HTTP2.md.
 * Compressed messages are refused (UNIMPLEMENTED); messages above max_message bytes get
 * RESOURCE_EXHAUSTED.
 */
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/err.h"

enum grpc_status {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
};

/* ---- server (grpc_server.c; needs libevent) ---- */

struct event_base;
struct grpc_server;
struct grpc_call;

/*
 * One request. `msg` are the protobuf bytes, valid until it returns. The handler answers now or
 * later, exactly once, with grpc_call_finish(); the call stays valid until then even when the peer
 * goes away (grpc_call_alive() tells).
 */
typedef void (*grpc_method_fn)(struct grpc_call *call, const uint8_t *msg, size_t len, void *arg);

struct grpc_server_config {
	const char *socket_path; /* replaced when it exists and nobody listens on it; -EADDRINUSE
				    when somebody does */
	unsigned int mode;	 /* of the socket file, set before anybody can connect */
	size_t max_message;	 /* 0 = 4 MiB */
	unsigned int max_connections; /* 0 = 256; more wait in the backlog */
};

int grpc_server_new(struct event_base *base, const struct grpc_server_config *cfg,
		    struct grpc_server **ret, struct err *e);
void grpc_server_free(struct grpc_server *s); /* removes the socket file; accepts NULL */
/* path like "/netloom.cni.v1.Cni/Add" */
int grpc_server_method(struct grpc_server *s, const char *path, grpc_method_fn fn, void *arg);

bool grpc_call_alive(const struct grpc_call *call);
pid_t grpc_call_peer_pid(
	const struct grpc_call *call); /* SO_PEERCRED when the connection was accepted */
/*
 * A pidfd of the peer, borrowed while the call is alive; -1: none. SO_PEERPIDFD (kernel 6.5), else
 * pidfd_open(2) while the connection is known to be held. As long as pidfd_send_signal(2) reaches
 * it, grpc_call_peer_pid() is that process and no later one with the same number.
 */
int grpc_call_peer_pidfd(const struct grpc_call *call);
uid_t grpc_call_peer_uid(const struct grpc_call *call);
/* For streams: sends one message, queueing what the peer does not take yet. -EPIPE when it is gone.
 */
int grpc_call_send(struct grpc_call *call, const uint8_t *msg, size_t len);
/* Sends msg (NULL = none) and the trailers; the call is gone afterwards. */
void grpc_call_finish(struct grpc_call *call, enum grpc_status status, const char *message,
		      const uint8_t *msg, size_t len);

/* ---- client (grpc_client.c; nghttp2 only) ---- */

struct grpc_reply {
	enum grpc_status status;
	char message[256];
	uint8_t *msg; /* heap; NULL when status != GRPC_OK */
	size_t len;
};
void grpc_reply_clear(struct grpc_reply *r);
/*
 * One unary call on a fresh connection. 0 when a grpc-status came back (any), else
 * -ENOENT/-ECONNREFUSED (nobody listens), -ETIMEDOUT, -EPROTO, -ECONNRESET, each with a sentence.
 */
int grpc_unary(const char *socket_path, const char *method_path, const uint8_t *msg, size_t len,
	       unsigned int timeout_ms, struct grpc_reply *ret, struct err *e);
