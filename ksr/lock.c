// SPDX-License-Identifier: Apache-2.0
#include "ksr/lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/fence.h"
#include "lib/json/json.h"

#define TTL_S	 15
#define RETRY_MS 2000

struct lock {
	struct store *store;
	const struct lock_ops *ops;
	void *arg;
	char *value;
	char holder[256];
	struct store_lease *lease;
	struct store_follow *follow;
	struct store_op *op;
	struct event *retry;
	int64_t lease_id;
	bool known, vacant, leads, resting;
	void (*released)(void *arg);
	void *released_arg;
};

static void retry_in(struct lock *l, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(l->retry, &tv);
}

static void lost(struct lock *l, const char *why)
{
	if (!l->leads)
		return;
	l->leads = false;
	l->ops->on_lost(why, l->arg);
}

/* ---- taking ---- */

static void on_taken(const struct store_txn_result *res, void *arg)
{
	struct lock *l = arg;
	int64_t epoch;

	l->op = NULL;
	if (res->err) {
		/* It may have happened all the same: then the key stands under our lease. */
		l->ops->on_trouble(res->error, l->arg);
		retry_in(l, RETRY_MS);
		return;
	}
	if (!res->succeeded)
		return;
	/* The follow may tell of it only later. */
	fence_parse(l->value, l->holder, &epoch);
	l->vacant = false;
	l->leads = true;
	l->ops->on_lead(l->arg);
}

static void try_take(struct lock *l)
{
	struct store_cmp cmp = { .kind = STORE_CMP_ABSENT, .key = KEY_KSR_LOCK };
	struct store_write put = {
		.kind = STORE_PUT,
		.key = KEY_KSR_LOCK,
		.value = l->value,
		.lease = l->lease_id,
	};

	if (l->leads || l->resting || l->op || !l->lease_id || !l->known || !l->vacant)
		return;
	if (store_txn(l->store, &cmp, 1, &put, 1, on_taken, l, &l->op) < 0)
		retry_in(l, RETRY_MS);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct lock *l = arg;

	l->resting = false;
	try_take(l);
}

/* ---- what etcd says ---- */

static void note(struct lock *l, const struct store_kv *kv)
{
	int64_t epoch;

	l->known = true;
	l->vacant = !kv;
	fence_parse(kv ? kv->value : NULL, l->holder, &epoch);
	if (kv && l->lease_id && kv->lease == l->lease_id) {
		if (!l->leads && !l->resting && !l->op) {
			l->leads = true;
			l->ops->on_lead(l->arg);
		}
		return;
	}
	lost(l, kv ? "another replica holds " KEY_KSR_LOCK : KEY_KSR_LOCK " is gone");
	try_take(l);
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	note(arg, all->n ? &all->kvs[0] : NULL);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	const struct store_kv *last = &events[n - 1];

	note(arg, last->value ? last : NULL);
}

static const struct store_follow_ops follow_ops = { .on_sync = on_sync, .on_change = on_change };

static void on_granted(int64_t id, void *arg)
{
	struct lock *l = arg;

	l->lease_id = id;
	try_take(l);
}

static void on_lease_lost(void *arg)
{
	struct lock *l = arg;

	l->lease_id = 0;
	lost(l, "the lease could not be renewed in time");
}

static const struct store_lease_ops lease_ops = {
	.on_granted = on_granted,
	.on_lost = on_lease_lost,
};

/* ---- life ---- */

static int build_value(const char *identity, char **ret)
{
	_json_ *obj = json_object_new_object();
	const char *text;
	int err = obj ? json_add_str(obj, "holder", identity) : -ENOMEM;

	text = err ? NULL : json_text(obj);
	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : -ENOMEM;
}

void lock_free(struct lock *l)
{
	if (!l)
		return;
	store_op_cancel(l->op);
	store_follow_free(l->follow);
	store_lease_free(l->lease);
	if (l->retry)
		event_free(l->retry);
	free(l->value);
	free(l);
}

int lock_new(struct event_base *base, struct store *s, const char *identity,
	     const struct lock_ops *ops, void *arg, struct lock **ret)
{
	struct lock *l = calloc(1, sizeof(*l));
	int err = l ? build_value(identity, &l->value) : -ENOMEM;

	if (!err) {
		l->store = s;
		l->ops = ops;
		l->arg = arg;
		l->retry = evtimer_new(base, on_retry, l);
		err = l->retry ? 0 : -ENOMEM;
	}
	err = err ?: store_lease_new(s, TTL_S, &lease_ops, l, &l->lease);
	err = err ?: store_follow_new(s, KEY_KSR_LOCK, &follow_ops, l, &l->follow);
	if (err < 0) {
		lock_free(l);
		return err;
	}
	*ret = l;
	return 0;
}

static void on_released(const struct store_txn_result *res, void *arg)
{
	struct lock *l = arg;

	l->op = NULL;
	if (l->released)
		l->released(l->released_arg);
}

/* Only our own key goes. */
static int give_back(struct lock *l)
{
	struct store_cmp cmp = {
		.kind = STORE_CMP_LEASE,
		.key = KEY_KSR_LOCK,
		.number = l->lease_id,
	};
	struct store_write del = { .kind = STORE_DELETE, .key = KEY_KSR_LOCK };

	store_op_cancel(TAKE_PTR(l->op));
	return store_txn(l->store, &cmp, 1, &del, 1, on_released, l, &l->op);
}

void lock_release(struct lock *l, void (*done)(void *arg), void *arg)
{
	bool led = l->leads && l->lease_id;

	l->leads = false;
	l->resting = true;
	store_follow_free(TAKE_PTR(l->follow));
	event_del(l->retry);
	l->released = done;
	l->released_arg = arg;
	if (!led || give_back(l) < 0)
		done(arg);
}

void lock_yield(struct lock *l)
{
	bool led = l->leads && l->lease_id;

	l->leads = false;
	l->resting = true;
	retry_in(l, TTL_S * 1000);
	if (led)
		give_back(l);
}

const char *lock_holder(const struct lock *l)
{
	return l->holder;
}
