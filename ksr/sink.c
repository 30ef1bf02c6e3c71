// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "sink"
#include "ksr/sink.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "ksr/filter.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

#define BATCH		 1000u
#define BATCH_BYTES	 (8u << 20)
#define RETRY_MIN_MS	 500u
#define RETRY_MAX_MS	 30000u
#define COMPARE_EVERY_MS 600000u

struct pending {
	struct table_entry *entry;
	uint64_t version;
};

struct sink {
	struct store *store;
	struct table *table;
	const struct sink_ops *ops;
	void *arg;
	char *identity, *holder;
	struct event *step, *retry, *compare_again;
	struct store_follow *follow;
	struct store_op *op;
	bool lead, known; /* known: the leader key was read */
	bool claimed, compared;
	int64_t leader_revision; /* of the leader key as last seen; 0: absent */
	int64_t fence;		 /* its revision as our claim left it */
	int64_t epoch, claiming;
	unsigned int failures;
	struct pending batch[BATCH];
	size_t n_batch;
	bool marks[N_RESOURCES]; /* in the batch */
	struct sink_stats stats;
};

static void wake(struct sink *s)
{
	event_active(s->step, EV_TIMEOUT, 0);
}

static void after_ms(struct event *ev, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(ev, &tv);
}

/* What was written is in doubt: compare before writing more. */
static void failed(struct sink *s, const char *what, int err, const char *why)
{
	unsigned int ms = MIN(RETRY_MIN_MS << MIN(s->failures, 6u), RETRY_MAX_MS);

	if (!s->failures)
		log_warn("%s failed, and is tried until it works: %s", what, why);
	else
		log_debug("%s failed: %s (%d)", what, why, err);
	s->failures++;
	s->stats.failures++;
	s->compared = false;
	after_ms(s->retry, ms);
}

static void worked(struct sink *s)
{
	if (s->failures)
		log_info("etcd takes writes again after %u failures", s->failures);
	s->failures = 0;
}

/* ---- the leader key ---- */

static void see_leader(struct sink *s, const char *value, size_t len, int64_t revision)
{
	_json_ *obj = NULL;
	const char *holder = "";
	int64_t epoch = 0;
	char *copy;

	if (value && json_parse(value, len, &obj, NULL) == 0) {
		json_opt_str(obj, "holder", &holder, NULL);
		json_opt_int(obj, "epoch", 0, INT64_MAX - 1, &epoch, NULL);
	}
	copy = strdup(holder);
	if (copy) {
		free(s->holder);
		s->holder = copy;
	}
	/* Lost data begin anew, but an epoch that was used is not used again while we live. */
	s->epoch = MAX(s->epoch, epoch);
	s->leader_revision = value ? revision : 0;
}

/* The key is not as our claim left it: gone with etcd's data, or somebody else's. */
static void lose_claim(struct sink *s)
{
	if (!s->claimed)
		return;
	s->claimed = s->compared = false;
	if (!s->leader_revision || strcmp(s->holder, s->identity) == 0) {
		log_warn("etcd has lost this replica's claim; claiming again");
		wake(s);
		return;
	}
	s->lead = false;
	log_warn("'%s' has taken over writing (epoch %lld)", s->holder, (long long)s->epoch);
	s->ops->on_fenced(s->holder, s->arg);
}

static void on_leader_sync(const struct store_range_result *all, void *arg)
{
	struct sink *s = arg;
	const struct store_kv *kv = NULL;

	for (size_t i = 0; i < all->n; i++) {
		if (strcmp(all->kvs[i].key, KEY_KSR_LEADER) == 0)
			kv = &all->kvs[i];
	}
	see_leader(s, kv ? kv->value : NULL, kv ? kv->value_len : 0, kv ? kv->mod_revision : 0);
	s->compared = false;
	s->known = true;
	if (s->claimed && s->leader_revision != s->fence)
		lose_claim(s);
	wake(s);
}

static void on_leader_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct sink *s = arg;

	for (size_t i = 0; i < n; i++) {
		const struct store_kv *kv = &events[i];

		/* Our own claim's echo, and what came before it. */
		if (strcmp(kv->key, KEY_KSR_LEADER) != 0 || (s->claimed && revision <= s->fence))
			continue;
		see_leader(s, kv->value, kv->value_len, kv->mod_revision);
		lose_claim(s);
	}
}

static const struct store_follow_ops follow_ops = { .on_sync = on_leader_sync,
						    .on_change = on_leader_change };

static void on_claimed(const struct store_txn_result *res, void *arg)
{
	struct sink *s = arg;

	s->op = NULL;
	if (res->err) {
		failed(s, "claiming leadership in etcd", res->err, res->error);
		return;
	}
	if (!res->succeeded) {
		see_leader(s, res->n ? res->kvs[0].value : NULL, res->n ? res->kvs[0].value_len : 0,
			   res->n ? res->kvs[0].mod_revision : 0);
		wake(s);
		return;
	}
	worked(s);
	s->claimed = true;
	s->compared = false;
	s->fence = s->leader_revision = res->revision;
	s->epoch = s->claiming;
	free(s->holder);
	s->holder = strdup(s->identity);
	s->stats.claims++;
	log_info("reflecting as '%s', epoch %lld", s->identity, (long long)s->epoch);
	wake(s);
}

static int leader_value(const struct sink *s, int64_t epoch, struct json_object **ret)
{
	_json_ *o = json_object_new_object();

	if (!o || json_add_str(o, "holder", s->identity) < 0 || json_add_int(o, "epoch", epoch) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(o);
	return 0;
}

static int claim(struct sink *s)
{
	struct store_cmp cmp = {
		.kind = s->leader_revision ? STORE_CMP_MOD_REVISION : STORE_CMP_ABSENT,
		.key = KEY_KSR_LEADER,
		.number = s->leader_revision,
	};
	struct store_write write = { .kind = STORE_PUT, .key = KEY_KSR_LEADER };
	_json_ *value = NULL;

	s->claiming = s->epoch + 1;
	if (leader_value(s, s->claiming, &value) < 0 || !(write.value = json_text(value)))
		return -ENOMEM;
	return store_txn(s->store, &cmp, 1, &write, 1, on_claimed, s, &s->op);
}

/* ---- comparing ---- */

static void on_range(const struct store_range_result *res, void *arg)
{
	struct sink *s = arg;
	int err = 0;

	s->op = NULL;
	if (res->err) {
		failed(s, "reading what etcd holds", res->err, res->error);
		return;
	}
	table_compare_begin(s->table);
	for (size_t i = 0; i < res->n && !err; i++)
		err = table_compare(s->table, res->kvs[i].key, res->kvs[i].value);
	if (err < 0) {
		failed(s, "comparing with etcd", err, strerror(-err));
		return;
	}
	table_compare_end(s->table);
	worked(s);
	s->compared = true;
	s->stats.compares++;
	log_debug("etcd holds %zu objects at revision %lld, %zu to write", res->n,
		  (long long)res->revision, table_n_dirty(s->table));
	after_ms(s->compare_again, COMPARE_EVERY_MS);
	wake(s);
}

/* ---- writing ---- */

static void settle(struct sink *s)
{
	for (size_t i = 0; i < s->n_batch; i++) {
		struct table_entry *e = s->batch[i].entry;

		if (e->value)
			s->stats.puts++;
		else
			s->stats.deletes++;
		table_settle(s->table, e, s->batch[i].version);
	}
	for (unsigned int res = 0; res < N_RESOURCES; res++) {
		struct table_state *st = table_state(s->table, res);

		if (!s->marks[res])
			continue;
		st->unmarked = false;
		log_info("%s: %zu objects reflected", resource_get(res)->word, st->count);
	}
}

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct sink *s = arg;

	s->op = NULL;
	if (res->err) {
		failed(s, "writing to etcd", res->err, res->error);
		return;
	}
	if (!res->succeeded) {
		see_leader(s, res->n ? res->kvs[0].value : NULL, res->n ? res->kvs[0].value_len : 0,
			   res->n ? res->kvs[0].mod_revision : 0);
		lose_claim(s);
		wake(s);
		return;
	}
	worked(s);
	settle(s);
	wake(s);
}

static int mark_value(const struct sink *s, const struct table_state *st, struct json_object **ret)
{
	_json_ *o = json_object_new_object();

	if (!o || json_add_int(o, "epoch", s->epoch) < 0 ||
	    json_add_str(o, "revision", st->revision ?: "") < 0 ||
	    json_add_int(o, "count", st->count) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(o);
	return 0;
}

struct batch {
	struct store_write w[BATCH + N_RESOURCES];
	char keys[N_RESOURCES][64];
	struct json_object *marks[N_RESOURCES];
	size_t n;
};

static void batch_free(struct batch *b)
{
	for (size_t i = 0; b && i < N_RESOURCES; i++)
		json_object_put(b->marks[i]);
	free(b);
}
DEFINE_FREEP(struct batch, batch_free)

static void add_objects(struct sink *s, struct batch *b)
{
	size_t bytes = 0;

	s->n_batch = 0;
	for (struct table_entry *e = table_dirty(s->table, NULL);
	     e && s->n_batch < BATCH && bytes < BATCH_BYTES; e = table_dirty(s->table, e)) {
		s->batch[s->n_batch++] = (struct pending){ e, e->version };
		b->w[b->n++] = (struct store_write){
			.kind = e->value ? STORE_PUT : STORE_DELETE,
			.key = e->key,
			.value = e->value,
		};
		bytes += e->value ? strlen(e->value) : 0;
	}
}

/* Marks go alone: in one call with the objects, a mark could be written and an object not, when
 * the call is split. */
static int add_marks(struct sink *s, struct batch *b)
{
	for (unsigned int res = 0; res < N_RESOURCES; res++) {
		const struct table_state *st = table_state(s->table, res);

		s->marks[res] = st->synced && st->unmarked && !st->dirty;
		if (!s->marks[res])
			continue;
		if (mark_value(s, st, &b->marks[res]) < 0)
			return -ENOMEM;
		snprintf(b->keys[res], sizeof(b->keys[res]), KEY_KSR_SYNCED "%s",
			 resource_get(res)->word);
		b->w[b->n++] = (struct store_write){
			.kind = STORE_PUT,
			.key = b->keys[res],
			.value = json_text(b->marks[res]),
		};
	}
	return 0;
}

static int write_some(struct sink *s)
{
	struct store_cmp fence = {
		.kind = STORE_CMP_MOD_REVISION,
		.key = KEY_KSR_LEADER,
		.number = s->fence,
	};
	_cleanup_(batch_freep) struct batch *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	s->n_batch = 0;
	memset(s->marks, 0, sizeof(s->marks));
	if (add_marks(s, b) < 0)
		return -ENOMEM;
	if (!b->n)
		add_objects(s, b);
	if (!b->n)
		return 0;
	return store_txn(s->store, &fence, 1, b->w, b->n, on_written, s, &s->op);
}

/* ---- what next ---- */

static void on_step(evutil_socket_t fd, short what, void *arg)
{
	struct sink *s = arg;
	int err;

	if (s->op || !s->lead || !s->known || evtimer_pending(s->retry, NULL))
		return;
	if (!s->claimed)
		err = claim(s);
	else if (!s->compared)
		err = store_range(s->store, KEY_K8S, true, on_range, s, &s->op);
	else
		err = write_some(s);
	if (err < 0)
		failed(s, "a request to etcd", err, strerror(-err));
}

static void on_compare_again(evutil_socket_t fd, short what, void *arg)
{
	struct sink *s = arg;

	s->compared = false;
	wake(s);
}

static void on_work(void *arg)
{
	wake(arg);
}

void sink_lead(struct sink *s, bool lead)
{
	if (s->lead == lead)
		return;
	s->lead = lead;
	s->claimed = s->compared = false;
	event_del(s->compare_again);
	wake(s);
}

struct sink_stats sink_stats(const struct sink *s)
{
	struct sink_stats st = s->stats;

	st.epoch = s->epoch;
	st.holder = s->holder ?: "";
	st.claimed = s->claimed;
	st.in_step = s->claimed && s->compared && !table_n_dirty(s->table);
	return st;
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	table_on_work(s->table, NULL, NULL);
	if (s->op)
		store_op_cancel(s->op);
	store_follow_free(s->follow);
	if (s->step)
		event_free(s->step);
	if (s->retry)
		event_free(s->retry);
	if (s->compare_again)
		event_free(s->compare_again);
	free(s->identity);
	free(s->holder);
	free(s);
}
DEFINE_FREEP(struct sink, sink_free)

int sink_new(struct event_base *base, struct store *store, struct table *table,
	     const char *identity, const struct sink_ops *ops, void *arg, struct sink **ret)
{
	_cleanup_(sink_freep) struct sink *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->table = table;
	s->ops = ops;
	s->arg = arg;
	s->identity = strdup(identity);
	s->holder = strdup("");
	s->step = evtimer_new(base, on_step, s);
	s->retry = evtimer_new(base, on_step, s);
	s->compare_again = evtimer_new(base, on_compare_again, s);
	if (!s->identity || !s->holder || !s->step || !s->retry || !s->compare_again)
		return -ENOMEM;
	err = store_follow_new(store, KEY_KSR_LEADER, &follow_ops, s, &s->follow);
	if (err < 0)
		return err;
	table_on_work(table, on_work, s);
	*ret = TAKE_PTR(s);
	return 0;
}
