// SPDX-License-Identifier: Apache-2.0
#include "lib/httpd/httpd.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <utlist.h>

#include "lib/httpd/door.h"
#include "lib/httpd/httpd_int.h"
#include "lib/json/json.h"

#define MAX_BODY    (1u << 20)
#define MAX_HEADERS 16384
#define TIMEOUT_S   30 /* of an idle connection */

struct route {
	struct route *next;
	char *method, *path;
	httpd_fn fn;
	void *arg;
};

struct httpd {
	struct event_base *base;
	/* One server a kind of socket: only what came by TCP can be a browser's doing. */
	struct evhttp *tcp, *unix_server;
	struct door *door;
	struct route *routes;
	struct httpd_later *laters;
	char *address, *socket_path;
	uint16_t port;
};

/* A request that will be answered by somebody. libevent reads nothing from its connection
 * meanwhile, so the request lives until then, or until the server ends. */
struct httpd_later {
	struct httpd_later *prev, *next;
	struct httpd *server;
	struct evhttp_request *req;
};

/* What a handler's request is to this file. */
struct call {
	struct evkeyvalq query;
	struct httpd *server;
	struct evhttp_request *req;
	bool by_socket, later;
};

/* ---- replies ---- */

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{ EVHTTP_REQ_GET, "GET" },	   { EVHTTP_REQ_POST, "POST" },
	{ EVHTTP_REQ_PUT, "PUT" },	   { EVHTTP_REQ_DELETE, "DELETE" },
	{ EVHTTP_REQ_PATCH, "PATCH" },	   { EVHTTP_REQ_HEAD, "HEAD" },
	{ EVHTTP_REQ_OPTIONS, "OPTIONS" }, { EVHTTP_REQ_TRACE, "TRACE" },
	{ EVHTTP_REQ_CONNECT, "CONNECT" },
};

static const char *method_name(struct evhttp_request *req)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i].type == evhttp_request_get_command(req))
			return methods[i].name;
	return "?";
}

static void send_text(struct evhttp_request *req, int status, const char *type, const char *text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *body = evbuffer_new();
	char length[32];

	/* evhttp would send a HEAD's body. */
	if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) {
		snprintf(length, sizeof(length), "%zu", strlen(text));
		evhttp_add_header(headers, "Content-Length", length);
		text = "";
	}
	if (!body || evbuffer_add(body, text, strlen(text)) < 0) {
		if (body)
			evbuffer_free(body);
		evhttp_send_reply(req, 500, NULL, NULL);
		return;
	}
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_send_reply(req, status, NULL, body);
	evbuffer_free(body);
}

static void send_error(struct evhttp_request *req, int status, const char *error)
{
	_json_ *o = json_object_new_object();

	if (o)
		json_add_str(o, "error", error);
	send_text(req, status, "application/json", o ? json_text(o) : "{}");
}

static void send_reply(struct evhttp_request *req, struct httpd_reply *reply)
{
	_json_ *json = reply->json;
	_cleanup_(freep) char *text = reply->text;
	const char *type = reply->content_type;
	int status = reply->status ?: 200;

	if (!type)
		type = json ? "application/json" : "text/plain; charset=utf-8";
	if (json)
		send_text(req, status, type, json_text(json));
	else
		send_text(req, status, type, text ? text : "");
}

/* ---- dispatch ---- */

static bool path_matches(const struct route *r, const char *path)
{
	size_t n = strlen(r->path);

	if (n && r->path[n - 1] == '/')
		return strncmp(path, r->path, n) == 0;
	return strcmp(path, r->path) == 0;
}

/* The longest path wins, so that "/v1/items/" does not hide "/v1/items/all". */
static const struct route *find_route(const struct httpd *h, const char *method, const char *path,
				      char *ret_allow, size_t len)
{
	const struct route *best = NULL;
	size_t used = 0;

	/* A HEAD is a GET whose body is left out. */
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	ret_allow[0] = 0;
	for (const struct route *r = h->routes; r; r = r->next) {
		if (!path_matches(r, path))
			continue;
		if (used < len)
			used += snprintf(ret_allow + used, len - used, "%s%s", used ? ", " : "",
					 r->method);
		if (strcmp(r->method, method) == 0 &&
		    (!best || strlen(r->path) > strlen(best->path)))
			best = r;
	}
	return best;
}

static void call_route(struct httpd *h, const struct route *r, struct evhttp_request *req,
		       const char *path, bool by_socket)
{
	const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(req));
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	struct httpd_reply reply = { .status = 200 };
	struct call call = { .server = h, .req = req, .by_socket = by_socket };
	struct httpd_request request = {
		.method = method_name(req),
		.path = path,
		.rest = "",
		.impl = &call,
		.body_len = evbuffer_get_length(in),
	};
	size_t n = strlen(r->path);

	TAILQ_INIT(&call.query);
	if (text && evhttp_parse_query_str(text, &call.query) < 0) {
		send_error(req, 400, "the query is malformed");
		return;
	}
	/* Handlers may treat the body as text. */
	if (evbuffer_add(in, "", 1) == 0)
		request.body = (const char *)evbuffer_pullup(in, -1);
	if (r->path[n - 1] == '/')
		request.rest = path + n;
	if (request.body)
		r->fn(&request, &reply, r->arg);
	else
		reply.status = 500;
	evhttp_clear_headers(&call.query);
	if (!call.later)
		send_reply(req, &reply);
}

static void dispatch(struct httpd *h, struct evhttp_request *req, bool by_socket)
{
	const char *raw = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));
	_cleanup_(freep) char *path = NULL;
	const struct route *r;
	char allow[128];
	size_t len;

	path = evhttp_uridecode(raw && *raw ? raw : "/", 0, &len);
	if (!path || strlen(path) != len) {
		send_error(req, 400, "the path is malformed");
		return;
	}
	r = find_route(h, method_name(req), path, allow, sizeof(allow));
	if (r) {
		call_route(h, r, req, path, by_socket);
	} else if (allow[0]) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Allow", allow);
		send_error(req, 405, "method not allowed");
	} else {
		send_error(req, 404, "no such path");
	}
}

static void on_unix(struct evhttp_request *req, void *arg)
{
	dispatch(arg, req, true);
}

static void on_tcp(struct evhttp_request *req, void *arg)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
	const char *host = evhttp_find_header(headers, "Host");
	struct httpd *h = arg;

	/* A web page whose name resolves to 127.0.0.1 must not read the node. */
	if (!httpd_host_allowed(host, h->address)) {
		send_error(req, 403,
			   "the Host header must be localhost or the address that is served");
		return;
	}
	/* Nor may one that knows the address change anything: browsers say where a request is from.
	 */
	if (evhttp_request_get_command(req) != EVHTTP_REQ_GET &&
	    evhttp_find_header(headers, "Origin")) {
		send_error(req, 403, "requests with an Origin header may only read");
		return;
	}
	dispatch(h, req, false);
}

/* ---- public ---- */

const char *httpd_query(const struct httpd_request *req, const char *name)
{
	const struct call *c = req->impl;

	return evhttp_find_header(&c->query, name);
}

bool httpd_by_socket(const struct httpd_request *req)
{
	return ((const struct call *)req->impl)->by_socket;
}

struct httpd_later *httpd_later(const struct httpd_request *req)
{
	struct httpd_later *l = calloc(1, sizeof(*l));
	struct call *c = req->impl;

	if (!l)
		return NULL;
	l->server = c->server;
	l->req = c->req;
	c->later = true;
	DL_APPEND(l->server->laters, l);
	return l;
}

void httpd_answer(struct httpd_later *l, struct httpd_reply *reply)
{
	DL_DELETE(l->server->laters, l);
	send_reply(l->req, reply);
	free(l);
}

static int server_new(struct httpd *h, void (*fn)(struct evhttp_request *, void *),
		      struct evhttp **ret)
{
	struct evhttp *s = evhttp_new(h->base);
	uint32_t all = 0;

	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		all |= methods[i].type;
	evhttp_set_allowed_methods(s, all);
	evhttp_set_max_body_size(s, MAX_BODY);
	evhttp_set_max_headers_size(s, MAX_HEADERS);
	evhttp_set_timeout(s, TIMEOUT_S);
	evhttp_set_default_content_type(s, NULL);
	evhttp_set_gencb(s, fn, h);
	*ret = s;
	return 0;
}

int httpd_new(struct event_base *base, struct httpd **ret)
{
	_cleanup_(httpd_freep) struct httpd *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->base = base;
	if (door_new(base, &h->door) < 0 || server_new(h, on_tcp, &h->tcp) < 0 ||
	    server_new(h, on_unix, &h->unix_server) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(h);
	return 0;
}

void httpd_free(struct httpd *h)
{
	struct httpd_later *l;
	struct route *r;

	if (!h)
		return;
	if (h->tcp)
		evhttp_free(h->tcp);
	if (h->unix_server)
		evhttp_free(h->unix_server);
	while ((l = h->laters)) {
		DL_DELETE(h->laters, l);
		free(l);
	}
	door_free(h->door);
	if (h->socket_path)
		unlink(h->socket_path);
	while ((r = h->routes)) {
		h->routes = r->next;
		free(r->method);
		free(r->path);
		free(r);
	}
	free(h->address);
	free(h->socket_path);
	free(h);
}

int httpd_route(struct httpd *h, const char *method, const char *path, httpd_fn fn, void *arg)
{
	struct route *r;

	for (r = h->routes; r; r = r->next)
		if (strcmp(r->method, method) == 0 && strcmp(r->path, path) == 0)
			return -EEXIST;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct route){ .next = h->routes,
			     .method = strdup(method),
			     .path = strdup(path),
			     .fn = fn,
			     .arg = arg };
	if (!r->method || !r->path) {
		free(r->method);
		free(r->path);
		free(r);
		return -ENOMEM;
	}
	h->routes = r;
	return 0;
}

int httpd_listen(struct httpd *h, const char *address, uint16_t port, struct err *e)
{
	char *copy = strdup(address);
	int fd, err;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	free(h->address);
	h->address = copy;
	err = httpd_socket_tcp(address, port, &fd, &h->port, e);
	if (err < 0)
		return err;
	if (door_listen(h->door, h->tcp, fd) == 0)
		return 0;
	close(fd);
	return err_set(e, -ENOMEM, "can't listen on %s port %u", address, port);
}

uint16_t httpd_port(const struct httpd *h)
{
	return h->port;
}

int httpd_listen_unix(struct httpd *h, const char *path, unsigned int mode, struct err *e)
{
	char *copy = strdup(path);
	int fd, err;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	err = httpd_socket_unix(path, mode, &fd, e);
	if (err < 0) {
		free(copy);
		return err;
	}
	free(h->socket_path);
	h->socket_path = copy;
	if (door_listen(h->door, h->unix_server, fd) == 0)
		return 0;
	close(fd);
	return err_set(e, -ENOMEM, "can't listen on '%s'", path);
}
