// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "podwire"
#include "agent/modules/podwire/reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

#include "agent/modules/podwire/pod_link.h"
#include "lib/base/log.h"

struct reaper {
	struct nl_sock *nl; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t told, done; /* kicks, and how many of them have been seen to */
	bool stop;
};

static void reap(struct reaper *r)
{
	struct err e = {};
	int err = nl_link_del_group(r->nl, POD_LINK_RETIRED_GROUP, &e);

	/* They stay down, and go with the next ones or at the next resync. */
	if (err < 0 && err != -ENODEV)
		log_limited(LOG_LVL_ERROR, 1, "retired pod links stay: %s", e.msg);
}

static void *run(void *arg)
{
	struct reaper *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop || r->told != r->done) {
		uint64_t told = r->told;

		if (told == r->done) {
			pthread_cond_wait(&r->changed, &r->lock);
			continue;
		}
		pthread_mutex_unlock(&r->lock);
		reap(r);
		pthread_mutex_lock(&r->lock);
		r->done = told;
		pthread_cond_broadcast(&r->changed);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct reaper *r)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&r->thread, NULL, run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int reaper_new(struct reaper **ret, struct err *e)
{
	struct reaper *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return err_errno(e, -ENOMEM, "reaper of pod links");
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	err = nl_open(-1, &r->nl, e);
	if (!err) {
		err = start(r);
		if (err < 0)
			err_errno(e, err, "thread of the reaper of pod links");
	}
	if (err < 0) {
		nl_close(r->nl);
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

void reaper_free(struct reaper *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	nl_close(r->nl);
	free(r);
}

void reaper_kick(struct reaper *r)
{
	pthread_mutex_lock(&r->lock);
	r->told++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

bool reaper_wait(struct reaper *r)
{
	bool busy;

	pthread_mutex_lock(&r->lock);
	busy = r->told != r->done;
	while (r->told != r->done)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
	return busy;
}
