/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Calls to a Kubernetes API server: the URL, TLS and credentials of a struct kube_config on top of
 * lib/http. A token that stands in a file is read again each minute, and at once after a 401
 * (service account tokens are rotated); certificates given as files are read for each new
 * connection. Single-threaded, on the loop.
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "lib/http/http.h"
#include "lib/kube/config.h"

struct kube;

/* Takes what `cfg` holds (and leaves it empty), also on failure. */
int kube_new(struct event_base *base, struct kube_config *cfg, struct kube **ret, struct err *e);
/* Cancels what is under way. Accepts NULL. */
void kube_free(struct kube *k);
const char *kube_server(const struct kube *k);

struct kube_request {
	const char *method; /* NULL = GET */
	const char *path;   /* "/api/v1/pods?limit=500" */
	const char *body;   /* JSON, may be NULL */
	unsigned int timeout_ms;
	size_t max_body; /* as in http.h */
};
/* One HTTP call; ops and the handle as in http.h. */
int kube_call_new(struct kube *k, const struct kube_request *req, const struct http_ops *ops,
		  void *arg, struct http_call **ret, struct err *e);

/*
 * 0 for a 2xx answer. Else says what went wrong ("403: pods is forbidden: …", from the Status in
 * the body where there is one) and returns: -ENOENT 404; -EACCES 401, 403; -ESTALE the version or
 * the continue token is too old, too new, or unknown: list anew; -EEXIST 409; -EBUSY 429 and 5xx;
 * -EPROTO other statuses; or the transport's errno. After a 401 the token file is read again for
 * the next call.
 */
int kube_result(struct kube *k, const struct http_response *res, struct err *e);
/* The same judgement for a Status object that came in a watch. Never 0. */
int kube_status_err(struct json_object *status, struct err *e);

/* 0.8 s doubled with each failure up to 30 s, plus up to as much again by chance. */
unsigned int kube_backoff_ms(unsigned int failures);
/* lo..hi, both included; good enough to spread load. */
unsigned int kube_random(unsigned int lo, unsigned int hi);
