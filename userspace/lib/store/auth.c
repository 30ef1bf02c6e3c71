// SPDX-License-Identifier: Apache-2.0
/*
 * etcd RBAC over the gateway: it does not look at a client certificate's name, so a user and a
 * password buy a token, which goes along with each request. Tokens run out (300 s after their last
 * use by default), and members forget theirs when they restart; then a request is refused, the
 * token forgotten, and the request sent again with a new one. Checking a password is dear for etcd
 * (bcrypt), so one call serves all who wait.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "lib/json/json.h"
#include "lib/store/store_int.h"

static void wake_all(struct store *s, const struct err *err)
{
	struct store_attempt *a;

	while ((a = s->auth_waiting)) {
		auth_stop_waiting(a);
		attempt_auth_done(a, err);
	}
}

static int take_token(struct store *s, const struct http_response *res, struct err *e)
{
	_json_ *answer = NULL;
	const char *token;
	int code, err;

	err = answer_decode(res, &answer, &code, e);
	if (err < 0) {
		if (!strstr(e->msg, "authentication is not enabled"))
			return err_prefix(e, "user '%s'", s->username);
		s->auth_disabled = true;
		return 0;
	}
	err = json_get_str(answer, "token", &token, e);
	if (err < 0 || strpbrk(token, "\r\n"))
		return err_set(e, -EPROTO, "user '%s': no token in the answer", s->username);
	s->token = strdup(token);
	return s->token ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static void on_auth_done(struct http_call *call, const struct http_response *res, void *arg)
{
	struct store *s = arg;
	struct err e = {};

	s->auth_call = NULL;
	s->token_serial++;
	if (take_token(s, res, &e) < 0)
		wake_all(s, &e);
	else
		wake_all(s, NULL);
}

static int ask(struct store *s, unsigned int endpoint, struct err *e)
{
	static const struct http_ops ops = { .on_done = on_auth_done };
	_json_ *body = json_object_new_object();
	struct http_request req = { .timeout_ms = s->timeout_ms, .max_body = 1 << 20 };

	if (!body || json_add_str(body, "name", s->username) < 0 ||
	    json_add_str(body, "password", s->password ? s->password : "") < 0)
		return err_set(e, -ENOMEM, "out of memory");
	req.body = json_text(body);
	if (!req.body)
		return err_set(e, -ENOMEM, "out of memory");
	req.body_len = strlen(req.body);
	return store_post(s, endpoint, "/v3/auth/authenticate", &req, &ops, s, &s->auth_call, e);
}

bool auth_ready(struct store_attempt *a)
{
	struct store *s = a->store;
	struct err e = {};

	if (!s->username || s->token || s->auth_disabled)
		return true;
	if (!s->auth_call && ask(s, a->endpoint, &e) < 0) {
		attempt_auth_done(a, &e);
		return false;
	}
	DL_APPEND(s->auth_waiting, a);
	a->waiting = true;
	return false;
}

void auth_stop_waiting(struct store_attempt *a)
{
	DL_DELETE(a->store->auth_waiting, a);
	a->waiting = false;
}

void auth_forget(struct store *s, unsigned int serial)
{
	if (serial != s->token_serial)
		return;
	free(s->token);
	s->token = NULL;
	s->auth_disabled = false;
	s->token_serial++;
}

void auth_fini(struct store *s)
{
	http_call_cancel(TAKE_PTR(s->auth_call));
	free(TAKE_PTR(s->token));
}

/* rpctypes: ErrInvalidAuthToken, ErrAuthOldRevision, ErrUserEmpty. */
bool auth_is_stale(int grpc_code, const char *message)
{
	return grpc_code == 16 || strstr(message, "revision of auth store is old") ||
	       strstr(message, "user name is empty");
}
