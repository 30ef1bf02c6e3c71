// SPDX-License-Identifier: Apache-2.0
#include "lib/base/chore.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>

struct chore {
	void (*fn)(void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t told, done; /* kicks, and how many of them have been seen to */
	bool stop;
};

static void *run(void *arg)
{
	struct chore *c = arg;

	pthread_mutex_lock(&c->lock);
	while (!c->stop || c->told != c->done) {
		uint64_t told = c->told;

		if (told == c->done) {
			pthread_cond_wait(&c->changed, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		c->fn(c->arg);
		pthread_mutex_lock(&c->lock);
		c->done = told;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Signals are the loop's. */
static int start(struct chore *c)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int chore_new(void (*fn)(void *arg), void *arg, struct chore **ret)
{
	struct chore *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->fn = fn;
	c->arg = arg;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	err = start(c);
	if (err < 0) {
		free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void chore_free(struct chore *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void chore_kick(struct chore *c)
{
	pthread_mutex_lock(&c->lock);
	c->told++;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

bool chore_wait(struct chore *c)
{
	bool busy;

	pthread_mutex_lock(&c->lock);
	busy = c->told != c->done;
	while (c->told != c->done)
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return busy;
}
