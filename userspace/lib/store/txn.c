// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/store/store_int.h"
#include "lib/store/txn_plan.h"

struct txn_op {
	struct store_op op;
	store_txn_fn fn;
	void *arg;
	char **bodies; /* one a part, NULL once it is sent */
	size_t *lens, n_parts, part;
	bool guarded; /* has comparisons */
	int64_t revision;
	struct kv_list kvs; /* of a comparison that failed */
	struct event later; /* for what was wrong from the start */
	bool ending;
	struct err failed;
};

static void txn_free(struct store_op *op)
{
	struct txn_op *t = container_of(op, struct txn_op, op);

	if (t->ending)
		event_del(&t->later);
	for (size_t i = 0; t->bodies && i < t->n_parts; i++)
		free(t->bodies[i]);
	free(t->bodies);
	free(t->lens);
	kv_list_clear(&t->kvs);
	free(t);
}

static void finish(struct txn_op *t, bool succeeded, const struct err *err)
{
	struct store_txn_result res = {
		.err = err->code,
		.error = err->msg,
		.succeeded = succeeded && !err->code,
		.revision = t->revision,
		.kvs = t->kvs.v,
		.n = t->kvs.n,
	};

	op_done(&t->op);
	kv_list_unbudget(&t->kvs);
	if (t->fn)
		t->fn(&res, t->arg);
	txn_free(&t->op);
}

/* ---- what is sent ---- */

static void put_cmp(FILE *f, const struct store_cmp *c)
{
	fputc('{', f);
	put_text(f, "key", c->key);
	switch (c->kind) {
	case STORE_CMP_ABSENT:
		fputs(",\"target\":\"VERSION\",\"result\":\"EQUAL\",\"version\":\"0\"}", f);
		return;
	case STORE_CMP_EXISTS:
		fputs(",\"target\":\"VERSION\",\"result\":\"GREATER\",\"version\":\"0\"}", f);
		return;
	case STORE_CMP_MOD_REVISION:
		fprintf(f, ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"%lld\"}",
			(long long)c->number);
		return;
	case STORE_CMP_LEASE:
		fprintf(f, ",\"target\":\"LEASE\",\"result\":\"EQUAL\",\"lease\":\"%lld\"}",
			(long long)c->number);
		return;
	case STORE_CMP_VALUE:
		fputs(",\"target\":\"VALUE\",\"result\":\"EQUAL\",", f);
		put_text(f, "value", c->value);
		fputc('}', f);
		return;
	}
}

static void put_write(FILE *f, const struct store_write *w)
{
	fputs(w->kind == STORE_PUT ? "{\"request_put\":{" : "{\"request_delete_range\":{", f);
	if (w->kind == STORE_DELETE_PREFIX)
		put_prefix(f, w->key);
	else
		put_text(f, "key", w->key);
	if (w->kind == STORE_PUT) {
		fputc(',', f);
		put_text(f, "value", w->value);
		if (w->lease)
			fprintf(f, ",\"lease\":\"%lld\"", (long long)w->lease);
	}
	fputs("}}", f);
}

static bool named_before(const struct store_cmp *cmps, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (!strcmp(cmps[j].key, cmps[i].key))
			return true;
	}
	return false;
}

static int build_part(const struct store_cmp *cmps, size_t n_cmps,
		      const struct store_write *const *writes, size_t n, char **ret,
		      size_t *ret_len)
{
	_cleanup_(freep) char *body = NULL;
	FILE *f = open_memstream(&body, ret_len);

	if (!f)
		return -ENOMEM;
	fputs("{\"compare\":[", f);
	for (size_t i = 0; i < n_cmps; i++) {
		fputs(i ? "," : "", f);
		put_cmp(f, &cmps[i]);
	}
	fputs("],\"success\":[", f);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? "," : "", f);
		put_write(f, writes[i]);
	}
	fputs("],\"failure\":[", f);
	for (size_t i = 0; i < n_cmps; i++) {
		if (named_before(cmps, i))
			continue;
		fputs(i ? ",{\"request_range\":{" : "{\"request_range\":{", f);
		put_text(f, "key", cmps[i].key);
		fputs("}}", f);
	}
	fputs("]}", f);
	if (put_close(f, &body) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(body);
	return 0;
}

static int build(struct txn_op *t, const struct store_cmp *cmps, size_t n_cmps,
		 const struct txn_plan *plan)
{
	size_t from = 0;
	int err;

	t->bodies = calloc(plan->n_parts, sizeof(*t->bodies));
	t->lens = calloc(plan->n_parts, sizeof(*t->lens));
	if (!t->bodies || !t->lens)
		return -ENOMEM;
	t->n_parts = plan->n_parts;
	for (size_t i = 0; i < plan->n_parts; i++) {
		err = build_part(cmps, n_cmps, plan->writes + from, plan->ends[i] - from,
				 &t->bodies[i], &t->lens[i]);
		if (err < 0)
			return err;
		from = plan->ends[i];
	}
	return 0;
}

/* ---- what comes back ---- */

static int take_compared(struct txn_op *t, struct json_object *answer, struct err *e)
{
	struct json_object *responses = NULL, *kvs;
	int err;

	if (json_opt_array(answer, "responses", &responses, e) < 0)
		return err_prefix(e, "txn");
	for (size_t i = 0; responses && i < json_object_array_length(responses); i++) {
		kvs = NULL;
		if (json_opt_array(json_object_array_get_idx(responses, i), "response_range.kvs",
				   &kvs, e) < 0)
			return err_set(e, -EPROTO, "txn: responses[%zu] is no range", i);
		for (size_t j = 0; kvs && j < json_object_array_length(kvs); j++) {
			err = kv_list_add_json(&t->kvs, json_object_array_get_idx(kvs, j), false,
					       e);
			if (err < 0)
				return err_prefix(e, "txn: responses[%zu]", i);
		}
	}
	return 0;
}

static void send_part(struct txn_op *t);

static void on_answer(struct store_request *req, struct json_object *answer, const struct err *err)
{
	struct store_op *op = container_of(req, struct store_op, req);
	struct txn_op *t = container_of(op, struct txn_op, op);
	struct store_header h = {};
	struct err e = *err;
	bool succeeded = false;

	if (!e.code)
		header_decode(answer, &h, &e);
	if (!e.code && json_opt_bool(answer, "succeeded", &succeeded, &e) < 0)
		e.code = -EPROTO;
	t->revision = e.code ? t->revision : h.revision;
	if (!e.code && !succeeded)
		take_compared(t, answer, &e);
	if (!e.code && succeeded && ++t->part < t->n_parts) {
		send_part(t);
		return;
	}
	if (e.code && t->n_parts > 1)
		err_prefix(&e, "writing part %zu of %zu", t->part + 1, t->n_parts);
	finish(t, succeeded, &e);
}

static void send_part(struct txn_op *t)
{
	struct store_request *req = &t->op.req;

	req->store = t->op.store;
	req->path = "/v3/kv/txn";
	req->body = TAKE_PTR(t->bodies[t->part]);
	req->len = t->lens[t->part];
	/* What was compared may have been changed by the first attempt, if that one arrived. */
	req->retry = t->guarded ? RETRY_UNSENT : RETRY_ANY;
	req->fn = on_answer;
	request_start(req);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct txn_op *t = arg;

	t->ending = false;
	finish(t, false, &t->failed);
}

static bool is_sound(const struct store_cmp *cmps, size_t n_cmps, const struct store_write *writes,
		     size_t n_writes)
{
	for (size_t i = 0; i < n_cmps; i++) {
		if (!cmps[i].key || !cmps[i].key[0] || cmps[i].kind > STORE_CMP_LEASE ||
		    (cmps[i].kind == STORE_CMP_VALUE && !cmps[i].value))
			return false;
	}
	for (size_t i = 0; i < n_writes; i++) {
		if (!writes[i].key || writes[i].kind > STORE_DELETE_PREFIX ||
		    (!writes[i].key[0] && writes[i].kind != STORE_DELETE_PREFIX) ||
		    (writes[i].kind == STORE_PUT && !writes[i].value))
			return false;
	}
	return true;
}

/* -E2BIG and the like end in the callback, where there is room for a sentence. */
static int start(struct txn_op *t, const struct store_cmp *cmps, size_t n_cmps,
		 const struct store_write *writes, size_t n_writes)
{
	_cleanup_(txn_plan_clear) struct txn_plan plan = {};
	int err;

	err = txn_plan_new(cmps, n_cmps, writes, n_writes, &plan, &t->failed);
	if (err == -ENOMEM)
		return err;
	if (err < 0) {
		evtimer_assign(&t->later, t->op.store->base, on_later, t);
		t->ending = true;
		event_active(&t->later, EV_TIMEOUT, 0);
		return 0;
	}
	err = build(t, cmps, n_cmps, &plan);
	if (err < 0)
		return err;
	send_part(t);
	return 0;
}

int store_txn(struct store *s, const struct store_cmp *cmps, size_t n_cmps,
	      const struct store_write *writes, size_t n_writes, store_txn_fn fn, void *arg,
	      struct store_op **ret)
{
	struct txn_op *t;
	int err;

	if (!is_sound(cmps, n_cmps, writes, n_writes))
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	op_init(&t->op, s, txn_free);
	t->fn = fn;
	t->arg = arg;
	t->guarded = n_cmps > 0;
	t->kvs.budget = &s->budget;
	err = start(t, cmps, n_cmps, writes, n_writes);
	if (err < 0) {
		store_op_cancel(&t->op);
		return err;
	}
	if (ret)
		*ret = &t->op;
	return 0;
}

int store_put(struct store *s, const char *key, const char *value, int64_t lease, store_txn_fn fn,
	      void *arg, struct store_op **ret)
{
	struct store_write w = { .kind = STORE_PUT, .key = key, .value = value, .lease = lease };

	return store_txn(s, NULL, 0, &w, 1, fn, arg, ret);
}

int store_delete(struct store *s, const char *key, bool prefix, store_txn_fn fn, void *arg,
		 struct store_op **ret)
{
	struct store_write w = { .kind = prefix ? STORE_DELETE_PREFIX : STORE_DELETE, .key = key };

	return store_txn(s, NULL, 0, &w, 1, fn, arg, ret);
}
