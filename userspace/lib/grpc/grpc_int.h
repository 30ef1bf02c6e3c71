/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the gRPC server: a server has connections, a connection has streams (HTTP/2's), and a
 * stream whose request has arrived has a call, which is all that a method sees. A stream lives as
 * long as HTTP/2 says; a call lives until the method has answered. Whichever goes first clears the
 * other's pointer, so an answer to a peer that is gone goes nowhere, and a peer whose deadline has
 * passed is answered without the method.
 *
 * Nothing is freed while nghttp2 is on the stack (conn->busy); whoever is outermost flushes.
 */
#include <event2/buffer.h>
#include <event2/event.h>
#include <nghttp2/nghttp2.h>

#include "lib/grpc/grpc.h"
#include "lib/grpc/grpc_wire.h"

#define GRPC_MAX_STREAMS  100	      /* of one connection at a time */
#define GRPC_MAX_HEADERS  (16u << 10) /* bytes of one request's header fields */
#define GRPC_MAX_BUFFERED (64u << 20) /* bytes of unfinished requests, whole server */
#define GRPC_MAX_QUEUED	  (16u << 20) /* bytes of a stream that the peer has not taken */
#define GRPC_HELLO_MS	  10000	      /* for the first frame of a connection */

struct grpc_method {
	char *path;
	grpc_method_fn fn;
	void *arg;
	struct grpc_method *next;
};

struct grpc_server {
	struct event_base *base;
	int fd;
	struct event *accept_ev, *resume_ev;
	char *path;
	dev_t dev;
	ino_t ino; /* of the socket file, so that only ours is removed */
	size_t max_message, buffered;
	unsigned int max_connections, n_connections;
	struct grpc_method *methods;
	struct grpc_conn *conns;
};

struct grpc_conn {
	struct grpc_server *server;
	struct grpc_conn *prev, *next;
	int fd;
	struct event *read_ev, *write_ev;
	nghttp2_session *session;
	struct grpc_stream *streams;
	pid_t pid;
	int pidfd; /* -1: none */
	uid_t uid;
	bool busy;  /* nghttp2 is on the stack */
	bool heard; /* a whole frame has arrived */
};

struct grpc_stream {
	struct grpc_conn *conn;
	struct grpc_stream *prev, *next;
	int32_t id;
	const struct grpc_method *method;
	struct grpc_call *call;
	struct event *deadline;
	struct grpc_reader in;
	size_t buffered; /* counted in the server's total */
	struct evbuffer *out;
	bool is_post, is_grpc, has_path, has_timeout, bad_timeout;
	bool responded; /* response headers are submitted */
	bool finished;	/* status is final */
	uint64_t timeout_ms;
	enum grpc_status status;
	char *message; /* percent-encoded, or NULL */
};

struct grpc_call {
	struct grpc_stream *stream; /* NULL: peer gone, or answered by the deadline */
	pid_t pid;
	uid_t uid;
};

/* grpc_conn.c. Takes `fd` (a connected unix stream socket), also on failure. */
int grpc_conn_new(struct grpc_server *s, int fd, struct grpc_conn **ret);
void grpc_conn_free(struct grpc_conn *c);
/* Sends what can be sent; may free `c`. */
void grpc_conn_flush(struct grpc_conn *c);

/* grpc_call.c: callbacks of one stream. */
int grpc_stream_new(struct grpc_conn *c, int32_t id, struct grpc_stream **ret);
void grpc_stream_free(struct grpc_stream *st);
void grpc_stream_header(struct grpc_stream *st, const char *name, const char *value, size_t len);
void grpc_stream_begin(struct grpc_stream *st);
void grpc_stream_data(struct grpc_stream *st, const uint8_t *data, size_t len);
void grpc_stream_end(struct grpc_stream *st);

/* grpc_server.c: a connection has ended, so there is room for another. */
void grpc_server_room(struct grpc_server *s);
