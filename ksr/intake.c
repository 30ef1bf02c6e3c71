// SPDX-License-Identifier: Apache-2.0
#include "ksr/intake.h"

#include <errno.h>

#include "ksr/reduce.h"

static void out_of_memory(struct intake *in, enum kind kind)
{
	struct err e = {};

	err_set(&e, -ENOMEM, "%s: out of memory", kinds[kind].name);
	in->trouble(kind, &e, in->arg);
}

void intake_list(struct intake *in, enum kind kind)
{
	table_list(in->table, kind);
}

/* An object that can't be read, but named, keeps what etcd has of it. */
void intake_put(struct intake *in, enum kind kind, struct json_object *obj)
{
	_cleanup_(freep) char *key = NULL;
	_cleanup_(freep) char *value = NULL;
	struct err e = {};
	int err;

	if (reduce_key(kind, obj, &key, &e) < 0) {
		in->bad(kind, &e, in->arg);
		return;
	}
	if (reduce_value(kind, obj, &value, &e) < 0) {
		in->bad(kind, &e, in->arg);
		err = table_hold(in->table, kind, key);
	} else {
		err = table_put(in->table, kind, key, value);
	}
	if (err < 0)
		out_of_memory(in, kind);
	in->changed(in->arg);
}

void intake_del(struct intake *in, enum kind kind, struct json_object *obj)
{
	_cleanup_(freep) char *key = NULL;
	struct err e = {};

	if (reduce_key(kind, obj, &key, &e) < 0) {
		in->bad(kind, &e, in->arg);
		return;
	}
	table_del(in->table, key);
	in->changed(in->arg);
}

void intake_absent(struct intake *in, enum kind kind)
{
	intake_list(in, kind);
	intake_listed(in, kind, "");
}

void intake_listed(struct intake *in, enum kind kind, const char *revision)
{
	if (table_listed(in->table, kind, revision, false) < 0)
		out_of_memory(in, kind);
	in->changed(in->arg);
}
