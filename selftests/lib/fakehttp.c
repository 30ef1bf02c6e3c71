// SPDX-License-Identifier: Apache-2.0
#include "selftests/lib/fakehttp.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

struct fake_conn {
	struct fake_http *server;
	struct fake_conn *prev, *next;
	struct bufferevent *bev;
	bool closing;
};

struct fake_http {
	struct event_base *base;
	struct evconnlistener *listener;
	struct fake_conn *conns;
	fake_fn fn;
	void *arg;
	char url[64];
	int accepted;
};

static void conn_free(struct fake_conn *c)
{
	DL_DELETE(c->server->conns, c);
	bufferevent_free(c->bev);
	free(c);
}

static size_t content_length(const char *head)
{
	for (const char *l = head; (l = strstr(l, "\r\n")); l += 2) {
		if (!strncasecmp(l + 2, "content-length:", 15))
			return strtoul(l + 17, NULL, 10);
	}
	return 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct fake_conn *c = arg;
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	char *head, *body;
	size_t len;

	if (end.pos < 0)
		return;
	head = calloc(1, end.pos + 5);
	evbuffer_copyout(in, head, end.pos + 4);
	len = content_length(head);
	if (evbuffer_get_length(in) >= end.pos + 4 + len) {
		evbuffer_drain(in, end.pos + 4);
		body = calloc(1, len + 1);
		evbuffer_remove(in, body, len);
		c->server->fn(c, head, body, c->server->arg);
		free(body);
	}
	free(head);
}

static void on_written(struct bufferevent *bev, void *arg)
{
	struct fake_conn *c = arg;

	if (c->closing && !evbuffer_get_length(bufferevent_get_output(bev)))
		conn_free(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		conn_free(arg);
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *arg)
{
	struct fake_http *f = arg;
	struct fake_conn *c = calloc(1, sizeof(*c));

	f->accepted++;
	c->server = f;
	c->bev = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
	DL_APPEND(f->conns, c);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static struct evconnlistener *listen_tcp(struct fake_http *f)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(sa);
	struct evconnlistener *l = evconnlistener_new_bind(
		f->base, on_accept, f, LEV_OPT_CLOSE_ON_FREE, -1, (void *)&sa, sizeof(sa));

	if (l && getsockname(evconnlistener_get_fd(l), (void *)&sa, &len) == 0)
		snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(sa.sin_port));
	return l;
}

static struct evconnlistener *listen_unix(struct fake_http *f, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	snprintf(f->url, sizeof(f->url), "http://fake");
	return evconnlistener_new_bind(f->base, on_accept, f, LEV_OPT_CLOSE_ON_FREE, -1,
				       (void *)&sa, sizeof(sa));
}

struct fake_http *fake_http_new(struct event_base *base, const char *unix_path, fake_fn fn,
				void *arg)
{
	struct fake_http *f = calloc(1, sizeof(*f));

	f->base = base;
	f->fn = fn;
	f->arg = arg;
	f->listener = unix_path ? listen_unix(f, unix_path) : listen_tcp(f);
	if (!f->listener) {
		free(f);
		return NULL;
	}
	return f;
}

void fake_http_free(struct fake_http *f)
{
	if (!f)
		return;
	while (f->conns)
		conn_free(f->conns);
	evconnlistener_free(f->listener);
	free(f);
}

const char *fake_http_url(const struct fake_http *f)
{
	return f->url;
}

int fake_http_accepted(const struct fake_http *f)
{
	return f->accepted;
}

void fake_raw(struct fake_conn *c, const char *bytes)
{
	bufferevent_write(c->bev, bytes, strlen(bytes));
}

void fake_answer(struct fake_conn *c, int status, const char *headers, const char *body)
{
	evbuffer_add_printf(bufferevent_get_output(c->bev),
			    "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers,
			    strlen(body), body);
}

void fake_stream_begin(struct fake_conn *c)
{
	fake_raw(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

void fake_stream_chunk(struct fake_conn *c, const void *data, size_t len)
{
	evbuffer_add_printf(bufferevent_get_output(c->bev), "%zx\r\n", len);
	bufferevent_write(c->bev, data, len);
	fake_raw(c, "\r\n");
}

void fake_stream_text(struct fake_conn *c, const char *text)
{
	fake_stream_chunk(c, text, strlen(text));
}

void fake_stream_end(struct fake_conn *c)
{
	fake_raw(c, "0\r\n\r\n");
}

void fake_close(struct fake_conn *c)
{
	c->closing = true;
	if (!evbuffer_get_length(bufferevent_get_output(c->bev)))
		conn_free(c);
}
