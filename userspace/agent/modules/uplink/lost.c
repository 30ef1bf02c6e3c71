// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/uplink/lost.h"

#include <errno.h>
#include <string.h>

#include "agent/modules/datapath/datapath.h"
#include "api/paths.h"

static bool wanted(struct scheduler *s, const char *name)
{
	if (strcmp(name, NETLOOM_HOST_PEER) == 0)
		name = NETLOOM_HOST_LINK;
	return scheduler_applied(s, "host-link/%s", name) ||
	       scheduler_applied(s, "pod-link/%s", name);
}

bool link_is_lost(struct scheduler *s, struct nl_sock *nl, const struct nl_change *c)
{
	struct nl_link now;
	int err;

	if (c->kind != NL_CHANGE_LINK || !uplink_link_is_ours(c->link.name) ||
	    (!c->gone && (c->link.flags & IFF_UP)) || !wanted(s, c->link.name))
		return false;
	err = nl_link_get(nl, c->link.ifindex, NULL, &now, NULL);
	return err == -ENODEV || (err == 0 && !(now.flags & IFF_UP));
}

bool programs_are_lost(struct scheduler *s, struct nl_sock *nl, const struct nl_change *c,
		       char ret[static IFNAMSIZ])
{
	static const char *const roles[] = { "pod", "host", "uplink", "overlay" };
	struct nl_link link;

	/* Others hang filters of their own on the uplink. */
	if (c->kind != NL_CHANGE_TC ||
	    (c->tc.priority && c->tc.priority != DATAPATH_FILTER_PRIORITY))
		return false;
	/* With the link they go as well, and then it is the link that is lost. */
	if (nl_link_get(nl, c->tc.ifindex, NULL, &link, NULL) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		if (!scheduler_applied(s, "bpf-attach/%s-%s", roles[i], link.name))
			continue;
		memcpy(ret, link.name, IFNAMSIZ);
		return true;
	}
	return false;
}

#define ROUTES "host-route/"

struct route_search {
	const struct uplink_view *view;
	struct prefix *lost;
};

static int look_for(const struct item_view *item, void *arg)
{
	const struct route_search *search = arg;
	struct prefix dst;

	if (item->state != ITEM_APPLIED || prefix_parse(item->key + strlen(ROUTES), &dst, NULL) < 0)
		return 0;
	for (size_t i = 0; i < search->view->n_own; i++)
		if (prefix_equal(&search->view->own[i], &dst))
			return 0;
	*search->lost = dst;
	return 1;
}

bool route_is_lost(struct scheduler *s, const struct uplink_view *v, struct prefix *ret)
{
	struct route_search search = { v, ret };

	return scheduler_foreach(s, ROUTES, look_for, &search) > 0;
}
