// SPDX-License-Identifier: Apache-2.0
#include "ksr/alive.h"

#include <errno.h>
#include <stdlib.h>

#include "api/etcd_keys.h"

#define TTL_S	15
#define RETRY_S 2

struct alive {
	struct store *store;
	struct store_lease *lease;
	struct store_op *op;
	struct event *retry;
	int64_t lease_id; /* 0: there is none */
	struct fence_value fence;
};

static void retry_soon(struct alive *a)
{
	const struct timeval tv = { .tv_sec = RETRY_S };

	event_add(a->retry, &tv);
}

static void on_said(const struct store_txn_result *res, void *arg)
{
	struct alive *a = arg;

	a->op = NULL;
	/* Another's fence: who leads is about to change. */
	if (res->err)
		retry_soon(a);
}

static void say(struct alive *a)
{
	const struct store_cmp cmp = {
		.kind = STORE_CMP_VALUE,
		.key = KEY_KSR_LEADER,
		.value = a->fence.text,
	};
	const struct store_write put = {
		.kind = STORE_PUT,
		.key = KEY_KSR_ALIVE,
		.value = a->fence.text,
		.lease = a->lease_id,
	};

	store_op_cancel(TAKE_PTR(a->op));
	event_del(a->retry);
	if (!a->lease_id || !*a->fence.text)
		return;
	if (store_txn(a->store, &cmp, 1, &put, 1, on_said, a, &a->op) < 0)
		retry_soon(a);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	say(arg);
}

static void on_granted(int64_t id, void *arg)
{
	struct alive *a = arg;

	a->lease_id = id;
	say(a);
}

static void on_lost(void *arg)
{
	struct alive *a = arg;

	a->lease_id = 0;
}

static const struct store_lease_ops lease_ops = { .on_granted = on_granted, .on_lost = on_lost };

void alive_say(struct alive *a, const struct fence_value *fence)
{
	a->fence = *fence;
	say(a);
}

int alive_new(struct event_base *base, struct store *s, struct alive **ret)
{
	struct alive *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->store = s;
	a->retry = evtimer_new(base, on_retry, a);
	err = a->retry ? store_lease_new(s, TTL_S, &lease_ops, a, &a->lease) : -ENOMEM;
	if (err < 0) {
		alive_free(a);
		return err;
	}
	*ret = a;
	return 0;
}

void alive_free(struct alive *a)
{
	if (!a)
		return;
	store_op_cancel(a->op);
	store_lease_free(a->lease);
	if (a->retry)
		event_free(a->retry);
	free(a);
}
