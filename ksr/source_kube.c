// SPDX-License-Identifier: Apache-2.0
#include "ksr/source_kube.h"

#include <errno.h>

/* What is taken for absent is deleted from etcd, so one answer does not do. */
#define ABSENT_AFTER 2

struct feed {
	struct intake *in;
	enum kind kind;
	struct kube_reflector *reflector;
	unsigned int missing; /* answers of 404 in a row */
};

struct source_kube {
	struct feed feeds[KIND_COUNT];
};

static void on_list(void *arg)
{
	struct feed *f = arg;

	intake_list(f->in, f->kind);
}

static void on_item(struct json_object *obj, void *arg)
{
	struct feed *f = arg;

	intake_put(f->in, f->kind, obj);
}

static void on_listed(const char *revision, void *arg)
{
	struct feed *f = arg;

	if (f->missing >= ABSENT_AFTER && f->in->served)
		f->in->served(f->kind, true, f->in->arg);
	f->missing = 0;
	intake_listed(f->in, f->kind, revision);
}

static void on_change(struct json_object *obj, bool deleted, void *arg)
{
	struct feed *f = arg;

	if (deleted)
		intake_del(f->in, f->kind, obj);
	else
		intake_put(f->in, f->kind, obj);
}

static void on_bad(const struct err *e, void *arg)
{
	struct feed *f = arg;
	struct err mine = *e;

	err_prefix(&mine, "%s", kinds[f->kind].name);
	f->in->bad(f->kind, &mine, f->in->arg);
}

static void on_absent(struct feed *f)
{
	if (f->missing == ABSENT_AFTER || ++f->missing < ABSENT_AFTER)
		return;
	if (f->in->served)
		f->in->served(f->kind, false, f->in->arg);
	intake_absent(f->in, f->kind);
}

static void on_trouble(const struct err *e, bool missing, void *arg)
{
	struct feed *f = arg;
	struct err mine = *e;

	if (missing && kinds[f->kind].optional) {
		on_absent(f);
		return;
	}
	if (f->missing < ABSENT_AFTER)
		f->missing = 0;
	if (missing)
		err_prefix(&mine, "%s: the API server does not serve it", kinds[f->kind].name);
	else
		err_prefix(&mine, "%s", kinds[f->kind].name);
	f->in->trouble(f->kind, &mine, f->in->arg);
}

static const struct kube_reflector_ops reflector_ops = {
	.on_list = on_list,
	.on_item = on_item,
	.on_listed = on_listed,
	.on_change = on_change,
	.on_bad = on_bad,
	.on_trouble = on_trouble,
};

int source_kube_new(struct event_base *base, struct kube *k, struct intake *in,
		    struct source_kube **ret)
{
	struct source_kube *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	for (enum kind kind = 0; kind < KIND_COUNT && !err; kind++) {
		struct feed *f = &s->feeds[kind];

		f->in = in;
		f->kind = kind;
		err = kube_reflector_new(base, k, kinds[kind].paths, &reflector_ops, f,
					 &f->reflector);
	}
	if (err < 0) {
		source_kube_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void source_kube_free(struct source_kube *s)
{
	if (!s)
		return;
	for (enum kind kind = 0; kind < KIND_COUNT; kind++)
		kube_reflector_free(s->feeds[kind].reflector);
	free(s);
}

const struct kube_reflector_stats *source_kube_stats(const struct source_kube *s, enum kind kind)
{
	return kube_reflector_stats(s->feeds[kind].reflector);
}
