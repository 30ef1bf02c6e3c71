// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "db"
#include <errno.h>
#include <string.h>
#include <uthash.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/private.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

#define GONE_TABLE "unpublished"

/* Keys of one transaction; all are compared too, and etcd takes 128 operations. */
#define MAX_BATCH 64

/*
 * One key that is ours. `value` NULL: to be deleted; the record goes when etcd has done so.
 *
 * Every write is guarded by the revision that we believe the key to have. Where etcd knows better,
 * it tells what stands there, and we look again: a value that is ours already is not written anew,
 * and what another node wrote later is that node's (a pod of the same name moved there).
 */
struct pub {
	UT_hash_handle hh;
	char *value;
	bool dirty;
	uint64_t generation;  /* of the last change here */
	int64_t mod_revision; /* of the key in etcd as last seen; 0: absent, or never seen */
	char key[];
};

/* What one transaction carried, to tell afterwards what it settled. */
struct batch {
	size_t n;
	struct batch_item {
		char *key;
		bool put;
		uint64_t generation;
	} items[MAX_BATCH];
};

struct db_publisher {
	struct db *db;
	struct pub *pubs;
	struct event *timer;
	struct store_op *op;
	struct batch *batch;
	uint64_t generation;
	int64_t backoff_ms;
};

static void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		free(b->items[i].key);
	free(b);
}

static struct pub *find(struct db_publisher *p, const char *key)
{
	struct pub *pub;

	HASH_FIND_STR(p->pubs, key, pub);
	return pub;
}

static void pub_remove(struct db_publisher *p, struct pub *pub)
{
	HASH_DEL(p->pubs, pub);
	free(pub->value);
	free(pub);
}

static struct pub *find_or_add(struct db_publisher *p, const char *key)
{
	struct pub *pub = find(p, key);
	size_t n = strlen(key) + 1;

	if (pub)
		return pub;
	pub = calloc(1, sizeof(*pub) + n);
	if (!pub)
		return NULL;
	memcpy(pub->key, key, n);
	HASH_ADD_STR(p->pubs, key, pub);
	return pub;
}

static void arm(struct db_publisher *p, int64_t ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(p->timer, &tv);
}

/* ---- what came of a transaction ---- */

static void settled(struct db_publisher *p, struct pub *pub)
{
	pub->dirty = false;
	if (pub->value)
		return;
	mirror_del(p->db->mirror, GONE_TABLE, pub->key);
	pub_remove(p, pub);
}

static void written(struct db_publisher *p, const struct batch *b, int64_t revision)
{
	for (size_t i = 0; i < b->n; i++) {
		struct pub *pub = find(p, b->items[i].key);

		if (!pub)
			continue;
		pub->mod_revision = b->items[i].put ? revision : 0;
		if (pub->generation == b->items[i].generation)
			settled(p, pub);
	}
}

/* Values that can pass from node to node say whose they are, and since when. */
static bool is_anothers(const struct db_publisher *p, const char *text, size_t len,
			int64_t *ret_since)
{
	const char *own = agent_cfg(p->db->agent)->node_name, *node = own;
	_json_ *o = NULL;

	*ret_since = 0;
	if (json_parse(text, len, &o, NULL) < 0)
		return false;
	json_opt_int(o, "since", 0, INT64_MAX, ret_since, NULL);
	json_opt_str(o, "node", &node, NULL);
	return strcmp(node, own) != 0;
}

static bool is_ours(const struct pub *pub, const struct store_kv *there)
{
	return pub->value && strlen(pub->value) == there->value_len &&
	       memcmp(pub->value, there->value, there->value_len) == 0;
}

/* Another node has the key by right: the newest does, and nobody deletes what is another's. */
static bool is_passed_on(const struct db_publisher *p, const struct pub *pub,
			 const struct store_kv *there)
{
	int64_t theirs, ours;

	if (!is_anothers(p, there->value, there->value_len, &theirs))
		return false;
	if (!pub->value)
		return true;
	is_anothers(p, pub->value, strlen(pub->value), &ours);
	return theirs >= ours;
}

static const struct store_kv *standing(const struct store_txn_result *res, const char *key)
{
	for (size_t i = 0; i < res->n; i++)
		if (strcmp(res->kvs[i].key, key) == 0)
			return &res->kvs[i];
	return NULL;
}

/* `there` NULL: absent. Returns whether anything was learnt. */
static bool look_at(struct db_publisher *p, struct pub *pub, uint64_t generation,
		    const struct store_kv *there)
{
	bool passed_on = there && is_passed_on(p, pub, there);
	int64_t now = there && !passed_on ? there->mod_revision : 0;
	bool learnt = pub->mod_revision != now;

	/* A revision of somebody else's is none to write over: the next write looks again. */
	pub->mod_revision = now;
	if (pub->generation != generation)
		return learnt;
	if (passed_on || (there ? is_ours(pub, there) : !pub->value)) {
		settled(p, pub);
		return true;
	}
	return learnt;
}

/* When nothing was learnt, the same attempt would fail again. */
static bool look_again(struct db_publisher *p, const struct batch *b,
		       const struct store_txn_result *res)
{
	bool learnt = false;

	for (size_t i = 0; i < b->n; i++) {
		struct pub *pub = find(p, b->items[i].key);

		if (pub)
			learnt |= look_at(p, pub, b->items[i].generation,
					  standing(res, b->items[i].key));
	}
	return learnt;
}

static void put_off(struct db_publisher *p, size_t n, const char *why)
{
	const struct agent_config *cfg = agent_cfg(p->db->agent);

	if (!p->backoff_ms)
		log_warn("%zu keys can't be written to etcd now: %s", n, why);
	p->backoff_ms = p->backoff_ms ? MIN(p->backoff_ms * 2, cfg->controller.retry_max_ms)
				      : cfg->controller.retry_min_ms;
}

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct db_publisher *p = arg;
	struct batch *b = TAKE_PTR(p->batch);

	p->op = NULL;
	if (res->err < 0) {
		put_off(p, b->n, res->error);
	} else if (res->succeeded) {
		p->backoff_ms = 0;
		written(p, b, res->revision);
	} else if (look_again(p, b, res)) {
		p->backoff_ms = 0;
	} else {
		put_off(p, b->n, "others write the same keys");
	}
	batch_free(b);
	if (db_publisher_pending(p))
		arm(p, p->backoff_ms);
}

/* ---- writing ---- */

static void fill(struct db_publisher *p, struct batch *b, struct store_cmp *cmps,
		 struct store_write *writes)
{
	struct pub *pub, *tmp;

	HASH_ITER (hh, p->pubs, pub, tmp) {
		struct batch_item *item = &b->items[b->n];

		if (!pub->dirty || b->n == MAX_BATCH)
			continue;
		*item = (struct batch_item){ strdup(pub->key), pub->value, pub->generation };
		if (!item->key)
			return;
		cmps[b->n] = (struct store_cmp){
			.kind = pub->mod_revision ? STORE_CMP_MOD_REVISION : STORE_CMP_ABSENT,
			.key = pub->key,
			.number = pub->mod_revision,
		};
		writes[b->n] = (struct store_write){
			.kind = pub->value ? STORE_PUT : STORE_DELETE,
			.key = pub->key,
			.value = pub->value,
		};
		b->n++;
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct store_cmp cmps[MAX_BATCH];
	struct store_write writes[MAX_BATCH];
	struct db_publisher *p = arg;

	/* Not before etcd was read: whether our own key is there tells whether its data are. */
	if (p->op || !db_publisher_pending(p) || p->db->origin != DB_ETCD)
		return;
	p->batch = calloc(1, sizeof(*p->batch));
	if (p->batch)
		fill(p, p->batch, cmps, writes);
	if (p->batch && p->batch->n &&
	    store_txn(p->db->store, cmps, p->batch->n, writes, p->batch->n, on_written, p,
		      &p->op) == 0)
		return;
	batch_free(TAKE_PTR(p->batch));
	arm(p, 1000);
}

/* ---- for db.c ---- */

static int recall_gone(const char *key, const char *value, void *arg)
{
	struct pub *pub = find_or_add(arg, key);

	if (pub)
		pub->dirty = true;
	return 0;
}

int db_publisher_new(struct db *db, struct db_publisher **ret)
{
	struct db_publisher *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->db = db;
	p->timer = event_new(agent_base(db->agent), -1, 0, on_timer, p);
	if (!p->timer) {
		free(p);
		return -ENOMEM;
	}
	mirror_foreach(db->mirror, GONE_TABLE, recall_gone, p);
	*ret = p;
	return 0;
}

void db_publisher_free(struct db_publisher *p)
{
	struct pub *pub, *tmp;

	if (!p)
		return;
	store_op_cancel(p->op);
	batch_free(p->batch);
	HASH_ITER (hh, p->pubs, pub, tmp)
		pub_remove(p, pub);
	event_free(p->timer);
	free(p);
}

int db_publisher_put(struct db_publisher *p, const char *key, const char *value)
{
	_cleanup_(freep) char *copy = strdup(value);
	struct pub *pub = copy ? find_or_add(p, key) : NULL;

	if (!pub)
		return -ENOMEM;
	if (pub->value && strcmp(pub->value, value) == 0)
		return 0;
	if (!pub->value)
		mirror_del(p->db->mirror, GONE_TABLE, key);
	free(pub->value);
	pub->value = TAKE_PTR(copy);
	pub->dirty = true;
	pub->generation = ++p->generation;
	arm(p, p->backoff_ms);
	return 0;
}

void db_publisher_del(struct db_publisher *p, const char *key)
{
	struct pub *pub = find_or_add(p, key);

	if (!pub)
		return;
	/* Remembered on disk, for an agent that dies before etcd is back. */
	mirror_put(p->db->mirror, GONE_TABLE, key, "");
	free(TAKE_PTR(pub->value));
	pub->dirty = true;
	pub->generation = ++p->generation;
	arm(p, p->backoff_ms);
}

void db_publisher_push(struct db_publisher *p, bool all)
{
	struct pub *pub, *tmp;

	HASH_ITER (hh, p->pubs, pub, tmp) {
		if (all && !pub->dirty) {
			pub->dirty = true;
			pub->generation = ++p->generation;
		}
	}
	p->backoff_ms = 0;
	if (db_publisher_pending(p))
		arm(p, 0);
}

void db_publisher_seen(struct db_publisher *p, const char *key, const char *value, size_t len)
{
	struct pub *pub = find(p, key);

	if (!pub || pub->dirty || !pub->value)
		return;
	if (value && strlen(pub->value) == len && memcmp(pub->value, value, len) == 0)
		return;
	log_warn("'%s' was changed in etcd by somebody else; written again", key);
	pub->dirty = true;
	pub->generation = ++p->generation;
	arm(p, p->backoff_ms);
}

size_t db_publisher_pending(const struct db_publisher *p)
{
	size_t n = 0;

	for (const struct pub *pub = p->pubs; pub; pub = pub->hh.next)
		n += pub->dirty;
	return n;
}
