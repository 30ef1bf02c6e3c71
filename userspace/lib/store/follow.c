// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "lib/store/follow_int.h"

/* ---- life ---- */

bool follow_alive(const struct store_follow *f)
{
	return !f->dead && f->store;
}

static void stop_all(struct store_follow *f)
{
	event_del(f->timer);
	if (f->list)
		store_op_cancel(TAKE_PTR(f->list));
	request_stop(&f->ask);
	stream_stop(f);
}

static void destroy(struct store_follow *f)
{
	if (f->timer)
		event_free(f->timer);
	kv_list_clear(&f->pending);
	line_buf_clear(&f->lines);
	free(f->watch_body);
	free(f->anchor.key);
	free(f->prefix);
	free(f);
}

void follow_enter(struct store_follow *f)
{
	f->busy++;
}

void follow_leave(struct store_follow *f)
{
	if (--f->busy == 0 && f->dead)
		destroy(f);
}

void follow_orphan(struct store_follow *f)
{
	stop_all(f);
	kv_list_unbudget(&f->pending);
	DL_DELETE(f->store->follows, f);
	f->store = NULL;
}

void store_follow_free(struct store_follow *f)
{
	if (!f || f->dead)
		return;
	if (f->store)
		follow_orphan(f);
	f->dead = true;
	if (!f->busy)
		destroy(f);
}

/* ---- the anchor ---- */

static void anchor_set(struct anchor *a, const struct store_kv *kv)
{
	free(a->key);
	a->key = kv ? malloc(kv->key_len) : NULL;
	if (!a->key)
		return;
	memcpy(a->key, kv->key, kv->key_len);
	a->key_len = kv->key_len;
	a->mod_revision = kv->mod_revision;
	a->value_hash = store_value_hash(kv);
}

static bool anchor_is(const struct anchor *a, const struct store_kv *kv)
{
	return a->key && a->key_len == kv->key_len && !memcmp(a->key, kv->key, kv->key_len);
}

static void anchor_from_list(struct anchor *a, const struct store_range_result *all)
{
	const struct store_kv *newest = NULL;

	for (size_t i = 0; i < all->n; i++) {
		if (!newest || all->kvs[i].mod_revision > newest->mod_revision)
			newest = &all->kvs[i];
	}
	anchor_set(a, newest);
}

static void anchor_from_events(struct anchor *a, const struct store_kv *events, size_t n)
{
	const struct store_kv *put = NULL;

	for (size_t i = 0; i < n; i++) {
		if (events[i].value)
			put = &events[i];
		else if (anchor_is(a, &events[i]))
			anchor_set(a, NULL);
	}
	if (put)
		anchor_set(a, put);
}

/* ---- telling ---- */

static size_t first_group(const struct kv_list *l)
{
	size_t n = 1;

	while (n < l->n && l->v[n].mod_revision == l->v[0].mod_revision)
		n++;
	return n;
}

bool follow_deliver(struct store_follow *f, bool whole)
{
	struct kv_list *l = &f->pending;

	while (l->n) {
		size_t n = first_group(l);
		int64_t revision = l->v[0].mod_revision;

		if (n == l->n && !whole)
			break;
		/* A stream that was resumed may repeat. */
		if (revision > f->at.revision) {
			f->at.revision = revision;
			f->breaks = 0;
			anchor_from_events(&f->anchor, l->v, n);
			f->ops->on_change(l->v, n, revision, f->arg);
			if (!follow_alive(f))
				return false;
		}
		kv_list_shift(l, n);
	}
	return true;
}

static void wait_and_go_on(struct store_follow *f)
{
	f->state = FOLLOW_WAITING;
	store_timer_add(f->timer, store_backoff_ms(f->breaks));
	f->breaks++;
}

void follow_broken(struct store_follow *f, const struct err *err)
{
	bool told = f->told_broken;

	stream_stop(f);
	request_stop(&f->ask);
	f->asking = f->probing = false;
	kv_list_clear(&f->pending);
	if (err->code == -ESTALE || err->code == -EPROTO || err->code == -E2BIG)
		f->at.revision = 0;
	f->told_broken = true;
	wait_and_go_on(f);
	if (!told && f->ops->on_break)
		f->ops->on_break(err->code, err->msg, f->arg);
}

/* ---- listing ---- */

static void on_list(const struct store_range_result *res, void *arg)
{
	struct store_follow *f = arg;
	struct err e = {};

	f->list = NULL;
	follow_enter(f);
	if (res->err) {
		err_set(&e, res->err, "%s", res->error);
		follow_broken(f, &e);
		follow_leave(f);
		return;
	}
	f->at.revision = res->revision;
	f->at.cluster_id = res->cluster_id;
	anchor_from_list(&f->anchor, res);
	f->ops->on_sync(res, f->arg);
	if (follow_alive(f) && stream_start(f) < 0)
		wait_and_go_on(f);
	follow_leave(f);
}

static int list(struct store_follow *f)
{
	f->state = FOLLOW_LISTING;
	return store_range(f->store, f->prefix, true, on_list, f, &f->list);
}

static void go_on(struct store_follow *f)
{
	/* Without an anchor nobody could tell whether this is still the same history. */
	int err = f->at.revision && f->anchor.key ? stream_start(f) : list(f);

	if (err < 0)
		wait_and_go_on(f);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct store_follow *f = arg;

	follow_enter(f);
	if (f->state == FOLLOW_WAITING)
		go_on(f);
	else if (f->state == FOLLOW_WATCHING)
		stream_silence(f);
	follow_leave(f);
}

int store_follow_new(struct store *s, const char *prefix, const struct store_follow_ops *ops,
		     void *arg, struct store_follow **ret)
{
	struct store_follow *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->store = s;
	f->ops = ops;
	f->arg = arg;
	f->pending.budget = &s->budget;
	f->prefix = strdup(prefix);
	f->timer = evtimer_new(s->base, on_timer, f);
	err = f->prefix && f->timer ? list(f) : -ENOMEM;
	if (err < 0) {
		destroy(f);
		return err;
	}
	DL_APPEND(s->follows, f);
	*ret = f;
	return 0;
}
