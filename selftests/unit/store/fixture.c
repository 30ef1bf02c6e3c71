// SPDX-License-Identifier: Apache-2.0
#include "selftests/unit/store/fixture.h"

#include <errno.h>

#include "lib/http/http.h"

#define WAIT_MS 30000

struct event_base *base;

static void on_time(evutil_socket_t fd, short what, void *arg)
{
	*(int *)arg = 1;
}

void wait_for(const int *flag, int value)
{
	struct timeval tv = { .tv_sec = WAIT_MS / 1000 };
	int late = 0;
	struct event *ev = evtimer_new(base, on_time, &late);

	event_add(ev, &tv);
	while (*flag < value && !late)
		event_base_loop(base, EVLOOP_ONCE);
	event_free(ev);
	if (*flag < value)
		fail_msg("waited %d ms for %d, have %d", WAIT_MS, value, *flag);
}

void turn_for(unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int late = 0;
	struct event *ev = evtimer_new(base, on_time, &late);

	event_add(ev, &tv);
	wait_for(&late, 1);
	event_free(ev);
}

struct store *connect_with(const struct store_config *cfg)
{
	struct store *s = NULL;
	struct err e = {};

	if (store_new(base, cfg, &s, &e) < 0)
		fail_msg("%s", e.msg);
	return s;
}

struct store *connect_to(const char *url)
{
	const char *urls[] = { url, NULL };

	return connect_with(&(struct store_config){ .endpoints = urls });
}

static void copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from ? from : "");
}

void on_range(const struct store_range_result *res, void *arg)
{
	struct answer *a = arg;

	a->done++;
	a->err = res->err;
	copy(a->error, sizeof(a->error), res->error);
	a->revision = res->revision;
	a->cluster_id = res->cluster_id;
	a->n = res->n;
	a->sorted = true;
	for (size_t i = 1; i < res->n; i++)
		a->sorted &= strcmp(res->kvs[i - 1].key, res->kvs[i].key) < 0;
	if (res->n) {
		copy(a->first_key, sizeof(a->first_key), res->kvs[0].key);
		copy(a->last_key, sizeof(a->last_key), res->kvs[res->n - 1].key);
		copy(a->first_value, sizeof(a->first_value), res->kvs[0].value);
		a->first_value_len = res->kvs[0].value_len;
	}
}

void on_txn(const struct store_txn_result *res, void *arg)
{
	struct answer *a = arg;

	a->done++;
	a->err = res->err;
	copy(a->error, sizeof(a->error), res->error);
	a->succeeded = res->succeeded;
	a->revision = res->revision;
	a->n = res->n;
	if (res->n) {
		copy(a->first_key, sizeof(a->first_key), res->kvs[0].key);
		copy(a->first_value, sizeof(a->first_value), res->kvs[0].value);
	}
}

struct answer get(struct store *s, const char *key, bool prefix)
{
	struct answer a = {};

	assert_int_equal(store_range(s, key, prefix, on_range, &a, NULL), 0);
	wait_for(&a.done, 1);
	return a;
}

struct answer txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
		  const struct store_write *writes, size_t n_writes)
{
	struct answer a = {};

	assert_int_equal(store_txn(s, cmps, n_cmps, writes, n_writes, on_txn, &a, NULL), 0);
	wait_for(&a.done, 1);
	return a;
}

struct answer put(struct store *s, const char *key, const char *value)
{
	struct store_write w = { .kind = STORE_PUT, .key = key, .value = value };

	return txn(s, NULL, 0, &w, 1);
}

struct answer del(struct store *s, const char *key, bool prefix)
{
	struct store_write w = { .kind = prefix ? STORE_DELETE_PREFIX : STORE_DELETE, .key = key };

	return txn(s, NULL, 0, &w, 1);
}

struct posted {
	int done;
	long status;
};

static void on_posted(struct http_call *call, const struct http_response *res, void *arg)
{
	struct posted *p = arg;

	p->done = 1;
	p->status = res->status;
	if (res->status != 200)
		print_error("%s%s\n", res->error, res->body);
}

void gateway(const char *url, const char *path, const char *body)
{
	static const struct http_ops ops = { .on_done = on_posted };
	struct http_client *c;
	struct http_call *call;
	struct posted p = {};
	char full[256];
	struct http_request req = {
		.method = "POST",
		.url = full,
		.body = body,
		.body_len = strlen(body),
	};

	snprintf(full, sizeof(full), "%s%s", url, path);
	assert_int_equal(http_client_new(base, &c), 0);
	assert_int_equal(http_call_new(c, &req, &ops, &p, &call, NULL), 0);
	wait_for(&p.done, 1);
	http_client_free(c);
	assert_int_equal(p.status, 200);
}

void compact(const char *url, int64_t revision)
{
	char body[64];

	snprintf(body, sizeof(body), "{\"revision\":\"%lld\",\"physical\":true}",
		 (long long)revision);
	gateway(url, "/v3/kv/compaction", body);
}

static void maybe_free(struct followed *r)
{
	if (r->free_in_callback)
		store_follow_free(r->f);
	if (r->free_store)
		store_free(TAKE_PTR(r->free_store));
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	struct followed *r = arg;

	r->syncs++;
	r->sync_n = all->n;
	r->sync_revision = r->last_revision = all->revision;
	maybe_free(r);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct followed *r = arg;

	r->in_order &= revision > r->last_revision;
	r->last_revision = revision;
	r->changes++;
	r->events += n;
	for (size_t i = 0; i < n; i++) {
		r->in_order &= events[i].mod_revision == revision;
		r->deletions += !events[i].value;
	}
	copy(r->last_key, sizeof(r->last_key), events[n - 1].key);
	copy(r->last_value, sizeof(r->last_value), events[n - 1].value);
	maybe_free(r);
}

static void on_break(int err, const char *error, void *arg)
{
	struct followed *r = arg;

	r->breaks++;
	r->break_err = err;
	maybe_free(r);
}

const struct store_follow_ops follow_recorder = {
	.on_sync = on_sync,
	.on_change = on_change,
	.on_break = on_break,
};

void follow(struct store *s, const char *prefix, struct followed *ret)
{
	*ret = (struct followed){ .in_order = true };
	assert_int_equal(store_follow_new(s, prefix, &follow_recorder, ret, &ret->f), 0);
	wait_for(&ret->syncs, 1);
}
