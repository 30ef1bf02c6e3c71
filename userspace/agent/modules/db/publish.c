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

/* One key that is ours. `value` NULL: to be deleted; the record goes when etcd has done so. */
struct pub {
	UT_hash_handle hh;
	char *value;
	bool dirty;
	uint64_t generation; /* of the last change here */
	char key[];
};

/* What one transaction carried, to tell afterwards what it settled. */
struct batch {
	struct db_publisher *publisher;
	size_t n;
	struct {
		char *key;
		uint64_t generation;
	} items[];
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

static void settle(struct db_publisher *p, const struct batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		struct pub *pub = find(p, b->items[i].key);

		if (!pub || pub->generation != b->items[i].generation)
			continue;
		pub->dirty = false;
		if (!pub->value) {
			mirror_del(p->db->mirror, GONE_TABLE, pub->key);
			pub_remove(p, pub);
		}
	}
}

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct db_publisher *p = arg;
	struct batch *b = TAKE_PTR(p->batch);
	const struct agent_config *cfg = agent_cfg(p->db->agent);

	p->op = NULL;
	if (res->err < 0) {
		if (!p->backoff_ms)
			log_warn("%zu keys can't be written to etcd now: %s", b->n, res->error);
		p->backoff_ms = p->backoff_ms ? MIN(p->backoff_ms * 2, cfg->controller.retry_max_ms)
					      : cfg->controller.retry_min_ms;
	} else {
		p->backoff_ms = 0;
		settle(p, b);
	}
	batch_free(b);
	if (db_publisher_pending(p))
		arm(p, p->backoff_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct db_publisher *p = arg;
	size_t n = db_publisher_pending(p), i = 0;
	_cleanup_(freep) struct store_write *writes = NULL;
	struct pub *pub, *tmp;
	struct batch *b;

	/* Not before etcd was read: whether our own key is there tells whether its data are. */
	if (p->op || !n || p->db->origin != DB_ETCD)
		return;
	writes = calloc(n, sizeof(*writes));
	b = calloc(1, sizeof(*b) + n * sizeof(b->items[0]));
	if (!writes || !b) {
		free(b);
		arm(p, 1000);
		return;
	}
	b->publisher = p;
	HASH_ITER (hh, p->pubs, pub, tmp) {
		if (!pub->dirty)
			continue;
		writes[i] = (struct store_write){
			.kind = pub->value ? STORE_PUT : STORE_DELETE,
			.key = pub->key,
			.value = pub->value,
		};
		b->items[i].key = strdup(pub->key);
		b->items[i].generation = pub->generation;
		i += b->items[i].key != NULL;
	}
	b->n = i;
	p->batch = b;
	if (store_txn(p->db->store, NULL, 0, writes, i, on_written, p, &p->op) < 0) {
		batch_free(TAKE_PTR(p->batch));
		arm(p, 1000);
	}
}

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
