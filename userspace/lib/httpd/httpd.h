/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Small HTTP server (libevent's evhttp) for probes, metrics and the REST view, on a loopback port
 * and/or a unix socket. Handlers are called on the loop's thread with a parsed request and fill a
 * reply. Unknown path: 404 JSON; other method: 405; bodies above 1 MiB: 413. Requests are hostile:
 * the Host header must be loopback, localhost or the bind address (DNS rebinding), and a request
 * other than GET must have no Origin header (web pages).
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "lib/base/err.h"

struct httpd;

struct httpd_request {
	const char *method;
	const char *path; /* decoded, without the query */
	const char *rest; /* what follows the route's prefix, for routes ending in '/' */
	const char *body;
	size_t body_len;
	void *impl;
};

struct httpd_reply {
	int status;		  /* default 200, also where it is 0 */
	const char *content_type; /* default: application/json when json is set, else text/plain */
	struct json_object *json; /* owned by the reply */
	char *text;		  /* heap, owned by the reply */
};

typedef void (*httpd_fn)(const struct httpd_request *req, struct httpd_reply *reply, void *arg);

int httpd_new(struct event_base *base, struct httpd **ret);
void httpd_free(struct httpd *h);
/* address like "127.0.0.1" or "::1". Port 0 picks one. */
int httpd_listen(struct httpd *h, const char *address, uint16_t port, struct err *e);
uint16_t httpd_port(const struct httpd *h);
int httpd_listen_unix(struct httpd *h, const char *path, unsigned int mode, struct err *e);
/* `path` "/v1/nodes" exactly, or "/v1/items/" for everything below. Route strings are copied. */
int httpd_route(struct httpd *h, const char *method, const char *path, httpd_fn fn, void *arg);
/* Whether it came by the unix socket, whose mode says who may use it; else by TCP: anybody here. */
bool httpd_by_socket(const struct httpd_request *req);
/*
 * For what takes time: a handler that calls this leaves its reply alone, and httpd_answer() sends
 * one later, once; it takes what the reply owns. The client may have gone meanwhile, which does no
 * harm. What is never answered ends with the server, and must not be answered after that. NULL: out
 * of memory.
 */
struct httpd_later;
struct httpd_later *httpd_later(const struct httpd_request *req);
void httpd_answer(struct httpd_later *l, struct httpd_reply *reply);
/* Query parameter; borrowed until the handler returns; NULL when absent. */
const char *httpd_query(const struct httpd_request *req, const char *name);

/*
 * Prometheus text (exposition format 0.0.4) writer. Families appear in the order of their first
 * sample.
 *
 *	metrics_sample(m, "netloom_drop_packets_total", METRIC_COUNTER, "Packets dropped.", 12,
 *	               "reason", "ttl", NULL);
 */
struct metrics;
enum metric_type { METRIC_COUNTER, METRIC_GAUGE };
int metrics_new(struct metrics **ret);
void metrics_free(struct metrics *m);
/* Label name/value pairs end with NULL; values are escaped. */
int metrics_sample(struct metrics *m, const char *name, enum metric_type type, const char *help,
		   double value, ...) __attribute__((sentinel));
/* Heap text for httpd_reply.text. NULL on out-of-memory. */
char *metrics_text(struct metrics *m);
