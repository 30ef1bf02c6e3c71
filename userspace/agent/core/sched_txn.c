// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/sched_int.h"

int txn_new(struct scheduler *s, struct txn **ret)
{
	struct txn *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->s = s;
	*ret = t;
	return 0;
}

static void op_free(struct txn_op *op)
{
	value_put(op->value);
	value_put(op->before);
	free(op->key);
	free(op);
}

void txn_free(struct txn *t)
{
	struct txn_op *op, *next;

	if (!t)
		return;
	HASH_ITER (hh, t->ops, op, next) {
		HASH_DEL(t->ops, op);
		op_free(op);
	}
	free(t);
}

size_t txn_size(const struct txn *t)
{
	return HASH_COUNT(t->ops);
}

void txn_mark_partial(struct txn *t)
{
	t->partial = true;
}

/* Takes `key` and `value`. The last word on a key counts, and takes the last place in the order. */
static int record(struct txn *t, char *key, struct value *value)
{
	struct txn_op *op, *old;

	op = calloc(1, sizeof(*op));
	if (!op) {
		value_put(value);
		free(key);
		return -ENOMEM;
	}
	op->key = key;
	op->value = value;
	HASH_FIND_STR(t->ops, key, old);
	if (old) {
		HASH_DEL(t->ops, old);
		op_free(old);
	}
	HASH_ADD_KEYPTR(hh, t->ops, op->key, strlen(op->key), op);
	return 0;
}

int txn_put(struct txn *t, void *data, const char *fmt, ...)
{
	struct value *value;
	struct kind *kind;
	const char *name;
	char *key;
	va_list ap;
	int n, err;

	va_start(ap, fmt);
	n = vasprintf(&key, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	kind = kind_find(t->s, key, &name);
	if (!kind) {
		free(key);
		return -ENOENT;
	}
	err = value_new(kind->d, data, &value);
	if (err < 0) {
		free(key);
		return err;
	}
	return record(t, key, value);
}

int txn_delete(struct txn *t, const char *fmt, ...)
{
	const char *name;
	va_list ap;
	char *key;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&key, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	if (!kind_find(t->s, key, &name)) {
		free(key);
		return -ENOENT;
	}
	return record(t, key, NULL);
}
