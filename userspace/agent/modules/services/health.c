// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/services/health.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/util.h"
#include "lib/httpd/door.h"
#include "lib/json/json.h"

#define MAX_HEADERS 4096 /* bytes, request line included */
#define MAX_BODY    1024
#define TIMEOUT_S   5
#define BACKLOG	    64

struct health_port {
	uint16_t port; /* key */
	const struct health *of;
	char *ns, *name;
	unsigned int local;
	struct evhttp *server;
	struct door *door;
	UT_hash_handle hh;
};

struct health {
	struct event_base *base;
	struct health_port *ports;
	bool proxy_healthy;
};

static void port_free(struct health_port *p)
{
	if (!p)
		return;
	if (p->server)
		evhttp_free(p->server);
	door_free(p->door);
	free(p->ns);
	free(p->name);
	free(p);
}
DEFINE_FREEP(struct health_port, port_free)

/* ---- answers ---- */

static struct json_object *port_json(const struct health_port *p)
{
	_json_ *o = json_object_new_object(), *service = json_object_new_object();

	if (!o || !service || json_add_str(service, "namespace", p->ns) < 0 ||
	    json_add_str(service, "name", p->name) < 0 ||
	    json_add(o, "service", json_object_get(service)) < 0 ||
	    json_add_int(o, "localEndpoints", p->local) < 0 ||
	    json_add_bool(o, "serviceProxyHealthy", p->of->proxy_healthy) < 0)
		return NULL;
	return TAKE_PTR(o);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	const struct health_port *p = arg;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);
	_json_ *o = port_json(p);
	char weight[16];

	if (!o) {
		evhttp_send_reply(req, 500, NULL, NULL);
		return;
	}
	snprintf(weight, sizeof(weight), "%u", p->local);
	evhttp_add_header(headers, "Content-Type", "application/json");
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "X-Load-Balancing-Endpoint-Weight", weight);
	/* Probes are seconds apart: a connection that is kept only takes a descriptor. */
	evhttp_add_header(headers, "Connection", "close");
	if (evhttp_request_get_command(req) == EVHTTP_REQ_GET)
		evbuffer_add_printf(out, "%s",
				    json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
	evhttp_send_reply(req, p->local && p->of->proxy_healthy ? 200 : 503, NULL, NULL);
}

/* ---- listening ---- */

/* On every address of one family; the other family has a socket of its own. */
static int listen_on(const struct health_port *p, int family)
{
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(p->port) };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(p->port) };
	const void *sa = family == AF_INET6 ? (void *)&a6 : (void *)&a4;
	socklen_t len = family == AF_INET6 ? sizeof(a6) : sizeof(a4);
	_cleanup_(closep) int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, sa, len) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	if (door_listen(p->door, p->server, fd) < 0)
		return -ENOMEM;
	fd = -1;
	return 0;
}

static int port_open(struct health *h, struct health_port *p)
{
	int err = door_new(h->base, &p->door);

	if (err < 0)
		return err;
	p->server = evhttp_new(h->base);
	if (!p->server)
		return -ENOMEM;
	evhttp_set_allowed_methods(p->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(p->server, MAX_HEADERS);
	evhttp_set_max_body_size(p->server, MAX_BODY);
	evhttp_set_timeout(p->server, TIMEOUT_S);
	evhttp_set_gencb(p->server, on_request, p);
	err = listen_on(p, AF_INET);
	if (!err)
		err = listen_on(p, AF_INET6);
	/* A kernel without IPv6 has nobody who would ask over it. */
	return err == -EAFNOSUPPORT ? 0 : err;
}

static struct health_port *port_find(const struct health *h, uint16_t port)
{
	struct health_port *p;

	HASH_FIND(hh, h->ports, &port, sizeof(port), p);
	return p;
}

static int port_add(struct health *h, uint16_t port, struct health_port **ret)
{
	_cleanup_(port_freep) struct health_port *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->port = port;
	p->of = h;
	err = port_open(h, p);
	if (err < 0)
		return err;
	HASH_ADD(hh, h->ports, port, sizeof(p->port), p);
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- for the compiler of services ---- */

int health_new(struct event_base *base, struct health **ret)
{
	struct health *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->base = base;
	*ret = h;
	return 0;
}

void health_free(struct health *h)
{
	struct health_port *p, *next;

	if (!h)
		return;
	HASH_ITER (hh, h->ports, p, next) {
		HASH_DEL(h->ports, p);
		port_free(p);
	}
	free(h);
}

int health_set(struct health *h, uint16_t port, const char *ns, const char *name,
	       unsigned int local, struct err *e)
{
	_cleanup_(freep) char *ns_copy = strdup(ns), *name_copy = strdup(name);
	struct health_port *p = port_find(h, port);
	int err = 0;

	if (!ns_copy || !name_copy)
		return err_set(e, -ENOMEM, "out of memory");
	if (!p)
		err = port_add(h, port, &p);
	if (err < 0)
		return err_errno(e, err, "service '%s/%s': healthCheckNodePort %u", ns, name, port);
	free(p->ns);
	free(p->name);
	p->ns = TAKE_PTR(ns_copy);
	p->name = TAKE_PTR(name_copy);
	p->local = local;
	return 0;
}

void health_set_proxy(struct health *h, bool healthy)
{
	h->proxy_healthy = healthy;
}

void health_drop(struct health *h, uint16_t port)
{
	struct health_port *p = port_find(h, port);

	if (!p)
		return;
	HASH_DEL(h->ports, p);
	port_free(p);
}
