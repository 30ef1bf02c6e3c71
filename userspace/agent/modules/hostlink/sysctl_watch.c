// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "hostlink"
#include "agent/modules/hostlink/sysctl_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/uplink/uplink.h"
#include "lib/base/log.h"

/* Who sets one sets more; and whoever sets them again and again is answered no faster than that. */
static const struct timeval settle = { .tv_usec = 200 * 1000 };

struct sysctl_watch {
	struct agent *agent;
	const struct host_sysctls *all;
	struct nl_monitor *monitor;
	struct event *readable, *timer;
};

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct sysctl_watch *w = arg;
	const char *path = host_sysctls_lost(w->all, agent_scheduler(w->agent));
	char reason[160];

	if (!path)
		return;
	snprintf(reason, sizeof(reason), "somebody has changed sysctl '%s'", path);
	log_warn("%s", reason);
	event_push_resync(w->agent, EVENT_UPSTREAM_RESYNC, reason);
}

/* Every pod's link comes with values of its own, and they concern nobody. */
static bool concerns(const struct sysctl_watch *w, const struct nl_change *c)
{
	const struct uplink *u = uplink_get(w->agent);

	return c->kind == NL_CHANGE_LOST || c->conf_ifindex <= 0 ||
	       (u && c->conf_ifindex == (int)u->ifindex);
}

static void on_change(const struct nl_change *c, void *arg)
{
	struct sysctl_watch *w = arg;

	if (concerns(w, c) && !event_pending(w->timer, EV_TIMEOUT, NULL))
		event_add(w->timer, &settle);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sysctl_watch *w = arg;
	int err = nl_monitor_read(w->monitor, on_change, w);

	if (err < 0)
		log_limited(LOG_LVL_WARN, 3, "netlink monitor of sysctls: %s", strerror(-err));
}

int sysctl_watch_new(struct agent *a, const struct host_sysctls *all, struct sysctl_watch **ret,
		     struct err *e)
{
	_cleanup_(sysctl_watch_freep) struct sysctl_watch *w = calloc(1, sizeof(*w));
	int err;

	if (!w)
		return err_errno(e, -ENOMEM, "watch of sysctls");
	w->agent = a;
	w->all = all;
	err = nl_monitor_open_conf(&w->monitor, e);
	if (err < 0)
		return err;
	w->timer = event_new(agent_base(a), -1, 0, on_settled, w);
	w->readable = event_new(agent_base(a), nl_monitor_fd(w->monitor), EV_READ | EV_PERSIST,
				on_readable, w);
	if (!w->timer || !w->readable || event_add(w->readable, NULL) < 0)
		return err_errno(e, -ENOMEM, "watch of sysctls");
	*ret = TAKE_PTR(w);
	return 0;
}

void sysctl_watch_free(struct sysctl_watch *w)
{
	if (!w)
		return;
	if (w->readable)
		event_free(w->readable);
	if (w->timer)
		event_free(w->timer);
	nl_monitor_close(w->monitor);
	free(w);
}
