/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A small local database (LMDB): named tables of NUL-terminated keys and values in one file. What a
 * call wrote survives the death of the process when the call returns, at any point and by any
 * signal; it survives the death of the machine from the next mirror_sync() on. A file that does not
 * open or read as a database is renamed aside
 * (`<path>.corrupt`), and an empty one takes its place, so that a node always starts.
 *
 * Single-threaded, but for mirror_sync(). Reads see all earlier writes.
 */
#include "lib/base/err.h"

struct mirror;

/* `path` is a file; its folder must exist. Readable by its owner only. */
int mirror_open(const char *path, struct mirror **ret, struct err *e);
void mirror_close(struct mirror *m); /* accepts NULL */
/* What was renamed aside when it was opened: its path, or NULL. */
const char *mirror_set_aside(const struct mirror *m);

int mirror_put(struct mirror *m, const char *table, const char *key, const char *value);
/* Deleting what is not there succeeds. */
int mirror_del(struct mirror *m, const char *table, const char *key);
/*
 * In order of the keys; fn non-zero stops, and is returned. fn must neither write (mirror_put,
 * _del, _begin, _commit, _abort) nor walk: LMDB would wait for the transaction that the walk holds,
 * for ever. That is asserted. Gather what is to change, and change it afterwards.
 */
int mirror_foreach(struct mirror *m, const char *table,
		   int (*fn)(const char *key, const char *value, void *arg), void *arg);

/*
 * Several writes as one, all or none. Calls do not nest. When one of them fails otherwise than with
 * -ENAMETOOLONG, those after it and the commit fail with the same error.
 */
int mirror_begin(struct mirror *m);
int mirror_commit(struct mirror *m);
void mirror_abort(struct mirror *m);

/* Waits until all is on disk that was written before. The one call that another thread may make, at
 * any time before mirror_close(). */
int mirror_sync(struct mirror *m);
