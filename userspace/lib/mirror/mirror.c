// SPDX-License-Identifier: Apache-2.0
#include "lib/mirror/mirror.h"

#include <assert.h>
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_TABLES 16
/* Address space, not memory: the file is sparse and pages are mapped when they are used. */
#define MAX_BYTES (1ull << 30)

struct mirror {
	MDB_env *env;
	MDB_txn *batch; /* between begin and commit */
	int spoiled;	/* why it can't be committed any more */
	char *aside;
	bool walking; /* in mirror_foreach() */
};

/* LMDB's own codes are negative and far below errno's range. */
static int to_errno(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_BAD_VALSIZE:
		return -ENAMETOOLONG;
	default:
		return rc > 0 ? -rc : -EUCLEAN;
	}
}

static int table_open(MDB_txn *txn, const char *table, bool create, MDB_dbi *ret)
{
	return mdb_dbi_open(txn, table, create ? MDB_CREATE : 0, ret);
}

static int env_open(const char *path, MDB_env **ret)
{
	MDB_env *env = NULL;
	int rc;

	rc = mdb_env_create(&env);
	if (rc)
		return rc;
	rc = mdb_env_set_maxdbs(env, MAX_TABLES);
	if (!rc)
		rc = mdb_env_set_mapsize(env, MAX_BYTES);
	if (!rc)
		rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	*ret = env;
	return 0;
}

static int read_table(MDB_txn *txn, const char *name)
{
	MDB_cursor *cur;
	MDB_val k, v;
	MDB_dbi dbi;
	int rc;

	rc = table_open(txn, name, false, &dbi);
	if (rc)
		return rc;
	rc = mdb_cursor_open(txn, dbi, &cur);
	if (rc)
		return rc;
	do {
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
		if (!rc && (!k.mv_size || ((char *)k.mv_data)[k.mv_size - 1] || !v.mv_size ||
			    ((char *)v.mv_data)[v.mv_size - 1]))
			rc = MDB_CORRUPTED;
	} while (!rc);
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Reads every record once: a torn file shows here, not in the middle of the work. */
static int env_check(MDB_env *env)
{
	MDB_cursor *cur = NULL;
	MDB_txn *txn;
	MDB_val k, v;
	MDB_dbi main_dbi;
	int rc;

	rc = mdb_txn_begin(env, NULL, 0, &txn);
	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &main_dbi);
	if (!rc)
		rc = mdb_cursor_open(txn, main_dbi, &cur);
	while (!rc) {
		char name[64];

		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
		if (rc)
			break;
		if (k.mv_size >= sizeof(name)) {
			rc = MDB_CORRUPTED;
			break;
		}
		memcpy(name, k.mv_data, k.mv_size);
		name[k.mv_size] = 0;
		rc = read_table(txn, name);
	}
	if (cur)
		mdb_cursor_close(cur);
	mdb_txn_abort(txn);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A file that is no LMDB file at all makes mdb_env_open() fail; a torn one fails the check. */
static int env_open_checked(const char *path, MDB_env **ret)
{
	MDB_env *env = NULL;
	int rc;

	rc = env_open(path, &env);
	if (rc)
		return rc;
	rc = env_check(env);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	*ret = env;
	return 0;
}

static int set_aside(const char *path, char **ret, struct err *e)
{
	_cleanup_(freep) char *aside = NULL, *lock = NULL;

	if (asprintf(&aside, "%s.corrupt", path) < 0 || asprintf(&lock, "%s-lock", path) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	if (rename(path, aside) < 0)
		return err_errno(e, -errno, "'%s' can't be renamed aside", path);
	unlink(lock);
	*ret = TAKE_PTR(aside);
	return 0;
}

int mirror_open(const char *path, struct mirror **ret, struct err *e)
{
	_cleanup_(freep) struct mirror *m = calloc(1, sizeof(*m));
	int rc, err;

	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	rc = env_open_checked(path, &m->env);
	if (rc == MDB_INVALID || rc == MDB_CORRUPTED || rc == MDB_VERSION_MISMATCH ||
	    rc == MDB_PAGE_NOTFOUND || rc == MDB_PANIC) {
		err = set_aside(path, &m->aside, e);
		if (err < 0)
			return err;
		rc = env_open_checked(path, &m->env);
	}
	if (rc) {
		free(m->aside);
		return err_set(e, to_errno(rc), "database '%s': %s", path, mdb_strerror(rc));
	}
	*ret = TAKE_PTR(m);
	return 0;
}

void mirror_close(struct mirror *m)
{
	if (!m)
		return;
	mirror_abort(m);
	mdb_env_sync(m->env, 1);
	mdb_env_close(m->env);
	free(m->aside);
	free(m);
}

const char *mirror_set_aside(const struct mirror *m)
{
	return m->aside;
}

int mirror_begin(struct mirror *m)
{
	assert(!m->walking);
	if (m->batch)
		return -EBUSY;
	m->spoiled = 0;
	return to_errno(mdb_txn_begin(m->env, NULL, 0, &m->batch));
}

void mirror_abort(struct mirror *m)
{
	assert(!m->walking);
	if (m->batch)
		mdb_txn_abort(TAKE_PTR(m->batch));
}

int mirror_commit(struct mirror *m)
{
	MDB_txn *txn;

	assert(!m->walking);
	if (m->batch && m->spoiled) {
		mirror_abort(m);
		return m->spoiled;
	}
	txn = TAKE_PTR(m->batch);
	return txn ? to_errno(mdb_txn_commit(txn)) : 0;
}

/* One write in the batch, or as a transaction of its own. `value` NULL deletes. */
static int write_one(struct mirror *m, const char *table, const char *key, const char *value)
{
	MDB_val k = { strlen(key) + 1, (void *)key };
	MDB_txn *txn = m->batch;
	MDB_dbi dbi;
	int rc;

	assert(!m->walking);
	if (!txn) {
		rc = mdb_txn_begin(m->env, NULL, 0, &txn);
		if (rc)
			return to_errno(rc);
	} else if (m->spoiled) {
		return m->spoiled;
	}
	rc = table_open(txn, table, true, &dbi);
	if (!rc && value) {
		MDB_val v = { strlen(value) + 1, (void *)value };

		rc = mdb_put(txn, dbi, &k, &v, 0);
	} else if (!rc) {
		rc = mdb_del(txn, dbi, &k, NULL);
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	if (m->batch) {
		/* LMDB refuses a key before it touches anything. */
		if (rc && rc != MDB_BAD_VALSIZE)
			m->spoiled = to_errno(rc);
		return to_errno(rc);
	}
	if (rc) {
		mdb_txn_abort(txn);
		return to_errno(rc);
	}
	return to_errno(mdb_txn_commit(txn));
}

int mirror_put(struct mirror *m, const char *table, const char *key, const char *value)
{
	return write_one(m, table, key, value);
}

int mirror_del(struct mirror *m, const char *table, const char *key)
{
	return write_one(m, table, key, NULL);
}

static int walk(MDB_txn *txn, MDB_dbi dbi, int (*fn)(const char *, const char *, void *), void *arg)
{
	MDB_cursor *cur;
	MDB_val k, v;
	int rc, stop = 0;

	rc = mdb_cursor_open(txn, dbi, &cur);
	if (rc)
		return to_errno(rc);
	while (!stop && !(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)))
		stop = fn(k.mv_data, v.mv_data, arg);
	mdb_cursor_close(cur);
	if (stop)
		return stop;
	return rc == MDB_NOTFOUND ? 0 : to_errno(rc);
}

int mirror_foreach(struct mirror *m, const char *table,
		   int (*fn)(const char *key, const char *value, void *arg), void *arg)
{
	MDB_txn *txn = m->batch;
	MDB_dbi dbi;
	int rc, err;

	assert(!m->walking);
	if (!txn) {
		/* A table is first opened for reading by a write transaction, as LMDB wants
		 * handles. */
		rc = mdb_txn_begin(m->env, NULL, 0, &txn);
		if (rc)
			return to_errno(rc);
	}
	rc = table_open(txn, table, false, &dbi);
	m->walking = true;
	err = rc == MDB_NOTFOUND ? 0 : rc ? to_errno(rc) : walk(txn, dbi, fn, arg);
	m->walking = false;
	if (!m->batch)
		mdb_txn_commit(txn);
	return err;
}

int mirror_sync(struct mirror *m)
{
	return to_errno(mdb_env_sync(m->env, 1));
}
