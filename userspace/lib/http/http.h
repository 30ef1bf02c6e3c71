/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * HTTP client on the event loop: libcurl's multi interface driven by libevent. One struct
 * http_client keeps connections alive between calls. Single-threaded: all functions and callbacks
 * run on the loop's thread.
 *
 * A call ends with exactly one on_done(), never from inside http_call_new() itself; after it, or
 * after http_call_cancel() (which suppresses on_done), the handle is gone. Body bytes are gathered
 * and handed to on_done(), unless the caller gives on_data(), which then gets them as they arrive
 * (for watches).
 */
#include <event2/event.h>

#include "lib/base/err.h"

struct http_client;
struct http_call;

struct http_tls {
	const char *ca_file, *cert_file,
		*key_file;			 /* PEM; NULL = system CAs, no client certificate */
	const char *ca_pem, *cert_pem, *key_pem; /* the same as text; wins over the file */
	const char *server_name;		 /* verified in place of the URL's host */
	bool insecure; /* no verification: only when the user's configuration says so */
};

struct http_request {
	const char *method; /* "GET", "POST", "PATCH"… */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const void *body;	    /* copied */
	size_t body_len;
	const struct http_tls *tls; /* strings are copied or used before return */
	const char
		*unix_socket; /* connect here, URL's host only for the Host header; may be NULL */
	const char *proxy;    /* NULL = none */
	unsigned int connect_timeout_ms; /* 0 = 5,000 */
	unsigned int timeout_ms;	 /* whole call; 0 = none (streams) */
	unsigned int
		stall_timeout_ms; /* no byte for so long ends the call with -ETIMEDOUT; 0 = none */
	bool once; /* must not happen twice: not sent anew when a kept connection turns out dead
		      after it was sent, as is done with others */
	size_t max_body; /* gathered bytes above end the call with -EMSGSIZE; 0 = 256 MiB */
};

struct http_response {
	int err; /* 0, or negative errno of transport: -ECONNREFUSED, -ETIMEDOUT, -EPROTO, -EACCES
		    (TLS)… */
	const char *error; /* sentence for err; "" when 0 */
	long status;	   /* HTTP status, 0 when none came */
	const char *body;  /* NUL-terminated; "" for streams */
	size_t body_len;
	unsigned int retry_after_s; /* Retry-After in seconds, 0 when absent */
	bool unsent; /* err only: no byte of the request left, so it may be sent again */
};

struct http_ops {
	/* May be NULL. A non-zero return ends the call with that (negative errno) in on_done. Only
	 * called for a 2xx status. */
	int (*on_data)(struct http_call *call, const void *data, size_t len, void *arg);
	void (*on_done)(struct http_call *call, const struct http_response *res, void *arg);
};

int http_client_new(struct event_base *base, struct http_client **ret);
/* Cancels what is under way. Accepts NULL. */
void http_client_free(struct http_client *c);

int http_call_new(struct http_client *c, const struct http_request *req, const struct http_ops *ops,
		  void *arg, struct http_call **ret, struct err *e);
/* No callback after this. Accepts NULL. */
void http_call_cancel(struct http_call *call);
