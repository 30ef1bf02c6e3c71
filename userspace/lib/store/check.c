// SPDX-License-Identifier: Apache-2.0
/* The small questions to a watch's endpoint; see follow_int.h. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "lib/json/json.h"
#include "lib/store/follow_int.h"

uint64_t store_value_hash(const struct store_kv *kv)
{
	uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

	for (size_t i = 0; i < kv->value_len; i++)
		h = (h ^ (unsigned char)kv->value[i]) * 0x100000001b3;
	return h;
}

static int check_header(struct store_follow *f, struct json_object *answer, struct err *e)
{
	struct store_header h;

	if (header_decode(answer, &h, e) < 0)
		return e->code;
	if (h.cluster_id != f->at.cluster_id || h.revision < f->at.revision)
		return err_set(e, -ESTALE, "the cluster was replaced or rolled back");
	return 0;
}

static bool anchor_holds(struct store_follow *f, struct json_object *answer)
{
	_cleanup_(kv_list_clear) struct kv_list found = {};
	struct json_object *kvs = NULL;
	int64_t count = 0;

	if (!f->anchor.key)
		return int64_decode(answer, "count", &count, NULL) == 0 && count == 0;
	if (json_opt_array(answer, "kvs", &kvs, NULL) < 0 || !kvs ||
	    json_object_array_length(kvs) != 1 ||
	    kv_list_add_json(&found, json_object_array_get_idx(kvs, 0), false, NULL) < 0)
		return false;
	return found.v[0].mod_revision == f->anchor.mod_revision &&
	       store_value_hash(&found.v[0]) == f->anchor.value_hash;
}

static void on_checked(struct store_request *r, struct json_object *answer, const struct err *err)
{
	struct store_follow *f = container_of(r, struct store_follow, ask);
	struct err e = *err;

	follow_enter(f);
	f->asking = false;
	if (!e.code && check_header(f, answer, &e) == 0 && !anchor_holds(f, answer))
		err_set(&e, -ESTALE, "the data were replaced");
	stream_checked(f, e.code ? &e : NULL);
	follow_leave(f);
}

/* Nothing that calls back, so that no follow goes meanwhile. `answer` NULL: some answer came. */
static void tell_neighbours(struct store_follow *f, struct json_object *answer, bool hangs)
{
	struct store_follow *other;

	DL_FOREACH (f->store->follows, other) {
		struct err e = {};

		if (!stream_shares_endpoint(other, f))
			continue;
		if (hangs)
			stream_doubt(other);
		else if (!answer || check_header(other, answer, &e) == 0)
			stream_reassure(other);
	}
}

static void on_probed(struct store_request *r, struct json_object *answer, const struct err *err)
{
	struct store_follow *f = container_of(r, struct store_follow, ask);
	struct err e = *err;

	follow_enter(f);
	f->asking = f->probing = false;
	tell_neighbours(f, e.code ? NULL : answer, e.code == -EAGAIN || e.code == -EPROTO);
	if (!e.code) {
		check_header(f, answer, &e);
	} else if (e.code == -EAGAIN || e.code == -EPROTO) {
		err_prefix(&e, "the watch's endpoint hangs");
		e.code = -EAGAIN;
	} else {
		/* A refusal is an answer: somebody is there. */
		e.code = 0;
	}
	stream_alive(f, e.code ? &e : NULL);
	follow_leave(f);
}

static int ask(struct store_follow *f, char *body,
	       void (*fn)(struct store_request *r, struct json_object *answer,
			  const struct err *err))
{
	f->ask.body = body;
	f->ask.store = f->store;
	f->ask.path = "/v3/kv/range";
	f->ask.retry = RETRY_ANY;
	f->ask.pinned = true;
	f->ask.attempt.endpoint = f->watch.endpoint;
	f->ask.fn = fn;
	f->asking = true;
	request_start(&f->ask);
	return 0;
}

/* Without an anchor the prefix was empty. */
int check_start(struct store_follow *f)
{
	_cleanup_(freep) char *body = NULL;
	FILE *file = open_memstream(&body, &f->ask.len);

	if (!file)
		return -ENOMEM;
	fputc('{', file);
	if (f->anchor.key) {
		put_bytes(file, "key", f->anchor.key, f->anchor.key_len);
	} else {
		put_prefix(file, f->prefix);
		fputs(",\"count_only\":true", file);
	}
	fprintf(file, ",\"revision\":\"%lld\"}", (long long)f->at.revision);
	if (put_close(file, &body) < 0)
		return -ENOMEM;
	return ask(f, TAKE_PTR(body), on_checked);
}

/* One key, counted only: the cheapest question that needs a leader. */
int probe_start(struct store_follow *f)
{
	_cleanup_(freep) char *body = NULL;
	FILE *file = open_memstream(&body, &f->ask.len);

	if (!file)
		return -ENOMEM;
	fputc('{', file);
	put_bytes(file, "key", f->prefix, f->prefix[0] ? strlen(f->prefix) : 1);
	fputs(",\"count_only\":true}", file);
	if (put_close(file, &body) < 0)
		return -ENOMEM;
	f->probing = true;
	return ask(f, TAKE_PTR(body), on_probed);
}
