// SPDX-License-Identifier: Apache-2.0
#include "ksr/writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/json/json.h"

#define BATCH	    100u
#define BATCH_BYTES (1u << 20)
#define WAIT_MIN_MS 200u
#define WAIT_MAX_MS 5000u

struct writer {
	struct store *store;
	struct table *table;
	const struct writer_ops *ops;
	void *arg;
	struct store_follow *follow;
	struct store_op *op;
	struct event *kick; /* as soon as the loop turns, or when a wait is over */
	struct fence_value fence;
	bool started, may_write, read, waiting;
	unsigned int failures, batch_max;
	struct table_entry *batch[BATCH];
	size_t n_batch;
	/* acknowledgements: what was told to etcd last, and what is under way */
	uint64_t acked[KIND_COUNT], acking[KIND_COUNT];
	struct writer_stats stats;
};

static void kick_in(struct writer *w, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (w->started)
		event_add(w->kick, &tv);
}

void writer_kick(struct writer *w)
{
	if (!w->op && !w->waiting && w->may_write && w->read)
		kick_in(w, 0);
}

static void wait_and_retry(struct writer *w, const char *error)
{
	unsigned int ms = w->failures < 5 ? WAIT_MIN_MS << w->failures : WAIT_MAX_MS;

	w->failures++;
	w->stats.errors++;
	w->waiting = true;
	w->ops->on_trouble(error, w->arg);
	kick_in(w, MIN(ms, WAIT_MAX_MS));
}

/* ---- after a transaction ---- */

static const char *fence_found(const struct store_txn_result *res)
{
	for (size_t i = 0; i < res->n; i++) {
		if (strcmp(res->kvs[i].key, KEY_KSR_LEADER) == 0)
			return res->kvs[i].value;
	}
	return NULL;
}

static void batch_written(struct writer *w, int64_t revision)
{
	size_t n = w->n_batch;

	w->n_batch = 0;
	for (size_t i = 0; i < n; i++) {
		if (table_entry_value(w->batch[i]))
			w->stats.puts++;
		else
			w->stats.deletes++;
		table_written(w->table, w->batch[i], revision);
	}
}

static void batch_failed(struct writer *w, bool refused)
{
	size_t n = w->n_batch;

	w->n_batch = 0;
	for (size_t i = 0; i < n; i++)
		table_failed(w->table, w->batch[i], refused);
}

/* Too large for this etcd: find out which one. */
static void shrink(struct writer *w, const char *error)
{
	if (w->n_batch == 1) {
		w->ops->on_refused(table_entry_key(w->batch[0]), error, w->arg);
		batch_failed(w, true);
		w->batch_max = BATCH;
	} else {
		w->batch_max = MAX(w->n_batch / 2, 1);
		batch_failed(w, false);
	}
	kick_in(w, 0);
}

static bool check_done(struct writer *w, const struct store_txn_result *res)
{
	w->op = NULL;
	if (res->err == -E2BIG && w->n_batch) {
		shrink(w, res->error);
		return false;
	}
	if (res->err) {
		batch_failed(w, false);
		wait_and_retry(w, res->error);
		return false;
	}
	w->failures = 0;
	if (!res->succeeded) {
		batch_failed(w, false);
		w->may_write = false;
		w->ops->on_fenced(fence_found(res), w->arg);
		return false;
	}
	return true;
}

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct writer *w = arg;

	if (!check_done(w, res))
		return;
	batch_written(w, res->revision);
	kick_in(w, 0);
}

static void on_acked(const struct store_txn_result *res, void *arg)
{
	struct writer *w = arg;

	if (!check_done(w, res))
		return;
	for (enum kind k = 0; k < KIND_COUNT; k++) {
		if (w->acking[k] == w->acked[k])
			continue;
		w->acked[k] = w->acking[k];
		w->stats.synced_ms[k] = clock_ms();
		w->ops->on_synced(k, w->arg);
	}
	kick_in(w, 0);
}

/* ---- sending ---- */

static int send_fenced(struct writer *w, const struct store_write *writes, size_t n,
		       store_txn_fn fn)
{
	struct store_cmp cmp = {
		.kind = STORE_CMP_VALUE,
		.key = KEY_KSR_LEADER,
		.value = w->fence.text,
	};

	return store_txn(w->store, &cmp, 1, writes, n, fn, w, &w->op);
}

static bool send_batch(struct writer *w)
{
	struct store_write writes[BATCH];
	int err;

	w->n_batch = table_take(w->table, w->batch, w->batch_max, BATCH_BYTES);
	if (!w->n_batch)
		return false;
	for (size_t i = 0; i < w->n_batch; i++) {
		const char *value = table_entry_value(w->batch[i]);

		writes[i] = (struct store_write){
			.kind = value ? STORE_PUT : STORE_DELETE,
			.key = table_entry_key(w->batch[i]),
			.value = value,
		};
	}
	err = send_fenced(w, writes, w->n_batch, on_written);
	if (err < 0) {
		batch_failed(w, false);
		wait_and_retry(w, strerror(-err));
	}
	return true;
}

static int ack_text(const struct writer *w, enum kind kind, char **ret)
{
	_json_ *obj = json_object_new_object();
	const char *text;
	int err = obj ? 0 : -ENOMEM;

	err = err ?: json_add_int(obj, "epoch", w->fence.epoch);
	err = err ?: json_add_str(obj, "revision", table_revision(w->table, kind));
	err = err ?: json_add_int(obj, "count", table_count(w->table, kind));
	text = err ? NULL : json_text(obj);
	*ret = text ? strdup(text) : NULL;
	return *ret ? 0 : -ENOMEM;
}

static void send_acks(struct writer *w)
{
	struct store_write writes[KIND_COUNT];
	char keys[KIND_COUNT][64], *values[KIND_COUNT] = {};
	size_t n = 0;
	int err = 0;

	for (enum kind k = 0; k < KIND_COUNT && !err; k++) {
		w->acking[k] = w->acked[k];
		if (!table_in_step(w->table, k) || w->acked[k] == table_lists(w->table, k))
			continue;
		w->acking[k] = table_lists(w->table, k);
		snprintf(keys[n], sizeof(keys[n]), KEY_KSR_SYNCED "%s", kinds[k].name);
		err = ack_text(w, k, &values[n]);
		writes[n] = (struct store_write){ .kind = STORE_PUT,
						  .key = keys[n],
						  .value = values[n] };
		n++;
	}
	if (!err && n)
		err = send_fenced(w, writes, n, on_acked);
	if (err < 0)
		wait_and_retry(w, strerror(-err));
	while (n--)
		free(values[n]);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
	struct writer *w = arg;

	w->waiting = false;
	if (w->op || !w->may_write || !w->read)
		return;
	if (!send_batch(w))
		send_acks(w);
}

/* ---- what etcd has ---- */

static void note(struct writer *w, const struct store_kv *kvs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (table_etcd(w->table, kvs[i].key, kvs[i].value, kvs[i].mod_revision) < 0)
			w->ops->on_trouble("out of memory", w->arg);
	}
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	struct writer *w = arg;

	table_etcd_begin(w->table);
	note(w, all->kvs, all->n);
	table_etcd_end(w->table);
	w->read = true;
	w->stats.etcd_syncs++;
	/* The acknowledgements may be lost with the rest. */
	memset(w->acked, 0, sizeof(w->acked));
	writer_kick(w);
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct writer *w = arg;

	note(w, events, n);
	writer_kick(w);
}

static void on_break(int err, const char *error, void *arg)
{
	struct writer *w = arg;

	w->ops->on_trouble(error, w->arg);
}

static const struct store_follow_ops follow_ops = {
	.on_sync = on_sync,
	.on_change = on_change,
	.on_break = on_break,
};

/* ---- life ---- */

int writer_new(struct event_base *base, struct store *s, struct table *t,
	       const struct writer_ops *ops, void *arg, struct writer **ret)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->store = s;
	w->table = t;
	w->ops = ops;
	w->arg = arg;
	w->batch_max = BATCH;
	w->kick = evtimer_new(base, on_kick, w);
	if (!w->kick) {
		free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

int writer_fence(struct writer *w, const struct fence_value *fence)
{
	int err;

	w->fence = *fence;
	w->may_write = true;
	w->started = true;
	/* Acknowledgements carry the epoch. */
	memset(w->acked, 0, sizeof(w->acked));
	if (!w->follow) {
		err = store_follow_new(w->store, KEY_K8S, &follow_ops, w, &w->follow);
		if (err < 0)
			return err;
	}
	writer_kick(w);
	return 0;
}

void writer_stop(struct writer *w)
{
	store_op_cancel(TAKE_PTR(w->op));
	store_follow_free(TAKE_PTR(w->follow));
	event_del(w->kick);
	batch_failed(w, false);
	w->started = w->may_write = w->read = w->waiting = false;
	w->failures = 0;
	w->batch_max = BATCH;
	memset(w->acked, 0, sizeof(w->acked));
	memset(w->stats.synced_ms, 0, sizeof(w->stats.synced_ms));
}

void writer_free(struct writer *w)
{
	if (!w)
		return;
	writer_stop(w);
	event_free(w->kick);
	free(w);
}

bool writer_in_step(const struct writer *w, enum kind kind)
{
	return w->read && table_in_step(w->table, kind) &&
	       w->acked[kind] == table_lists(w->table, kind);
}

const struct writer_stats *writer_stats(const struct writer *w)
{
	return &w->stats;
}
