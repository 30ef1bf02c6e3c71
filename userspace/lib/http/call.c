// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/grow.h"
#include "lib/http/http_int.h"

#define DEFAULT_MAX_BODY (256u << 20)

void http_call_free(struct http_call *call)
{
	if (!call)
		return;
	if (call->added)
		curl_multi_remove_handle(call->client->multi, call->easy);
	if (call->easy)
		curl_easy_cleanup(call->easy);
	if (call->stall)
		event_free(call->stall);
	curl_slist_free_all(call->headers);
	curl_slist_free_all(call->connect_to);
	free(call->upload);
	free(call->body);
	free(call);
}
DEFINE_FREEP(struct http_call, http_call_free)

static int connect_errno(CURL *easy)
{
	long os = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
	return os > 0 && os < 4096 ? (int)-os : -ECONNREFUSED;
}

static bool error_has(const struct http_call *call, const char *text)
{
	return strstr(call->error, text) != NULL;
}

/* The connection went, by what curl says of it; else it is TLS that refuses. */
static bool is_cut(const struct http_call *call)
{
	return error_has(call, "unexpected eof") || error_has(call, "SSL_ERROR_SYSCALL") ||
	       error_has(call, " failure: ");
}

static int code_errno(const struct http_call *call, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		return connect_errno(call->easy);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		/* TLS 1.3 servers refuse a client's certificate after the handshake. */
		if (error_has(call, "SSL routines") && !is_cut(call))
			return -EACCES;
		return -ECONNRESET;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_FAIL_REWIND: /* `once`, on a connection that was dead */
		return -ECONNRESET;
	case CURLE_SSL_CONNECT_ERROR:
		return is_cut(call) ? -ECONNRESET : -EACCES;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_INVALIDCERTSTATUS:
		return -EACCES;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

/*
 * With TLS 1.3 the client may already write when the server refuses its certificate, and then the
 * alert that says so can be lost to the reset. Only a hint is possible.
 */
static bool maybe_refused(struct http_call *call, const struct http_response *res)
{
	curl_off_t handshake_us = 0;

	curl_easy_getinfo(call->easy, CURLINFO_APPCONNECT_TIME_T, &handshake_us);
	return res->err == -ECONNRESET && !res->status && handshake_us > 0;
}

static void fill_response(struct http_call *call, CURLcode code, struct http_response *ret)
{
	curl_off_t after = 0;
	long sent = 0;

	*ret = (struct http_response){
		.err = call->err ? call->err : code_errno(call, code),
		.error = "",
		.body = call->body ? call->body : "",
		.body_len = call->body_len,
	};
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &after);
	curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
	ret->retry_after_s = after > 0 ? MIN(after, INT_MAX) : 0;
	ret->unsent = ret->err && sent == 0;
	if (ret->err && call->err)
		ret->error = call->why[0] ? call->why : strerror(-call->err);
	else if (ret->err)
		ret->error = call->error[0] ? call->error : curl_easy_strerror(code);
	if (maybe_refused(call, ret)) {
		snprintf(call->why, sizeof(call->why),
			 "%.64s; was the client's certificate refused?", ret->error);
		ret->error = call->why;
	}
}

void http_call_finish(struct http_call *call, CURLcode code)
{
	struct http_client *c = call->client;
	struct http_response res;

	fill_response(call, code, &res);
	DL_DELETE(c->calls, call);
	/* The callback may start the next call on this connection: give it back first. */
	curl_multi_remove_handle(c->multi, call->easy);
	call->added = false;
	if (!call->cancelled) {
		call->cancelled = true;
		call->ops->on_done(call, &res, call->arg);
	}
	http_call_free(call);
}

static int body_append(struct http_call *call, const char *data, size_t len)
{
	if (len > call->max_body - call->body_len) {
		snprintf(call->why, sizeof(call->why), "answer is longer than %zu bytes",
			 call->max_body);
		return -EMSGSIZE;
	}
	if (grow_room(&call->body, &call->body_cap, call->body_len + len + 1, 1) < 0)
		return -ENOMEM;
	memcpy(call->body + call->body_len, data, len);
	call->body_len += len;
	call->body[call->body_len] = 0;
	return 0;
}

static void heard(struct http_call *call)
{
	if (call->stall)
		event_add(call->stall, &call->stall_after);
}

/* A short count makes curl end the transfer with CURLE_WRITE_ERROR. */
size_t http_call_write(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	size_t len = size * n;
	long status = 0;
	int err;

	if (call->cancelled)
		return len ? 0 : 1;
	heard(call);
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	if (call->ops->on_data && status >= 200 && status < 300)
		err = call->ops->on_data(call, data, len, call->arg);
	else
		err = body_append(call, data, len);
	if (call->cancelled)
		return len ? 0 : 1;
	if (err) {
		call->err = err;
		return len ? 0 : 1;
	}
	return len;
}

size_t http_call_header(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;

	if (call->cancelled)
		return 0;
	heard(call);
	return size * n;
}

static void on_stall(evutil_socket_t fd, short what, void *arg)
{
	struct http_call *call = arg;
	struct http_client *c = call->client;

	http_client_enter(c);
	call->err = -ETIMEDOUT;
	snprintf(call->why, sizeof(call->why), "no byte for %lld ms",
		 call->stall_after.tv_sec * 1000ll + call->stall_after.tv_usec / 1000);
	http_call_finish(call, CURLE_OPERATION_TIMEDOUT);
	http_client_leave(c);
}

static int stall_init(struct http_call *call, unsigned int ms)
{
	if (!ms)
		return 0;
	call->stall_after = (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	call->stall = evtimer_new(call->client->base, on_stall, call);
	return call->stall ? 0 : -ENOMEM;
}

/* The stall timer runs from here, also while the call waits for curl to be off the stack. */
static int call_start(struct http_call *call, struct err *e)
{
	struct http_client *c = call->client;

	if (c->in_curl) {
		DL_APPEND(c->starting, call);
	} else {
		if (curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
			return err_set(e, -ENOMEM, "out of memory");
		call->added = true;
		DL_APPEND(c->calls, call);
	}
	heard(call);
	return 0;
}

int http_call_new(struct http_client *c, const struct http_request *req, const struct http_ops *ops,
		  void *arg, struct http_call **ret, struct err *e)
{
	_cleanup_(http_call_freep) struct http_call *call = calloc(1, sizeof(*call));
	int err;

	if (!call)
		return err_set(e, -ENOMEM, "out of memory");
	if (c->freed)
		return err_set(e, -ECANCELED, "the HTTP client is being freed");
	call->client = c;
	call->ops = ops;
	call->arg = arg;
	call->max_body = req->max_body ? req->max_body : DEFAULT_MAX_BODY;
	call->easy = curl_easy_init();
	if (!call->easy || stall_init(call, req->stall_timeout_ms) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	err = http_call_setup(call, req, e);
	if (err < 0)
		return err;
	err = call_start(call, e);
	if (err < 0)
		return err;
	*ret = TAKE_PTR(call);
	return 0;
}

void http_call_cancel(struct http_call *call)
{
	struct http_client *c;

	/* Already cancelled, or inside of its own on_done: whoever is below frees it. */
	if (!call || call->cancelled)
		return;
	c = call->client;
	call->cancelled = true;
	if (call->stall)
		event_del(call->stall);
	if (call->added)
		DL_DELETE(c->calls, call);
	else
		DL_DELETE(c->starting, call);
	if (c->in_curl)
		DL_APPEND(c->dead, call);
	else
		http_call_free(call);
}
