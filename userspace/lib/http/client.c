// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <utlist.h>

#include "lib/http/http_int.h"

#define MAX_IDLE_CONNECTIONS 16

struct http_sock {
	struct http_sock *prev, *next;
	struct event *ev;
};

static void sock_free(struct http_client *c, struct http_sock *s)
{
	DL_DELETE(c->socks, s);
	if (s->ev)
		event_free(s->ev);
	free(s);
}

static void start_waiting(struct http_client *c)
{
	struct http_call *call;

	while ((call = c->starting)) {
		DL_DELETE(c->starting, call);
		DL_APPEND(c->calls, call);
		call->added = true;
		if (curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
			http_call_finish(call, CURLE_FAILED_INIT);
	}
}

/* Tells of calls that have ended. A callback may do anything, so each round begins anew. */
static void settle(struct http_client *c)
{
	struct http_call *call;
	CURLMsg *msg;
	int left;

	for (;;) {
		while ((call = c->dead)) {
			DL_DELETE(c->dead, call);
			http_call_free(call);
		}
		if (c->freed)
			return;
		start_waiting(c);
		msg = curl_multi_info_read(c->multi, &left);
		if (!msg)
			break;
		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		http_call_finish(call, msg->data.result);
	}
}

static void client_destroy(struct http_client *c)
{
	struct http_call *call, *tmp;

	DL_FOREACH_SAFE (c->calls, call, tmp) {
		DL_DELETE(c->calls, call);
		http_call_free(call);
	}
	DL_FOREACH_SAFE (c->starting, call, tmp) {
		DL_DELETE(c->starting, call);
		http_call_free(call);
	}
	if (c->multi)
		curl_multi_cleanup(c->multi);
	while (c->socks)
		sock_free(c, c->socks);
	if (c->timer)
		event_free(c->timer);
	free(c);
}

void http_client_enter(struct http_client *c)
{
	c->busy++;
}

void http_client_leave(struct http_client *c)
{
	if (c->busy == 1 && !c->in_curl)
		settle(c);
	if (--c->busy == 0 && c->freed)
		client_destroy(c);
}

static void run_curl(struct http_client *c, curl_socket_t fd, int mask)
{
	int running;

	http_client_enter(c);
	c->in_curl++;
	curl_multi_socket_action(c->multi, fd, mask, &running);
	c->in_curl--;
	http_client_leave(c);
}

static void on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	int mask =
		(what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

	run_curl(arg, fd, mask);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	run_curl(arg, CURL_SOCKET_TIMEOUT, 0);
}

/* curl tells which sockets to watch. Called with curl on the stack. */
static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sock)
{
	struct http_client *c = arg;
	struct http_sock *s = sock;
	short events = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		if (s)
			sock_free(c, s);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		DL_APPEND(c->socks, s);
		curl_multi_assign(c->multi, fd, s);
	}
	if (what & CURL_POLL_IN)
		events |= EV_READ;
	if (what & CURL_POLL_OUT)
		events |= EV_WRITE;
	if (s->ev)
		event_free(s->ev);
	s->ev = event_new(c->base, fd, events, on_socket_event, c);
	return s->ev && event_add(s->ev, NULL) == 0 ? 0 : -1;
}

static int want_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;
	struct timeval tv = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };

	if (timeout_ms < 0)
		event_del(c->timer);
	else
		event_add(c->timer, &tv);
	return 0;
}

int http_client_new(struct event_base *base, struct http_client **ret)
{
	static bool ready;
	struct http_client *c;

	if (!ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	ready = true;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->base = base;
	c->multi = curl_multi_init();
	c->timer = evtimer_new(base, on_timer, c);
	if (!c->multi || !c->timer) {
		client_destroy(c);
		return -ENOMEM;
	}
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)MAX_IDLE_CONNECTIONS);
	*ret = c;
	return 0;
}

void http_client_free(struct http_client *c)
{
	struct http_call *call;

	if (!c)
		return;
	DL_FOREACH (c->calls, call)
		call->cancelled = true;
	DL_FOREACH (c->starting, call)
		call->cancelled = true;
	c->freed = true;
	if (!c->busy)
		client_destroy(c);
}
