// SPDX-License-Identifier: Apache-2.0
/*
 * What has to wait. A backend's number is free again when its flows and sockets are ended; its
 * slots when no packet can be reading them any more.
 */
#define LOG_NAME "services"
#include <errno.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/services/private.h"
#include "lib/base/clock.h"
#include "lib/base/grow.h"
#include "lib/base/log.h"
#include "lib/bpf/walk.h"
#include "shared/loom_config.h"

/* A packet that has read a frontend has long read its slot by then. */
#define FREE_MS 50
/* Sockets are ended in pieces, so that nobody waits for ten thousand of them. */
#define SOCKETS_TURN_MS 5
#define RETRY_S		5
/* A run looks at every flow of the node, during which no change is handled. */
#define PAUSE_MS 1000

static bool push(struct numbers *list, uint32_t number)
{
	if (grow_room(&list->v, &list->room, list->n + 1, sizeof(*list->v)) < 0)
		return false;
	list->v[list->n++] = number;
	return true;
}

/* A number that can't be noted stays marked as gone: the next start ends it. */
void flows_end_backend(struct services *s, uint32_t number)
{
	services_fail(s, svcmaps_backend_end(s->maps, number));
	if (!push(&s->flows.dying, number))
		services_fail(s, -ENOMEM);
	flows_want(s);
}

void flows_want(struct services *s)
{
	s->flows.wanted = true;
}

void flows_free_slots(struct services *s, const struct region *r)
{
	static const struct timeval later = { .tv_usec = FREE_MS * 1000 };

	if (!r->size)
		return;
	if (grow_room(&s->flows.freed, &s->flows.room_freed, s->flows.n_freed + 1, sizeof(*r)) < 0)
		return services_fail(s, -ENOMEM);
	s->flows.freed[s->flows.n_freed++] = *r;
	if (!evtimer_pending(s->flows.free_timer, NULL))
		evtimer_add(s->flows.free_timer, &later);
}

static void on_free(evutil_socket_t fd, short what, void *arg)
{
	struct services *s = arg;

	for (size_t i = 0; i < s->flows.n_freed; i++)
		slots_give(&s->maps->slots, &s->flows.freed[i]);
	s->flows.n_freed = 0;
	services_room(s);
}

/* Both the tables of flows and the sockets have forgotten them. */
static void finish(struct services *s)
{
	struct numbers *ending = &s->flows.ending;

	if (!s->flows.tables_done || s->flows.sockets_done < ending->n)
		return;
	for (size_t i = 0; i < ending->n; i++)
		services_fail(s, svcmaps_backend_forget(s->maps, ending->v[i]));
	if (ending->n)
		services_room(s);
	ending->n = 0;
	s->flows.running = false;
	s->flows.next_ms = clock_ms() + PAUSE_MS;
	flows_run(s);
}

static int note_connected(const void *key, const void *value, void *arg)
{
	const struct loom_sockrev *rev = value;
	struct services *s = arg;

	if (rev->backend < s->maps->fd.max_backends)
		s->flows.connected[rev->backend / 8] |= 1u << rev->backend % 8;
	return 0;
}

/* To end a backend's sockets means to read all sockets: once for all of them tells whose there are.
 * Without an answer each is ended. */
static void find_connected(struct services *s)
{
	int fd = datapath_map_fd(s->agent, "loom_sockrev");

	free(s->flows.connected);
	s->flows.connected = fd < 0 ? NULL : calloc(s->maps->fd.max_backends / 8 + 1, 1);
	if (s->flows.connected && map_walk(fd, note_connected, s) < 0)
		free(TAKE_PTR(s->flows.connected));
}

static void end_sockets(struct services *s, uint32_t number)
{
	const uint8_t *connected = s->flows.connected;

	if (!connected || connected[number / 8] & 1u << number % 8)
		datapath_end_sockets(s->agent, number);
}

static void on_sockets(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now = {};
	struct services *s = arg;
	struct numbers *ending = &s->flows.ending;
	uint64_t end_ms = clock_ms() + SOCKETS_TURN_MS;

	if (!s->flows.sockets_done)
		find_connected(s);
	while (s->flows.sockets_done < ending->n && clock_ms() <= end_ms)
		end_sockets(s, ending->v[s->flows.sockets_done++]);
	if (s->flows.sockets_done < ending->n)
		evtimer_add(s->flows.sockets, &now);
	else
		finish(s);
}

static void on_tables(struct agent *a, int err, void *arg)
{
	static const struct timeval later = { .tv_sec = RETRY_S };
	struct services *s = arg;

	if (err == -ECANCELED)
		return;
	if (err < 0) {
		evtimer_add(s->flows.retry, &later);
		return;
	}
	s->flows.tables_done = true;
	finish(s);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct services *s = arg;

	datapath_end_service_flows(s->agent, on_tables, s);
}

static void on_pause(evutil_socket_t fd, short what, void *arg)
{
	flows_run(arg);
}

/* True: the last run was a moment ago, and the next one comes by itself. */
static bool is_pausing(struct services *s)
{
	uint64_t now_ms = clock_ms();
	struct timeval rest;

	if (now_ms >= s->flows.next_ms)
		return false;
	rest.tv_sec = (s->flows.next_ms - now_ms) / 1000;
	rest.tv_usec = (s->flows.next_ms - now_ms) % 1000 * 1000;
	if (!evtimer_pending(s->flows.pause, NULL))
		evtimer_add(s->flows.pause, &rest);
	return true;
}

void flows_run(struct services *s)
{
	static const struct timeval now = {};
	bool sockets = agent_cfg(s->agent)->services.sockets != LOOM_SOCKETS_NONE;
	struct numbers none = s->flows.ending;

	if (s->flows.running || !s->flows.wanted || is_pausing(s))
		return;
	s->flows.ending = s->flows.dying;
	s->flows.dying = none;
	s->flows.wanted = false;
	s->flows.running = true;
	s->flows.tables_done = false;
	s->flows.sockets_done = sockets ? 0 : s->flows.ending.n;
	if (s->flows.sockets_done < s->flows.ending.n)
		evtimer_add(s->flows.sockets, &now);
	datapath_end_service_flows(s->agent, on_tables, s);
}

int flows_init(struct services *s)
{
	struct event_base *base = agent_base(s->agent);

	s->flows.sockets = evtimer_new(base, on_sockets, s);
	s->flows.retry = evtimer_new(base, on_retry, s);
	s->flows.pause = evtimer_new(base, on_pause, s);
	s->flows.free_timer = evtimer_new(base, on_free, s);
	return s->flows.sockets && s->flows.retry && s->flows.pause && s->flows.free_timer
		       ? 0
		       : -ENOMEM;
}

void flows_fini(struct services *s)
{
	struct event *const timers[] = { s->flows.sockets, s->flows.retry, s->flows.pause,
					 s->flows.free_timer };

	for (size_t i = 0; i < ARRAY_SIZE(timers); i++)
		if (timers[i])
			event_free(timers[i]);
	free(s->flows.dying.v);
	free(s->flows.ending.v);
	free(s->flows.freed);
	free(s->flows.connected);
}
