// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "db"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/private.h"
#include "lib/base/log.h"

#define ETCD_TABLE "etcd"
#define META_TABLE "meta"

int db_local_open(struct db *db, struct err *e)
{
	char path[4096];
	int err;

	snprintf(path, sizeof(path), "%s/agent.mdb", agent_cfg(db->agent)->paths.state_dir);
	err = mirror_open(path, &db->mirror, e);
	if (err < 0)
		return err;
	if (mirror_set_aside(db->mirror))
		log_error("'%s' was damaged; it is kept as '%s', and the node starts with nothing",
			  path, mirror_set_aside(db->mirror));
	return 0;
}

static void wrote(struct db *db, int err)
{
	struct timeval delay = { .tv_sec = 1 };

	if (err < 0)
		log_limited(LOG_LVL_ERROR, 1, "the local mirror can't be written: %s",
			    strerror(-err));
	if (db->dirty)
		return;
	db->dirty = true;
	event_add(db->flush, &delay);
}

void db_local_store(struct db *db, const char *key, const char *value)
{
	wrote(db, value ? mirror_put(db->mirror, ETCD_TABLE, key, value)
			: mirror_del(db->mirror, ETCD_TABLE, key));
}

void db_local_store_meta(struct db *db)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, db->cluster_id);
	wrote(db, mirror_put(db->mirror, META_TABLE, "cluster", text));
	snprintf(text, sizeof(text), "%" PRId64, db->revision);
	wrote(db, mirror_put(db->mirror, META_TABLE, "revision", text));
}

/* ---- batches ---- */

struct stale {
	struct db *db;
	char **keys;
	size_t n;
};

static int gather_stale(const char *key, const char *value, void *arg)
{
	struct stale *s = arg;
	char **keys;

	if (db_table_text(s->db->table, key))
		return 0;
	keys = reallocarray(s->keys, s->n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	s->keys = keys;
	keys[s->n] = strdup(key);
	return keys[s->n++] ? 0 : -ENOMEM;
}

static void store_text(const char *key, const char *text, void *arg)
{
	db_local_store(arg, key, text);
}

/* Deletions first: they make room. */
static void write_anew(struct db *db)
{
	struct stale s = { .db = db };

	mirror_foreach(db->mirror, ETCD_TABLE, gather_stale, &s);
	for (size_t i = 0; i < s.n; i++) {
		if (s.keys[i])
			db_local_store(db, s.keys[i], NULL);
		free(s.keys[i]);
	}
	free(s.keys);
	db_local_store_meta(db);
	db_table_foreach_text(db->table, store_text, db);
}

bool db_local_begin(struct db *db)
{
	return !db->key_by_key && mirror_begin(db->mirror) == 0;
}

void db_local_end(struct db *db, bool begun)
{
	int err = begun ? mirror_commit(db->mirror) : 0;

	if (begun)
		wrote(db, err);
	if (!err)
		return;
	db->key_by_key = true;
	write_anew(db);
}

/* ---- start ---- */

static int load_meta(const char *key, const char *value, void *arg)
{
	struct db *db = arg;

	if (strcmp(key, "cluster") == 0)
		db->cluster_id = strtoull(value, NULL, 10);
	else if (strcmp(key, "revision") == 0)
		db->revision = strtoll(value, NULL, 10);
	return 0;
}

static int load_one(const char *key, const char *value, void *arg)
{
	struct db_diff diff = {};
	struct db *db = arg;
	struct err e = {};

	if (db_key_check(key, strlen(key), &e) < 0 ||
	    db_table_put(db->table, key, value, strlen(value), &diff, &e) < 0)
		log_warn("mirror: %s", e.msg);
	json_object_put(diff.old_value);
	json_object_put(diff.new_value);
	return 0;
}

int db_local_load(struct db *db)
{
	int err = mirror_foreach(db->mirror, META_TABLE, load_meta, db);

	return err < 0 ? err : mirror_foreach(db->mirror, ETCD_TABLE, load_one, db);
}

/* ---- for other modules ---- */

int db_local_put(struct agent *a, const char *table, const char *key, const char *value)
{
	int err = mirror_put(db_of(a)->mirror, table, key, value);

	wrote(db_of(a), 0);
	return err;
}

int db_local_del(struct agent *a, const char *table, const char *key)
{
	int err = mirror_del(db_of(a)->mirror, table, key);

	wrote(db_of(a), 0);
	return err;
}

int db_local_foreach(struct agent *a, const char *table,
		     int (*fn)(const char *key, const char *value, void *arg), void *arg)
{
	return mirror_foreach(db_of(a)->mirror, table, fn, arg);
}
