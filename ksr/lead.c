// SPDX-License-Identifier: Apache-2.0
#include "ksr/lead.h"

#include <errno.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/lock.h"
#include "lib/kube/elect.h"

#define RETRY_MS 1000

enum state {
	OUT,
	TAKING, /* elected, the fence is not ours yet */
	IN,
};

struct lead {
	const struct lead_ops *ops;
	void *arg;
	enum state state;
	bool elected;
	bool lost_data; /* IN before, and the fence must be made anew */
	struct kube_elect *lease;
	struct lock *lock;
	struct fence *fence;
	struct store_follow *follow;
	struct event *retry;
	char holder[256];
	int64_t epoch;
};

static void take(struct lead *l);

static void retry_soon(struct lead *l)
{
	struct timeval tv = { .tv_sec = RETRY_MS / 1000 };

	event_add(l->retry, &tv);
}

static void stop(struct lead *l, const char *why)
{
	bool led = l->state == IN || l->lost_data;

	l->state = OUT;
	l->lost_data = false;
	event_del(l->retry);
	fence_cancel(l->fence);
	if (led)
		l->ops->on_stop(why, l->arg);
}

/* ---- the fence ---- */

static void on_fence(const struct fence_value *value, const struct err *e, void *arg)
{
	struct lead *l = arg;

	if (l->state != TAKING)
		return;
	if (e->code) {
		l->ops->on_trouble(e->msg, l->arg);
		retry_soon(l);
		return;
	}
	l->state = IN;
	l->lost_data = false;
	fence_parse(value->text, l->holder, &l->epoch);
	l->ops->on_lead(value, l->arg);
}

static void take(struct lead *l)
{
	l->state = TAKING;
	fence_take(l->fence, on_fence, l);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct lead *l = arg;

	if (l->elected && l->state != IN)
		take(l);
}

static void yield(struct lead *l)
{
	l->elected = false;
	if (l->lease)
		kube_elect_yield(l->lease);
	if (l->lock)
		lock_yield(l->lock);
}

static void retake(struct lead *l)
{
	l->lost_data = true;
	take(l);
}

void lead_fenced(struct lead *l, const char *text)
{
	if (l->state != IN)
		return;
	if (!text) {
		retake(l);
		return;
	}
	/* Ours already: a write that crossed the taking of a new fence. */
	if (strcmp(text, fence_get(l->fence)->text) == 0) {
		l->ops->on_lead(fence_get(l->fence), l->arg);
		return;
	}
	yield(l);
	stop(l, "another process has taken " KEY_KSR_LEADER);
}

/* ---- what etcd says ---- */

static void elected_without_election(struct lead *l)
{
	if (l->lease || l->lock || l->elected)
		return;
	l->elected = true;
	take(l);
}

static void note(struct lead *l, const struct store_kv *kv)
{
	const struct fence_value *mine = fence_get(l->fence);

	fence_parse(kv ? kv->value : NULL, l->holder, &l->epoch);
	if (!kv) {
		if (l->state == IN)
			retake(l);
		else
			elected_without_election(l);
		return;
	}
	/* Older news than our own write say nothing. */
	if (l->state == IN && kv->mod_revision > mine->revision)
		lead_fenced(l, kv->value);
}

/* What is absent, by this revision, is not what we have written since. */
static bool is_gone(const struct lead *l, int64_t revision)
{
	return l->state != IN || revision > fence_get(l->fence)->revision;
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	struct lead *l = arg;

	if (all->n || is_gone(l, all->revision))
		note(l, all->n ? &all->kvs[0] : NULL);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	const struct store_kv *last = &events[n - 1];
	struct lead *l = arg;

	if (last->value || is_gone(l, revision))
		note(l, last->value ? last : NULL);
}

static const struct store_follow_ops follow_ops = { .on_sync = on_sync, .on_change = on_change };

/* ---- elections ---- */

static void on_elected(void *arg)
{
	struct lead *l = arg;

	l->elected = true;
	take(l);
}

static void on_lost(const char *why, void *arg)
{
	struct lead *l = arg;

	l->elected = false;
	stop(l, why);
}

static void on_lease_trouble(const struct err *e, void *arg)
{
	struct lead *l = arg;
	struct err mine = *e;

	err_prefix(&mine, "the election's Lease");
	l->ops->on_trouble(mine.msg, l->arg);
}

static void on_lock_trouble(const char *error, void *arg)
{
	struct lead *l = arg;

	l->ops->on_trouble(error, l->arg);
}

static const struct kube_elect_ops lease_ops = {
	.on_lead = on_elected,
	.on_lost = on_lost,
	.on_trouble = on_lease_trouble,
};
static const struct lock_ops lock_ops = {
	.on_lead = on_elected,
	.on_lost = on_lost,
	.on_trouble = on_lock_trouble,
};

static int start_election(struct lead *l, struct event_base *base, struct store *s,
			  const struct lead_config *cfg)
{
	struct kube_elect_config elect = {
		.name_space = cfg->name_space,
		.name = cfg->name,
		.identity = cfg->identity,
	};

	if (!cfg->enabled) {
		elected_without_election(l);
		return 0;
	}
	if (cfg->kube)
		return kube_elect_new(base, cfg->kube, &elect, &lease_ops, l, &l->lease);
	return lock_new(base, s, cfg->identity, &lock_ops, l, &l->lock);
}

/* ---- life ---- */

void lead_free(struct lead *l)
{
	if (!l)
		return;
	kube_elect_free(l->lease);
	lock_free(l->lock);
	fence_free(l->fence);
	store_follow_free(l->follow);
	if (l->retry)
		event_free(l->retry);
	free(l);
}

int lead_new(struct event_base *base, struct store *s, const struct lead_config *cfg,
	     const struct lead_ops *ops, void *arg, struct lead **ret)
{
	struct lead *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->ops = ops;
	l->arg = arg;
	l->retry = evtimer_new(base, on_retry, l);
	err = l->retry ? fence_new(s, cfg->identity, &l->fence) : -ENOMEM;
	err = err ?: start_election(l, base, s, cfg);
	err = err ?: store_follow_new(s, KEY_KSR_LEADER, &follow_ops, l, &l->follow);
	if (err < 0) {
		lead_free(l);
		return err;
	}
	*ret = l;
	return 0;
}

void lead_release(struct lead *l, void (*done)(void *arg), void *arg)
{
	l->state = OUT;
	event_del(l->retry);
	fence_cancel(l->fence);
	store_follow_free(TAKE_PTR(l->follow));
	if (l->lease)
		kube_elect_release(l->lease, done, arg);
	else if (l->lock)
		lock_release(l->lock, done, arg);
	else
		done(arg);
}

bool lead_in_touch(const struct lead *l)
{
	return !l->lease || kube_elect_in_touch(l->lease);
}

uint64_t lead_heard_ms(const struct lead *l)
{
	return l->lease ? kube_elect_heard_ms(l->lease) : 0;
}

bool lead_leads(const struct lead *l)
{
	return l->state == IN;
}

const char *lead_holder(const struct lead *l)
{
	return l->holder;
}

int64_t lead_epoch(const struct lead *l)
{
	return l->epoch;
}
