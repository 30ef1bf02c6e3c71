// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#include "ctl/ctl.h"
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
	if (b->len + n + 1 > b->room) {
		size_t room = MAX(2 * b->room, b->len + n + 1);
		char *text = realloc(b->text, room);

		if (!text)
			return 0;
		b->text = text;
		b->room = room;
	}
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

static int read_answer(CURL *curl, const struct body *b, const char *path, struct json_object **ret,
		       struct err *e)
{
	_json_ *answer = NULL;
	struct err why = {};
	long status = 0;
	int err = json_parse(b->text ?: "", b->len, &answer, &why);
	const char *said = NULL;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200 && err < 0)
		return err_set(e, -EPROTO, "%s: %s", path, why.msg);
	if (status == 200) {
		*ret = TAKE_PTR(answer);
		return 0;
	}
	if (answer)
		json_opt_str(answer, "error", &said, NULL);
	return err_set(e, -EPROTO, "%s: the agent says %ld%s%s", path, status, said ? ": " : "",
		       said ?: "");
}

int client_get(const struct ctl *c, const char *path, struct json_object **ret, struct err *e)
{
	_cleanup_(body_release) struct body b = {};
	char url[512];
	CURL *curl;
	CURLcode code;
	int err;

	if (snprintf(url, sizeof(url), "http://localhost%s", path) >= (int)sizeof(url))
		return err_set(e, -ENAMETOOLONG, "'%.64s…' is too long", path);
	curl = curl_easy_init();
	if (!curl)
		return -ENOMEM;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &b);
	code = curl_easy_perform(curl);
	err = code == CURLE_OK ? read_answer(curl, &b, path, ret, e)
			       : transport_error(curl, code, c, e);
	curl_easy_cleanup(curl);
	return err;
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
	fprintf(c->complain, "netloom: %s%s\n", e->msg[0] ? e->msg : strerror(-err), fix);
	return err == -EPROTO || err == -ENOMEM ? CTL_FAILED : CTL_UNREACHABLE;
}
