// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "hostlink"
#include "agent/modules/hostlink/sysctl_watch.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/modules/uplink/uplink.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

/* Who sets one sets more; and whoever sets them again and again is answered less often. */
static const struct timeval settle = { .tv_usec = 200 * 1000 }, again = { .tv_sec = 5 };

struct sysctl_watch {
	struct agent *agent;
	const struct host_sysctls *all;
	struct nl_monitor *monitor;
	struct event *readable, *timer;
	bool all_links;	      /* any of ours may have a filter */
	uint64_t answered_ms; /* the last resync; 0: none */
};

/* What comes in by a link without addresses passes no filter: pods would not reach their host. */
static void unfilter(const char *link)
{
	int err = uplink_link_is_ours(link) ? host_link_unfilter(link) : 0;

	if (err > 0)
		log_limited(LOG_LVL_INFO, 1, "link '%s': somebody had set rp_filter, it is 0 again",
			    link);
	else if (err < 0 && err != -ENOENT)
		log_limited(LOG_LVL_WARN, 1, "link '%s': rp_filter: %s", link, strerror(-err));
}

static void unfilter_all(void)
{
	DIR *dir = opendir("/proc/sys/net/ipv4/conf");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		unfilter(d->d_name);
	if (dir)
		closedir(dir);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct sysctl_watch *w = arg;
	const char *path = host_sysctls_lost(w->all, agent_scheduler(w->agent));
	char reason[160];

	if (w->all_links)
		unfilter_all();
	w->all_links = false;
	if (!path)
		return;
	w->answered_ms = clock_ms();
	snprintf(reason, sizeof(reason), "somebody has changed sysctl '%s'", path);
	log_warn("%s", reason);
	event_push_resync(w->agent, EVENT_UPSTREAM_RESYNC, reason);
}

static bool is_soon(const struct sysctl_watch *w)
{
	return w->answered_ms && clock_ms() - w->answered_ms < 2 * (uint64_t)again.tv_sec * 1000;
}

/* Every pod's link comes with values of its own, and but for its filter they concern nobody. */
static bool concerns(const struct sysctl_watch *w, const struct nl_change *c)
{
	const struct uplink *u = uplink_get(w->agent);

	return c->kind == NL_CHANGE_LOST || c->conf_ifindex <= 0 ||
	       (u && c->conf_ifindex == (int)u->ifindex);
}

static void on_change(const struct nl_change *c, void *arg)
{
	struct sysctl_watch *w = arg;
	char link[IF_NAMESIZE];

	w->all_links |= c->kind == NL_CHANGE_LOST;
	if (c->kind == NL_CHANGE_CONF && c->conf_filters && c->conf_ifindex > 0 &&
	    if_indextoname(c->conf_ifindex, link))
		unfilter(link);
	if (concerns(w, c) && !event_pending(w->timer, EV_TIMEOUT, NULL))
		event_add(w->timer, is_soon(w) ? &again : &settle);
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
	if (!w->timer || !w->readable || event_add(w->readable, NULL) < 0 ||
	    event_add(w->timer, &settle) < 0)
		return err_errno(e, -ENOMEM, "watch of sysctls");
	/* Nobody has watched until now. */
	w->all_links = true;
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
