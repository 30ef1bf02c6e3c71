// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/kube/fixture.h"

#define WAIT_MS 30000

struct event_base *base;

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

static struct event *timer(unsigned int ms, bool *late)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct event *ev = evtimer_new(base, on_time, late);

	event_add(ev, &tv);
	return ev;
}

void wait_until(bool (*done)(void *arg), void *arg, const char *what)
{
	bool late = false;
	struct event *ev = timer(WAIT_MS, &late);

	while (!done(arg) && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(ev);
	if (late)
		fail_msg("waited %d ms for %s", WAIT_MS, what);
}

void turn_for(unsigned int ms)
{
	bool late = false;
	struct event *ev = timer(ms, &late);

	while (!late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(ev);
}

struct kube *client_of(const char *url, const char *token_file)
{
	struct kube_config cfg = { .server = strdup(url) };
	struct err e = {};
	struct kube *k;

	if (token_file)
		cfg.token_file = strdup(token_file);
	if (kube_new(base, &cfg, &k, &e) < 0)
		fail_msg("%s", e.msg);
	return k;
}
