/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the HTTP client. libcurl forbids most of its functions inside of its own callbacks, and
 * on_data() runs in one of them. So while curl is on the stack (client->in_curl), new calls wait in
 * `starting`, and cancelled ones in `dead`; whoever called curl settles both when it returns.
 * client->busy keeps the client itself alive while any of its functions is on the stack.
 */
#include <curl/curl.h>

#include "lib/http/http.h"

struct http_sock;

struct http_client {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct http_call *calls, *starting, *dead;
	struct http_sock *socks;
	unsigned int in_curl, busy;
	bool freed;
};

struct http_call {
	struct http_client *client;
	struct http_call *prev, *next; /* in one of the client's three lists */
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	const struct http_ops *ops;
	void *arg;
	struct event *stall;
	struct timeval stall_after; /* zero: no bound */
	char *body;
	size_t body_len, body_cap, max_body;
	char *upload; /* the request's body, if it is sent once only */
	size_t upload_len, upload_at;
	int err; /* why we ended it: 0, or negative errno from on_data, the bound, or the stall */
	bool added, cancelled;
	char why[128];		     /* the sentence for `err` */
	char error[CURL_ERROR_SIZE]; /* curl's */
};

/* setup.c: all options of the easy handle. */
int http_call_setup(struct http_call *call, const struct http_request *req, struct err *e);

/* call.c */
void http_call_free(struct http_call *call);
/* Ends the call: takes it off curl, tells on_done, frees. Not while curl is on the stack. */
void http_call_finish(struct http_call *call, CURLcode code);
size_t http_call_write(char *data, size_t size, size_t n, void *arg);
size_t http_call_header(char *data, size_t size, size_t n, void *arg);

/* client.c: around everything that may call back. */
void http_client_enter(struct http_client *c);
void http_client_leave(struct http_client *c);
