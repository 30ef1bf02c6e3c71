// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "db"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/private.h"
#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/base/name.h"

struct db_prefix {
	struct db_prefix *next;
	struct db *db;
	char *prefix;
	struct store_follow *follow;
	struct store_op *asking; /* whether our own key is still there */
	struct event *ask_again; /* nobody answered */
	int64_t revision;	 /* what a list asked for now can't be behind of; 0: unknown */
	bool synced;
};

/* ---- keys ---- */

int db_key_check(const char *key, size_t len, struct err *e)
{
	static const char *const of_nodes[] = { KEY_NODE, KEY_K8S_NODE };

	if (strlen(key) != len)
		return err_set(e, -EINVAL, "'%.300s': the key goes on after a NUL byte", key);
	for (size_t i = 0; i < ARRAY_SIZE(of_nodes); i++) {
		const char *prefix = of_nodes[i];

		if (strncmp(key, prefix, strlen(prefix)) == 0 &&
		    !name_is_subdomain(key + strlen(prefix)))
			return err_set(e, -EINVAL,
				       "'%.300s': a node's name is a DNS name in lower case", key);
	}
	return 0;
}

static void take_value(struct db *db, const struct store_kv *kv)
{
	struct db_diff diff = {};
	struct err e = {};
	int err;

	if (db_key_check(kv->key, kv->key_len, &e) < 0) {
		if (kv->value)
			log_limited(LOG_LVL_WARN, 20, "etcd: %s; ignored", e.msg);
		return;
	}
	db_publisher_seen(db->publisher, kv->key, kv->value, kv->value_len);
	if (kv->value)
		err = db_table_put(db->table, kv->key, kv->value, kv->value_len, &diff, &e);
	else
		err = db_table_del(db->table, kv->key, &diff);
	if (err < 0) {
		log_limited(LOG_LVL_ERROR, 20, "etcd: %s; the old value stays", e.msg);
		return;
	}
	if (!err)
		return;
	db_local_store(db, kv->key, kv->value ? db_table_text(db->table, kv->key) : NULL);
	db_push_change(db, kv->key, &diff);
}

static void drop_key(const char *key, void *arg)
{
	/* `key` is the entry's own memory. */
	_cleanup_(freep) char *copy = strdup(key);
	struct db_diff diff = {};
	struct db *db = arg;

	if (!copy || !db_table_del(db->table, copy, &diff))
		return;
	db_publisher_seen(db->publisher, copy, NULL, 0);
	db_local_store(db, copy, NULL);
	db_push_change(db, copy, &diff);
}

static void keep_lost(const char *key, void *arg)
{
	struct db *db = arg;

	db_table_set_lost(db->table, key);
}

/* ---- a resource reflected whole ---- */

/* A look at what a resource consists of, after ksr said that it has written all of it. */
struct db_sweep {
	struct db_sweep *next;
	struct db *db;
	struct store_op *op;
	const struct store_range_result *found; /* in the callback */
	char prefix[];
};

static int by_key(const void *key, const void *kv)
{
	return strcmp(key, ((const struct store_kv *)kv)->key);
}

static void drop_if_gone(const char *key, void *arg)
{
	const struct db_sweep *s = arg;

	if (!bsearch(key, s->found->kvs, s->found->n, sizeof(*s->found->kvs), by_key))
		drop_key(key, s->db);
}

static void sweep_free(struct db_sweep *s)
{
	struct db_sweep **at = &s->db->sweeps;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	store_op_cancel(s->op);
	free(s);
}

static void on_reflected(const struct store_range_result *res, void *arg)
{
	struct db_sweep *s = arg;
	bool begun = db_local_begin(s->db);

	s->op = NULL;
	s->found = res;
	/* Else the end of the grace does it. */
	if (res->err == 0)
		db_table_foreach_lost(s->db->table, s->prefix, drop_if_gone, s);
	db_local_end(s->db, begun);
	sweep_free(s);
}

/*
 * What was lost and ksr did not write again is gone for good. Asked for, since the stream of the
 * resource itself may be behind that of the marks.
 */
static void sweep_reflected(struct db *db, const char *key)
{
	const char *resource;
	struct db_sweep *s;
	size_t len;

	if (!db_table_lost(db->table) || strncmp(key, KEY_KSR_SYNCED, strlen(KEY_KSR_SYNCED)) != 0)
		return;
	resource = key + strlen(KEY_KSR_SYNCED);
	len = strlen(KEY_K8S) + strlen(resource) + 2;
	s = calloc(1, sizeof(*s) + len);
	if (!s)
		return;
	s->db = db;
	snprintf(s->prefix, len, KEY_K8S "%s/", resource);
	s->next = db->sweeps;
	db->sweeps = s;
	if (store_range(db->store, s->prefix, true, on_reflected, s, &s->op) < 0)
		sweep_free(s);
}

/* ---- loss ---- */

/*
 * Compared with what this prefix had seen when the list was asked for, not with the newest
 * revision: the others' lists and changes may have overtaken this one.
 */
static bool data_was_lost(const struct db_prefix *p, const struct store_range_result *all)
{
	const struct db *db = p->db;

	return (db->cluster_id && all->cluster_id && db->cluster_id != all->cluster_id) ||
	       all->revision < p->revision;
}

static bool loss_is_recent(const struct db *db)
{
	return event_pending(db->lost, EV_TIMEOUT, NULL);
}

/* Revisions beyond `now`, which etcd is at, are of the lost history; others hold for the new one
 * too. */
static void note_loss(struct db *db, int64_t now)
{
	struct timeval grace = { .tv_sec = DB_LOST_GRACE_S };

	db->losses++;
	db->revision = MIN(db->revision, now);
	for (struct db_prefix *p = db->prefixes; p; p = p->next)
		if (p->revision > now)
			p->revision = 0;
	log_error("etcd has lost its data (or is another one): what this node knows stays until "
		  "it is written again");
	event_add(db->lost, &grace);
	db_publisher_push(db->publisher, true);
}

void db_follow_give_up(struct db *db)
{
	bool begun = db_local_begin(db);

	if (db_table_lost(db->table))
		log_warn("%zu keys were lost with etcd's data and not written again: dropped",
			 db_table_lost(db->table));
	db_table_foreach_lost(db->table, "", drop_key, db);
	db_local_end(db, begun);
}

/* ---- a prefix listed whole ---- */

static bool all_synced(const struct db *db)
{
	for (const struct db_prefix *p = db->prefixes; p; p = p->next)
		if (!p->synced)
			return false;
	return true;
}

/* What the list did not have is gone, or lost with etcd's data: then every prefix that is listed
 * anew within the grace comes from the same loss. */
static void sweep(struct db_prefix *p)
{
	struct db *db = p->db;
	bool first, begun = db_local_begin(db);

	db_table_foreach_marked(db->table, p->prefix, loss_is_recent(db) ? keep_lost : drop_key,
				db);
	db_local_end(db, begun);
	p->synced = true;
	if (!all_synced(db))
		return;
	first = db->origin != DB_ETCD;
	db->origin = DB_ETCD;
	db->last_error[0] = 0;
	event_del(db->deadline);
	if (first) {
		log_info("in step with etcd at revision %lld: %zu keys", (long long)db->revision,
			 db_table_size(db->table));
		db_push_resync(db);
	}
	db_publisher_push(db->publisher, false);
}

static const char *own_key(const struct db *db, char *buf, size_t len)
{
	snprintf(buf, len, KEY_NODE "%s", agent_cfg(db->agent)->node_name);
	return buf;
}

static void on_own_key(const struct store_range_result *res, void *arg)
{
	static const struct timeval pause = { .tv_sec = 1 };
	struct db_prefix *p = arg;

	p->asking = NULL;
	if (res->err < 0) {
		event_add(p->ask_again, &pause);
		return;
	}
	if (!loss_is_recent(p->db) && !res->n) {
		note_loss(p->db, res->revision);
		db_local_store_meta(p->db);
	}
	sweep(p);
}

/*
 * Data that were lost and filled anew, beyond our revision, look like many deletions. But nobody
 * deletes what a living node publishes: when that is missing too, it was a loss.
 */
static bool ask_for_own_key(struct db_prefix *p)
{
	char key[512];

	if (loss_is_recent(p->db) || !db_table_any_marked(p->db->table, p->prefix) ||
	    !db_table_text(p->db->table, own_key(p->db, key, sizeof(key))))
		return false;
	return store_range(p->db->store, key, false, on_own_key, p, &p->asking) == 0;
}

static void on_ask_again(evutil_socket_t fd, short what, void *arg)
{
	if (!ask_for_own_key(arg))
		sweep(arg);
}

static void seen(struct db_prefix *p, int64_t revision)
{
	struct db *db = p->db;

	p->revision = revision;
	if (revision > db->revision)
		db->revision = revision;
	db_local_store_meta(db);
}

static void on_sync(const struct store_range_result *all, void *arg)
{
	struct db_prefix *p = arg;
	struct db *db = p->db;
	bool begun = db_local_begin(db);

	store_op_cancel(TAKE_PTR(p->asking));
	event_del(p->ask_again);
	if (data_was_lost(p, all))
		note_loss(db, all->revision);
	db_table_mark(db->table, p->prefix);
	for (size_t i = 0; i < all->n; i++)
		take_value(db, &all->kvs[i]);
	for (size_t i = 0; i < all->n; i++)
		sweep_reflected(db, all->kvs[i].key);
	db->cluster_id = all->cluster_id;
	seen(p, all->revision);
	if (!ask_for_own_key(p))
		sweep(p);
	db_local_end(db, begun);
}

/* ---- changes ---- */

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct db_prefix *p = arg;
	bool begun = db_local_begin(p->db);

	for (size_t i = 0; i < n; i++) {
		take_value(p->db, &events[i]);
		if (events[i].value)
			sweep_reflected(p->db, events[i].key);
	}
	seen(p, revision);
	db_local_end(p->db, begun);
}

static void on_break(int err, const char *error, void *arg)
{
	struct db_prefix *p = arg;

	p->db->breaks++;
	snprintf(p->db->last_error, sizeof(p->db->last_error), "%s", error);
	log_limited(LOG_LVL_WARN, 3, "following '%s' is interrupted: %s", p->prefix, error);
}

static const struct store_follow_ops follow_ops = {
	.on_sync = on_sync,
	.on_change = on_change,
	.on_break = on_break,
};

/* ---- start and stop ---- */

static void prefix_free(struct db_prefix *p)
{
	store_op_cancel(p->asking);
	if (p->ask_again)
		event_free(p->ask_again);
	store_follow_free(p->follow);
	free(p->prefix);
	free(p);
}

int db_follow_add(struct db *db, const char *prefix)
{
	struct db_prefix *p, **at = &db->prefixes;

	for (; *at; at = &(*at)->next)
		if (strcmp((*at)->prefix, prefix) == 0)
			return 0;
	if (db->following)
		return -EBUSY;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->db = db;
	p->prefix = strdup(prefix);
	p->ask_again = event_new(agent_base(db->agent), -1, 0, on_ask_again, p);
	if (!p->prefix || !p->ask_again) {
		prefix_free(p);
		return -ENOMEM;
	}
	*at = p;
	return 0;
}

int db_follow_init(struct db *db)
{
	/* ksr's marks tell a swept resource from a lost one. */
	static const char *const always[] = { KEY_NODE, KEY_K8S_NODE, KEY_KSR };
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(always); i++)
		err = db_follow_add(db, always[i]);
	return err;
}

int db_follow_start(struct db *db)
{
	db->following = true;
	for (struct db_prefix *p = db->prefixes; p; p = p->next) {
		int err;

		p->revision = db->revision; /* of the mirror */
		err = store_follow_new(db->store, p->prefix, &follow_ops, p, &p->follow);
		if (err < 0) {
			log_error("'%s' can't be followed: %s", p->prefix, strerror(-err));
			return err;
		}
	}
	return 0;
}

void db_follow_stop(struct db *db)
{
	struct db_prefix *p;

	while (db->sweeps)
		sweep_free(db->sweeps);
	while ((p = db->prefixes)) {
		db->prefixes = p->next;
		prefix_free(p);
	}
}
