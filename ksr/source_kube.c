// SPDX-License-Identifier: Apache-2.0
#include "ksr/source_kube.h"

#include <errno.h>
#include <string.h>

#include "lib/json/json.h"

#define ABSENT_AFTER   2
#define ASK_TIMEOUT_MS 10000
#define ASK_MAX_BYTES  (4u << 20)

struct feed {
	struct intake *in;
	enum kind kind;
	struct kube_reflector *reflector;
	struct kube *kube;
	unsigned int missing;  /* answers of 404 in a row */
	struct http_call *ask; /* whether it is an API server that says so */
	bool absent;	       /* there is no such kind */
};

struct source_kube {
	struct feed feeds[KIND_COUNT];
};

/* ---- a CRD that is not there ---- */

static void say_trouble(struct feed *f, const struct err *e)
{
	struct err mine = *e;

	err_prefix(&mine, "%s", kinds[f->kind].name);
	f->in->trouble(f->kind, &mine, f->in->arg);
}

static int check_groups(const struct http_response *res, struct err *e)
{
	_json_ *groups = NULL;
	const char *kind = "";
	int err = json_parse(res->body, res->body_len, &groups, e);

	if (!err)
		err = json_get_str(groups, "kind", &kind, e);
	if (!err && strcmp(kind, "APIGroupList") != 0)
		err = err_set(e, -EPROTO, "kind: want APIGroupList, found '%.32s'", kind);
	return err;
}

static void on_groups(struct http_call *call, const struct http_response *res, void *arg)
{
	struct feed *f = arg;
	struct err e = {};
	int err;

	f->ask = NULL;
	err = kube_result(f->kube, res, &e);
	if (!err)
		err = check_groups(res, &e);
	if (err < 0) {
		err_prefix(&e, "404, and no word of an API server at /apis");
		say_trouble(f, &e);
		return;
	}
	f->absent = true;
	if (f->in->served)
		f->in->served(f->kind, false, f->in->arg);
	intake_absent(f->in, f->kind);
}

/* What is absent is deleted from etcd, and with it Deny rules: neither one 404 does, nor those of a
 * load balancer that has lost its servers. */
static void on_missing(struct feed *f)
{
	static const struct http_ops ops = { .on_done = on_groups };
	const struct kube_request req = {
		.path = "/apis",
		.timeout_ms = ASK_TIMEOUT_MS,
		.max_body = ASK_MAX_BYTES,
	};
	struct err e = {};

	if (f->absent || f->ask)
		return;
	f->missing++;
	if (f->missing >= ABSENT_AFTER && kube_call_new(f->kube, &req, &ops, f, &f->ask, &e) < 0)
		say_trouble(f, &e);
}

static void forget_missing(struct feed *f)
{
	f->missing = 0;
	http_call_cancel(TAKE_PTR(f->ask));
}

/* ---- what the reflector says ---- */

static void on_list(void *arg)
{
	struct feed *f = arg;

	/* Its answer must not fall among the items. */
	http_call_cancel(TAKE_PTR(f->ask));
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

	if (f->absent && f->in->served)
		f->in->served(f->kind, true, f->in->arg);
	f->absent = false;
	forget_missing(f);
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

static void on_trouble(const struct err *e, bool missing, void *arg)
{
	struct feed *f = arg;
	struct err mine = *e;

	if (missing && kinds[f->kind].optional) {
		on_missing(f);
		return;
	}
	forget_missing(f);
	if (missing)
		err_prefix(&mine, "the API server does not serve it");
	say_trouble(f, &mine);
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
		f->kube = k;
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
	for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
		http_call_cancel(s->feeds[kind].ask);
		kube_reflector_free(s->feeds[kind].reflector);
	}
	free(s);
}

const struct kube_reflector_stats *source_kube_stats(const struct source_kube *s, enum kind kind)
{
	return kube_reflector_stats(s->feeds[kind].reflector);
}
