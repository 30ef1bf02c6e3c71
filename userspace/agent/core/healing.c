// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "agent"
#include <errno.h>
#include <string.h>

#include "agent/core/agent_int.h"
#include "lib/base/log.h"

/* A failure that stays makes every healing fail as well; single items are retried meanwhile. */
#define MAX_BACKOFF 60 /* times controller.healingDelay */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct agent *a = arg;
	_cleanup_(freep) char *reason = TAKE_PTR(a->heal_reason);

	a->heals++;
	event_push_resync(a, EVENT_UPSTREAM_RESYNC, reason ? reason : "out of memory");
}

void agent_heal(struct agent *a, const char *reason)
{
	struct timeval tv = { .tv_sec = a->heal_delay_ms / 1000,
			      .tv_usec = a->heal_delay_ms % 1000 * 1000 };

	if (event_pending(a->heal_timer, EV_TIMEOUT, NULL))
		return;
	log_info("healing resync in %u ms: %s", a->heal_delay_ms, reason);
	a->heal_reason = strdup(reason);
	event_add(a->heal_timer, &tv);
}

void healing_resynced(struct agent *a, bool ok)
{
	unsigned int delay = a->cfg->controller.healing_delay_ms;

	a->heal_delay_ms = ok ? delay : MIN(a->heal_delay_ms * 2, delay * MAX_BACKOFF);
}

int healing_init(struct agent *a)
{
	a->heal_delay_ms = a->cfg->controller.healing_delay_ms;
	a->heal_timer = event_new(a->base, -1, 0, on_timer, a);
	return a->heal_timer ? 0 : -ENOMEM;
}

void healing_fini(struct agent *a)
{
	if (a->heal_timer)
		event_free(a->heal_timer);
	free(a->heal_reason);
}
