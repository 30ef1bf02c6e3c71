// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "ctl/ctl.h"
#include "lib/base/grow.h"
#include "lib/json/json.h"

#define TIMEOUT_MS 10000L
#define MAX_BODY   (256u << 20)

struct body {
	char *text;
	size_t len, room;
};

static void body_release(struct body *b)
{
	free(b->text);
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct body *b = arg;

	if (b->len + n > MAX_BODY)
		return 0;
	if (grow_room(&b->text, &b->room, b->len + n + 1, 1) < 0)
		return 0;
	memcpy(b->text + b->len, data, n);
	b->len += n;
	b->text[b->len] = '\0';
	return n;
}

/* libcurl only says that it could not connect; the errno tells a missing agent from a missing
 * right. */
static int transport_error(CURL *curl, CURLcode code, const struct ctl *c, struct err *e)
{
	long os_errno = 0;

	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(e, -ETIMEDOUT, "the agent at '%s' does not answer", c->socket);
	if (code != CURLE_COULDNT_CONNECT)
		return err_set(e, -ECONNRESET, "the agent at '%s': %s", c->socket,
			       curl_easy_strerror(code));
	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
	if (access(c->socket, F_OK) < 0)
		os_errno = errno;
	else if (access(c->socket, W_OK) < 0)
		os_errno = EACCES;
	return err_errno(e, os_errno ? -os_errno : -ECONNREFUSED, "no agent answers at '%s'",
			 c->socket);
}

struct exchange {
	const struct ctl *c;
	const char *path, *post; /* post: the body; NULL: a GET */
	struct body answer;
	long status;
};

/* What the agent says is wrong, where it says so. */
static int read_refusal(const struct exchange *x, struct json_object *answer, struct err *e)
{
	const char *said = NULL;

	if (answer)
		json_opt_str(answer, "error", &said, NULL);
	if (x->post && said)
		return err_set(e, x->status == 400 ? -EINVAL : -EPROTO, "%s", said);
	return err_set(e, -EPROTO, "%s: the agent says %ld%s%s", x->path, x->status,
		       said ? ": " : "", said ?: "");
}

static int read_answer(const struct exchange *x, struct json_object **ret, struct err *e)
{
	_json_ *answer = NULL;
	struct err why = {};
	int err = json_parse(x->answer.text ?: "", x->answer.len, &answer, &why);

	if (x->status != 200)
		return read_refusal(x, answer, e);
	if (err < 0)
		return err_set(e, -EPROTO, "%s: %s", x->path, why.msg);
	*ret = TAKE_PTR(answer);
	return 0;
}

static int perform(struct exchange *x, struct err *e)
{
	char url[512];
	CURL *curl;
	CURLcode code;
	int err = 0;

	if (snprintf(url, sizeof(url), "http://localhost%s", x->path) >= (int)sizeof(url))
		return err_set(e, -ENAMETOOLONG, "'%.64s…' is too long", x->path);
	curl = curl_easy_init();
	if (!curl)
		return -ENOMEM;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, x->c->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &x->answer);
	if (x->post)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, x->post);
	code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &x->status);
	else
		err = transport_error(curl, code, x->c, e);
	curl_easy_cleanup(curl);
	return err;
}

static int exchange(struct exchange *x, struct json_object **ret, struct err *e)
{
	int err = perform(x, e);

	if (!err)
		err = read_answer(x, ret, e);
	body_release(&x->answer);
	return err;
}

int client_get(const struct ctl *c, const char *path, struct json_object **ret, struct err *e)
{
	struct exchange x = { .c = c, .path = path };

	return exchange(&x, ret, e);
}

int client_post(const struct ctl *c, const char *path, struct json_object *body,
		struct json_object **ret, struct err *e)
{
	struct exchange x = { .c = c, .path = path, .post = json_text(body) };

	return exchange(&x, ret, e);
}

int client_complain(const struct ctl *c, int err, const struct err *e)
{
	const char *fix = "";

	if (err == -ENOENT || err == -ECONNREFUSED)
		fix = "\n  is netloom-agent running on this node? if its socket is elsewhere "
		      "(api.socket in its configuration), say --socket PATH";
	else if (err == -EACCES || err == -EPERM)
		fix = "\n  the socket is for root only: try with sudo";
	else if (err == -ETIMEDOUT)
		fix = "\n  the agent may be stuck: its log says what it does";
	fputs("netloom: ", c->complain);
	print_text(c->complain, e->msg[0] ? e->msg : strerror(-err));
	fprintf(c->complain, "%s\n", fix);
	return err == -EPROTO || err == -ENOMEM ? CTL_FAILED : CTL_UNREACHABLE;
}
