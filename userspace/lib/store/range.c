// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "lib/json/json.h"
#include "lib/store/store_int.h"

#define PAGE_KEYS    1000
#define MAX_RESTARTS 5

/*
 * All pages are read at the first one's revision. When that is compacted away meanwhile, or the
 * cluster turns out to be another one, it begins anew.
 */
struct range_op {
	struct store_op op;
	char *key;
	bool prefix;
	store_range_fn fn;
	void *arg;
	struct kv_list kvs;
	struct store_header at; /* revision 0: no page yet */
	unsigned int limit, restarts;
};

static void range_free(struct store_op *op)
{
	struct range_op *r = container_of(op, struct range_op, op);

	kv_list_clear(&r->kvs);
	free(r->key);
	free(r);
}

static void finish(struct range_op *r, const struct err *err)
{
	struct store_range_result res = {
		.err = err->code,
		.error = err->msg,
		.revision = r->at.revision,
		.cluster_id = r->at.cluster_id,
	};

	if (!err->code) {
		res.kvs = r->kvs.v;
		res.n = r->kvs.n;
	}
	op_done(&r->op);
	/* After the callback the store may be gone, and its budget with it. */
	kv_list_unbudget(&r->kvs);
	r->fn(&res, r->arg);
	range_free(&r->op);
}

static int build_page(struct range_op *r, char **ret, size_t *ret_len)
{
	_cleanup_(freep) char *body = NULL;
	FILE *f = open_memstream(&body, ret_len);
	const struct store_kv *last;

	if (!f)
		return -ENOMEM;
	fputc('{', f);
	if (!r->prefix) {
		put_text(f, "key", r->key);
	} else if (!r->kvs.n) {
		put_prefix(f, r->key);
	} else {
		/* Where the last page ended: the next possible key is that one and a zero byte. */
		last = &r->kvs.v[r->kvs.n - 1];
		put_bytes(f, "key", last->key, last->key_len + 1);
		fputc(',', f);
		put_prefix_end(f, r->key);
	}
	if (r->prefix)
		fprintf(f, ",\"limit\":\"%u\"", r->limit);
	if (r->at.revision)
		fprintf(f, ",\"revision\":\"%lld\"", (long long)r->at.revision);
	fputc('}', f);
	if (put_close(f, &body) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(body);
	return 0;
}

static void on_page(struct store_request *req, struct json_object *answer, const struct err *err);

static int ask_page(struct range_op *r)
{
	struct store_request *req = &r->op.req;
	int err;

	req->store = r->op.store;
	req->path = "/v3/kv/range";
	req->retry = RETRY_ANY;
	req->stream = true;
	req->fn = on_page;
	err = build_page(r, &req->body, &req->len);
	if (err == 0)
		request_start(req);
	return err;
}

static int take_page(struct range_op *r, struct json_object *answer, bool *ret_more, struct err *e)
{
	struct json_object *kvs = NULL;
	struct store_header h;
	bool more = false;
	size_t n;
	int err;

	err = header_decode(answer, &h, e);
	if (err < 0)
		return err;
	if (r->at.revision && (h.cluster_id != r->at.cluster_id || h.revision < r->at.revision))
		return err_set(e, -ESTALE, "the cluster was replaced while it was read");
	if (!r->at.revision)
		r->at = h;
	if (json_opt_array(answer, "kvs", &kvs, e) < 0 ||
	    json_opt_bool(answer, "more", &more, e) < 0)
		return err_set(e, -EPROTO, "range: kvs or more has a wrong type");
	n = kvs ? json_object_array_length(kvs) : 0;
	for (size_t i = 0; i < n; i++) {
		err = kv_list_add_json(&r->kvs, json_object_array_get_idx(kvs, i), false, e);
		if (err < 0)
			return err_prefix(e, "range: kvs[%zu]", i);
	}
	/* "more" without a key would ask for the same page for ever. */
	*ret_more = more && n && r->prefix;
	return 0;
}

/* True when the page is asked for again, in another way. */
static bool try_again(struct range_op *r, const struct err *err)
{
	if (err->code == -ESTALE && r->restarts < MAX_RESTARTS) {
		r->restarts++;
		kv_list_clear(&r->kvs);
		r->at = (struct store_header){};
		return ask_page(r) == 0;
	}
	/* Values so large that one page of them is above the bound: smaller pages. */
	if (err->code == -E2BIG && r->limit > 1 && r->kvs.budget->used < r->kvs.budget->max / 2) {
		r->limit = MAX(r->limit / 8, 1u);
		return ask_page(r) == 0;
	}
	return false;
}

static void on_page(struct store_request *req, struct json_object *answer, const struct err *err)
{
	struct store_op *op = container_of(req, struct store_op, req);
	struct range_op *r = container_of(op, struct range_op, op);
	size_t before = r->kvs.n;
	struct err e = *err;
	bool more = false;

	if (!e.code)
		take_page(r, answer, &more, &e);
	if (!e.code && more && ask_page(r) < 0)
		err_set(&e, -ENOMEM, "out of memory");
	else if (!e.code && more)
		return;
	if (e.code && r->kvs.n == before && try_again(r, &e))
		return;
	if (e.code)
		err_prefix(&e, "reading '%s'", r->key);
	finish(r, &e);
}

int store_range(struct store *s, const char *key, bool prefix, store_range_fn fn, void *arg,
		struct store_op **ret)
{
	struct range_op *r;
	int err;

	if (!key[0] && !prefix)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	op_init(&r->op, s, range_free);
	r->prefix = prefix;
	r->fn = fn;
	r->arg = arg;
	r->limit = PAGE_KEYS;
	r->kvs.budget = &s->budget;
	r->key = strdup(key);
	err = r->key ? ask_page(r) : -ENOMEM;
	if (err < 0) {
		store_op_cancel(&r->op);
		return err;
	}
	if (ret)
		*ret = &r->op;
	return 0;
}
