// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "podwire"
#include "agent/modules/podwire/reaper.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/modules/podwire/pod_link.h"
#include "lib/base/chore.h"
#include "lib/base/log.h"

struct reaper {
	struct nl_sock *nl; /* the chore's */
	struct chore *chore;
};

static void reap(void *arg)
{
	struct reaper *r = arg;
	struct err e = {};
	int err = nl_link_del_group(r->nl, POD_LINK_RETIRED_GROUP, &e);

	/* They stay down, and go with the next ones or at the next resync. */
	if (err < 0 && err != -ENODEV)
		log_limited(LOG_LVL_ERROR, 1, "retired pod links stay: %s", e.msg);
}

int reaper_new(struct reaper **ret, struct err *e)
{
	_cleanup_(reaper_freep) struct reaper *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return err_errno(e, -ENOMEM, "reaper of pod links");
	err = nl_open(-1, &r->nl, e);
	if (err < 0)
		return err;
	err = chore_new(reap, r, &r->chore);
	if (err < 0)
		return err_errno(e, err, "thread of the reaper of pod links");
	*ret = TAKE_PTR(r);
	return 0;
}

void reaper_free(struct reaper *r)
{
	if (!r)
		return;
	chore_free(r->chore);
	nl_close(r->nl);
	free(r);
}

void reaper_kick(struct reaper *r)
{
	chore_kick(r->chore);
}

bool reaper_wait(struct reaper *r)
{
	return chore_wait(r->chore);
}
