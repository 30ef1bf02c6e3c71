/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Drop events: reads the ring buffer loom_events when the kernel says that it has something, and
 * keeps the last 4,096 in memory with a sequence number each. The programs limit the rate
 * (events.rate), and count what they did not send; nobody has to read for packets to flow.
 */
#include <event2/event.h>
#include <json-c/json.h>

#include "lib/base/err.h"
#include "lib/bpf/tables.h"
#include "shared/loom_maps.h"

#define DROPS_KEPT	 4096
#define DROPS_TOLD_PER_S 500

struct drops;
/* Descriptors are borrowed. `base` may be NULL: then drops_consume() has to be called. */
int drops_new(struct event_base *base, int events_fd, int evlimit_fd, struct drops **ret,
	      struct err *e);
void drops_free(struct drops *d); /* accepts NULL */
/*
 * Who is asked for further fields of events about verdicts of policy, once, when they come in: of
 * DROPS_TOLD_PER_S a second at most, since the rate of events is the user's to choose.
 */
void drops_on_verdict(struct drops *d,
		      struct json_object *(*fn)(const struct loom_event *ev, void *arg), void *arg);
/* Takes what is there. The number of events, or negative errno. */
int drops_consume(struct drops *d);
uint64_t drops_next_seq(const struct drops *d); /* of the event that comes next; the first is 1 */
/* Events that were not sent or found no room in the ring, over all CPUs. */
uint64_t drops_lost(const struct drops *d);
/* Takes an event, as if the ring had had it. */
void drops_take(struct drops *d, const struct loom_event *ev);
/*
 * {"next", "lost", "skipped", "events": [{"seq", "time", "reason", "text", "hook", …}]}: at most
 * `last` events with seq >= since. "skipped" are those that are kept no longer. NULL on
 * out-of-memory.
 */
struct json_object *drops_json(const struct drops *d, uint64_t since, size_t last,
			       const struct table_names *names);
