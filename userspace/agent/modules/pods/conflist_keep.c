// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps the conflist as it should be while the node can serve pods: without it the runtime says
 * that there is no network, and the node is not Ready, whatever the agent knows.
 */
#define LOG_NAME "pods"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "agent/core/agent_config.h"
#include "agent/modules/pods/pods_int.h"
#include "api/paths.h"
#include "lib/base/log.h"

/* Who clears the folder may do so file by file, and two that want the same name take turns. Without
 * inotify it is looked at again and again. */
static const struct timeval settle = { .tv_usec = 200 * 1000 }, again = { .tv_sec = 5 };

struct conflist {
	struct pods *pods;
	int inotify_fd;
	struct event *changed, *timer;
};

static bool wanted(const struct conflist *c)
{
	return c->pods->ready && agent_cfg(c->pods->agent)->cni.conflist;
}

/* The same folder twice is one watch. */
static int watch(const struct conflist *c)
{
	int wd = inotify_add_watch(c->inotify_fd, agent_cfg(c->pods->agent)->cni.conf_dir,
				   IN_ONLYDIR | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
					   IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF);

	return wd < 0 ? -errno : 0;
}

void conflist_keep(struct conflist *c)
{
	const struct agent_config *cfg = agent_cfg(c->pods->agent);
	struct err e = {};
	int err, watched;

	if (!wanted(c))
		return;
	watched = watch(c);
	err = conflist_write(cfg, &e);
	if (err < 0) {
		log_limited(LOG_LVL_ERROR, 1, "no CNI configuration for runtimes: %s", e.msg);
		event_add(c->timer, &again);
		return;
	}
	if (err == 0)
		log_limited(LOG_LVL_INFO, 3, "CNI configuration written to '%s'",
			    cfg->cni.conf_dir);
	/* The folder may be of just now. */
	if (watched < 0 && watch(c) < 0)
		event_add(c->timer, &again);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	conflist_keep(arg);
}

/* Of the file, or of the folder as a whole. */
static bool concerns(const struct inotify_event *ev)
{
	return !ev->len || strcmp(ev->name, NETLOOM_CNI_CONFLIST) == 0;
}

static void on_changed(evutil_socket_t fd, short what, void *arg)
{
	struct conflist *c = arg;
	char buf[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool look = false;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		const struct inotify_event *ev;

		for (const char *at = buf; at < buf + n; at += sizeof(*ev) + ev->len) {
			ev = (const struct inotify_event *)at;
			look |= concerns(ev);
		}
	}
	if (look && wanted(c) && !event_pending(c->timer, EV_TIMEOUT, NULL))
		event_add(c->timer, &settle);
}

int conflist_new(struct pods *p, struct conflist **ret)
{
	_cleanup_(conflist_freep) struct conflist *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->pods = p;
	c->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	c->timer = event_new(agent_base(p->agent), -1, 0, on_timer, c);
	if (c->inotify_fd >= 0)
		c->changed = event_new(agent_base(p->agent), c->inotify_fd, EV_READ | EV_PERSIST,
				       on_changed, c);
	if (!c->timer || (c->inotify_fd >= 0 && (!c->changed || event_add(c->changed, NULL) < 0)))
		return -ENOMEM;
	*ret = TAKE_PTR(c);
	return 0;
}

void conflist_free(struct conflist *c)
{
	if (!c)
		return;
	if (c->timer)
		event_free(c->timer);
	if (c->changed)
		event_free(c->changed);
	closep(&c->inotify_fd);
	free(c);
}
