// SPDX-License-Identifier: Apache-2.0
#include "lib/kube/client.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/json/json.h"

#define TOKEN_AGE_MS   60000
#define BACKOFF_MIN_MS 800u
#define BACKOFF_MAX_MS 30000u

struct kube {
	struct http_client *http;
	struct kube_config cfg;
	char *token; /* of token_file */
	uint64_t token_read_ms;
	bool token_stale;
};

const char *kube_server(const struct kube *k)
{
	return k->cfg.server;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	http_client_free(k->http);
	kube_config_clear(&k->cfg);
	free(k->token);
	free(k);
}

int kube_new(struct event_base *base, struct kube_config *cfg, struct kube **ret, struct err *e)
{
	struct kube *k = calloc(1, sizeof(*k));

	if (!k || http_client_new(base, &k->http) < 0) {
		free(k);
		kube_config_clear(cfg);
		return err_set(e, -ENOMEM, "out of memory");
	}
	k->cfg = *cfg;
	*cfg = (struct kube_config){};
	*ret = k;
	return 0;
}

/* ---- credentials ---- */

/* An unreadable file leaves the token that was read before, which may still be good. */
static int token_of_file(struct kube *k, struct err *e)
{
	_cleanup_(freep) char *text = NULL;
	uint64_t now = clock_ms();
	size_t n;
	int err;

	if (k->token && !k->token_stale && now - k->token_read_ms < TOKEN_AGE_MS)
		return 0;
	err = kube_read_file(k->cfg.token_file, &text, &n, e);
	if (err < 0)
		return k->token ? 0 : err;
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = 0;
	free(k->token);
	k->token = TAKE_PTR(text);
	k->token_read_ms = now;
	k->token_stale = false;
	return 0;
}

static int bearer(struct kube *k, char **ret, struct err *e)
{
	const char *token = k->cfg.token;
	int err;

	if (k->cfg.token_file) {
		err = token_of_file(k, e);
		if (err < 0)
			return err;
		token = k->token;
	}
	if (!token || !*token)
		return 0;
	if (asprintf(ret, "Authorization: Bearer %s", token) < 0) {
		*ret = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/*
 * libcurl keeps what it made of a CA file for a day, but not of a text; so the file is read here,
 * and a rotated CA counts from the next connection on. NULL leaves the complaint to libcurl.
 */
static char *ca_text(const struct kube *k)
{
	char *text = NULL;

	if (k->cfg.ca_file && !k->cfg.ca_pem)
		kube_read_file(k->cfg.ca_file, &text, NULL, NULL);
	return text;
}

static int impersonate(struct kube *k, char **ret, struct err *e)
{
	if (k->cfg.as_user && asprintf(ret, "Impersonate-User: %s", k->cfg.as_user) < 0) {
		*ret = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return 0;
}

/* ---- calls ---- */

int kube_call_new(struct kube *k, const struct kube_request *req, const struct http_ops *ops,
		  void *arg, struct http_call **ret, struct err *e)
{
	_cleanup_(freep) char *url = NULL;
	_cleanup_(freep) char *auth = NULL;
	_cleanup_(freep) char *as = NULL;
	_cleanup_(freep) char *ca = ca_text(k);
	const char *headers[] = { "Accept: application/json", NULL, NULL, NULL };
	const struct http_tls tls = {
		.ca_file = k->cfg.ca_file,
		.ca_pem = ca ?: k->cfg.ca_pem,
		.cert_file = k->cfg.cert_file,
		.cert_pem = k->cfg.cert_pem,
		.key_file = k->cfg.key_file,
		.key_pem = k->cfg.key_pem,
		.server_name = k->cfg.server_name,
		.insecure = k->cfg.insecure,
	};
	struct http_request http = {
		.method = req->method ? req->method : "GET",
		.headers = headers,
		.body = req->body,
		.body_len = req->body ? strlen(req->body) : 0,
		.tls = &tls,
		.proxy = k->cfg.proxy,
		.timeout_ms = req->timeout_ms,
		.max_body = req->max_body,
	};
	size_t n = 1;
	int err;

	err = bearer(k, &auth, e);
	if (!err)
		err = impersonate(k, &as, e);
	if (err < 0)
		return err;
	if (asprintf(&url, "%s%s", k->cfg.server, req->path) < 0) {
		url = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (auth)
		headers[n++] = auth;
	if (as)
		headers[n++] = as;
	http.url = url;
	return http_call_new(k->http, &http, ops, arg, ret, e);
}

/* ---- answers ---- */

static bool has_cause(struct json_object *status, const char *reason)
{
	struct json_object *causes = json_path(status, "details.causes");

	if (!json_object_is_type(causes, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(causes); i++) {
		const char *has = "";

		json_opt_str(json_object_array_get_idx(causes, i), "reason", &has, NULL);
		if (strcmp(has, reason) == 0)
			return true;
	}
	return false;
}

/*
 * Gone comes as code 410 with reason Expired or Gone; a version from the future as 504 with a cause
 * (since 1.17), or with this message alone before; a version of another kind of server as 400.
 */
static bool is_stale(int64_t code, const char *reason, const char *message,
		     struct json_object *status)
{
	return code == 410 || strcmp(reason, "Expired") == 0 || strcmp(reason, "Gone") == 0 ||
	       has_cause(status, "ResourceVersionTooLarge") ||
	       strcasestr(message, "too large resource version") ||
	       (code == 400 &&
		(strcasestr(message, "resource version") ||
		 strcasestr(message, "resourceVersion") || strcasestr(message, "continue key")));
}

static int code_errno(int64_t code)
{
	switch (code) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 409:
		return -EEXIST;
	case 429:
		return -EBUSY;
	default:
		return code >= 500 ? -EBUSY : -EPROTO;
	}
}

static int judge(int64_t code, struct json_object *status, struct err *e)
{
	const char *reason = "", *message = "";
	int err;

	json_opt_int(status, "code", 0, 999, &code, NULL);
	json_opt_str(status, "reason", &reason, NULL);
	json_opt_str(status, "message", &message, NULL);
	err = is_stale(code, reason, message, status) ? -ESTALE : code_errno(code);
	if (*message || *reason)
		return err_set(e, err, "%lld: %.300s", (long long)code,
			       *message ? message : reason);
	return err_set(e, err, "HTTP status %lld", (long long)code);
}

int kube_status_err(struct json_object *status, struct err *e)
{
	return judge(500, status, e);
}

int kube_result(struct kube *k, const struct http_response *res, struct err *e)
{
	_json_ *status = NULL;

	if (res->err)
		return err_set(e, res->err, "%s", res->error);
	if (res->status >= 200 && res->status < 300)
		return 0;
	if (res->status == 401)
		k->token_stale = true;
	if (json_parse(res->body, res->body_len, &status, NULL) < 0 ||
	    !json_object_is_type(status, json_type_object))
		return judge(res->status, NULL, e);
	return judge(res->status, status, e);
}

/* ---- chance ---- */

unsigned int kube_random(unsigned int lo, unsigned int hi)
{
	unsigned int noise = 0;

	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) != sizeof(noise))
		noise = clock_ns();
	return lo + noise % (hi - lo + 1);
}

unsigned int kube_backoff_ms(unsigned int failures)
{
	unsigned int ms = failures < 6 ? BACKOFF_MIN_MS << failures : BACKOFF_MAX_MS;

	ms = MIN(ms, BACKOFF_MAX_MS);
	return ms + kube_random(0, ms);
}
