// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/http/http_int.h"

#define CONNECT_TIMEOUT_MS 5000

static void urlp(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void curl_strp(char **s)
{
	curl_free(*s);
}

static int add_header(struct http_call *call, const char *line)
{
	struct curl_slist *l = curl_slist_append(call->headers, line);

	if (!l)
		return -ENOMEM;
	call->headers = l;
	return 0;
}

static bool has_header(const struct http_request *req, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; req->headers && req->headers[i]; i++) {
		if (!strncasecmp(req->headers[i], name, n) && req->headers[i][n] == ':')
			return true;
	}
	return false;
}

static int set_headers(struct http_call *call, const struct http_request *req, struct err *e)
{
	/* Without this, curl waits for "100 Continue" before it sends a long body. */
	int err = add_header(call, "Expect:");

	for (size_t i = 0; req->headers && req->headers[i] && err == 0; i++) {
		const char *line = req->headers[i];

		if (strpbrk(line, "\r\n") || !strchr(line, ':'))
			return err_set(e, -EINVAL, "header %zu is not one line of 'Name: value'",
				       i);
		err = add_header(call, line);
	}
	if (err == 0 && req->body && !has_header(req, "Content-Type"))
		err = add_header(call, "Content-Type: application/json");
	if (err < 0)
		return err_set(e, err, "out of memory");
	return curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK
		       ? 0
		       : err_set(e, -ENOMEM, "out of memory");
}

/*
 * Connects to the URL's host, but lets TLS (SNI and verification) see `name`. curl verifies the
 * URL's host, so the URL gets the name, and CONNECT_TO and Host the real one.
 */
static int set_server_name(struct http_call *call, CURLU *u, const char *name, struct err *e)
{
	_cleanup_(curl_strp) char *host = NULL;
	_cleanup_(curl_strp) char *port = NULL;
	_cleanup_(freep) char *to = NULL;
	_cleanup_(freep) char *line = NULL;

	if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
		return err_set(e, -EINVAL, "URL has no host");
	if (curl_url_set(u, CURLUPART_HOST, name, 0) != CURLUE_OK)
		return err_set(e, -EINVAL, "server name '%s' is no host name", name);
	if (asprintf(&to, "::%s:%s", host, port) < 0) {
		to = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (asprintf(&line, "Host: %s:%s", host, port) < 0) {
		line = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	call->connect_to = curl_slist_append(NULL, to);
	if (!call->connect_to || add_header(call, line) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->connect_to);
	return 0;
}

static int set_url(struct http_call *call, const struct http_request *req, struct err *e)
{
	_cleanup_(urlp) CURLU *u = curl_url();
	_cleanup_(curl_strp) char *scheme = NULL;
	_cleanup_(curl_strp) char *url = NULL;
	CURLUcode uc;
	int err;

	if (!u)
		return err_set(e, -ENOMEM, "out of memory");
	uc = curl_url_set(u, CURLUPART_URL, req->url ? req->url : "", 0);
	if (uc != CURLUE_OK)
		return err_set(e, -EINVAL, "'%s' is no URL: %s", req->url ? req->url : "",
			       curl_url_strerror(uc));
	if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    (strcmp(scheme, "http") && strcmp(scheme, "https")))
		return err_set(e, -EINVAL, "'%s': want http or https", req->url);
	if (req->tls && req->tls->server_name && !req->unix_socket && !strcmp(scheme, "https")) {
		err = set_server_name(call, u, req->tls->server_name, e);
		if (err < 0)
			return err;
	}
	if (curl_url_get(u, CURLUPART_URL, &url, 0) != CURLUE_OK ||
	    curl_easy_setopt(call->easy, CURLOPT_URL, url) != CURLE_OK)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

/* The text wins over the file. */
static CURLcode set_pem(CURL *easy, CURLoption blob_opt, const char *text, CURLoption file_opt,
			const char *file)
{
	struct curl_blob blob = { .flags = CURL_BLOB_COPY };

	if (text) {
		blob.data = (void *)text;
		blob.len = strlen(text);
		return curl_easy_setopt(easy, blob_opt, &blob);
	}
	return file ? curl_easy_setopt(easy, file_opt, file) : CURLE_OK;
}

static int set_tls(CURL *easy, const struct http_tls *t, struct err *e)
{
	CURLcode rc;

	if (!t)
		return 0;
	rc = set_pem(easy, CURLOPT_CAINFO_BLOB, t->ca_pem, CURLOPT_CAINFO, t->ca_file);
	if (rc == CURLE_OK)
		rc = set_pem(easy, CURLOPT_SSLCERT_BLOB, t->cert_pem, CURLOPT_SSLCERT,
			     t->cert_file);
	if (rc == CURLE_OK)
		rc = set_pem(easy, CURLOPT_SSLKEY_BLOB, t->key_pem, CURLOPT_SSLKEY, t->key_file);
	if (rc != CURLE_OK)
		return err_set(e, -ENOMEM, "out of memory");
	/* Given CAs replace the system's, they do not add to them. */
	if (t->ca_pem || t->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	/* A rotated CA counts from the next connection on, not from a day later. */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (t->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return 0;
}

static size_t upload_read(char *to, size_t size, size_t n, void *arg)
{
	struct http_call *call = arg;
	size_t len = MIN(size * n, call->upload_len - call->upload_at);

	memcpy(to, call->upload + call->upload_at, len);
	call->upload_at += len;
	return len;
}

/* curl rewinds to send again, which it does unasked on a connection that was kept. */
static int upload_seek(void *arg, curl_off_t offset, int origin)
{
	struct http_call *call = arg;

	return call->upload_at == 0 && offset == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

static int set_body(struct http_call *call, const struct http_request *req)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
	if (!req->once)
		return curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, req->body) == CURLE_OK
			       ? 0
			       : -ENOMEM;
	call->upload = malloc(req->body_len + 1);
	if (!call->upload)
		return -ENOMEM;
	memcpy(call->upload, req->body, req->body_len);
	call->upload_len = req->body_len;
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, upload_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, call);
	curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, upload_seek);
	curl_easy_setopt(easy, CURLOPT_SEEKDATA, call);
	return 0;
}

static int set_method(struct http_call *call, const struct http_request *req, struct err *e)
{
	const char *method = req->method ? req->method : "GET";
	CURL *easy = call->easy;

	if (!method[0] || strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(method))
		return err_set(e, -EINVAL, "'%s' is no HTTP method", method);
	if (req->body) {
		if (set_body(call, req) < 0)
			return err_set(e, -ENOMEM, "out of memory");
	} else if (!strcmp(method, "HEAD")) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (!strcmp(method, "POST")) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)0);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, "");
	}
	return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK
		       ? 0
		       : err_set(e, -ENOMEM, "out of memory");
}

/*
 * HTTP/1.1 even where TLS offers HTTP/2: there a connection that died in silence would be used
 * again for each later call, while here a call that times out takes its connection along.
 */
static void set_transport(struct http_call *call, const struct http_request *req)
{
	CURL *easy = call->easy;
	long connect_ms = req->connect_timeout_ms ? req->connect_timeout_ms : CONNECT_TIMEOUT_MS;

	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	/* "" also turns the environment's proxies off. */
	curl_easy_setopt(easy, CURLOPT_PROXY, req->proxy ? req->proxy : "");
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_call_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_call_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

int http_call_setup(struct http_call *call, const struct http_request *req, struct err *e)
{
	int err;

	set_transport(call, req);
	if (req->unix_socket &&
	    curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, req->unix_socket) != CURLE_OK)
		return err_set(e, -ENOMEM, "out of memory");
	err = set_url(call, req, e);
	if (err < 0)
		return err;
	err = set_method(call, req, e);
	if (err < 0)
		return err;
	err = set_tls(call->easy, req->tls, e);
	if (err < 0)
		return err;
	return set_headers(call, req, e);
}
