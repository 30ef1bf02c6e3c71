/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Where the sources hand in what they read: objects are reduced, bad ones reported and held, good
 * ones put into the table. Single-threaded.
 */
#include <json-c/json.h>

#include "ksr/table.h"
#include "lib/base/err.h"

struct intake {
	struct table *table;
	void (*changed)(void *arg); /* the table has; cheap */
	/* What was wrong with an object or a file; nothing else is lost. */
	void (*bad)(enum kind kind, const struct err *e, void *arg);
	void (*trouble)(enum kind kind, const struct err *e, void *arg);
	/* An optional kind's CRD is known to be absent, or there after it was not; may be NULL. */
	void (*served)(enum kind kind, bool served, void *arg);
	void *arg;
};

void intake_list(struct intake *in, enum kind kind);
void intake_put(struct intake *in, enum kind kind, struct json_object *obj);
void intake_del(struct intake *in, enum kind kind, struct json_object *obj);
/* The source has no such kind, and so no object of it: a whole list without a revision. */
void intake_absent(struct intake *in, enum kind kind);
void intake_listed(struct intake *in, enum kind kind, const char *revision);
