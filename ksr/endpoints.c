// SPDX-License-Identifier: Apache-2.0
#include "ksr/endpoints.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>

#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/name.h"
#include "lib/json/json.h"

/* Each costs two comparisons, of the 128 that etcd takes. */
#define BATCH	     32u
#define LOOK_MAX_MS  15000u
#define NODE_KEY_LEN (sizeof(KEY_K8S_NODE) + NAME_MAX_SUBDOMAIN)

struct endpoint {
	UT_hash_handle hh;
	char *node; /* NULL: the value can't be read */
	int64_t revision;
	uint64_t orphan_ms; /* since when nobody is there to delete it; 0: somebody is */
	bool named;
	char key[];
};

struct endpoints {
	struct store *store;
	const struct table *table;
	const struct endpoints_ops *ops;
	void *arg;
	unsigned int grace_ms;
	struct event *timer;
	struct store_follow *follow;
	struct store_op *op;
	struct fence_value fence;
	struct endpoint *all;
	uint64_t removed;
	/* under way */
	size_t n_batch;
	char *first_key, *first_node;
};

/* ---- what etcd has ---- */

static void forget(struct endpoints *p, struct endpoint *en)
{
	HASH_DEL(p->all, en);
	free(en->node);
	free(en);
}

static int read_node(const struct store_kv *kv, char **ret, struct err *e)
{
	const char *node;
	_json_ *obj = NULL;
	int err = json_parse(kv->value, kv->value_len, &obj, e);

	if (!err)
		err = json_get_str(obj, "node", &node, e);
	if (!err && !name_is_subdomain(node))
		err = err_set(e, -EINVAL, "node: '%.64s' is not a DNS name in lower case", node);
	if (err < 0)
		return err;
	*ret = strdup(node);
	return *ret ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static struct endpoint *find_or_add(struct endpoints *p, const char *key)
{
	size_t n = strlen(key) + 1;
	struct endpoint *en;

	HASH_FIND_STR(p->all, key, en);
	if (en)
		return en;
	en = calloc(1, sizeof(*en) + n);
	if (!en)
		return NULL;
	memcpy(en->key, key, n);
	HASH_ADD_STR(p->all, key, en);
	return en;
}

static void note(struct endpoints *p, const struct store_kv *kv)
{
	struct endpoint *en = find_or_add(p, kv->key);
	struct err e = {};

	if (!en) {
		p->ops->on_trouble("out of memory", p->arg);
		return;
	}
	en->named = true;
	if (en->revision == kv->mod_revision)
		return;
	en->revision = kv->mod_revision;
	en->orphan_ms = 0;
	free(TAKE_PTR(en->node));
	if (read_node(kv, &en->node, &e) < 0)
		p->ops->on_bad(kv->key, &e, p->arg);
}

static void on_sync(const struct store_range_result *res, void *arg)
{
	struct endpoints *p = arg;
	struct endpoint *en, *tmp;

	for (en = p->all; en; en = en->hh.next)
		en->named = false;
	for (size_t i = 0; i < res->n; i++)
		note(p, &res->kvs[i]);
	HASH_ITER (hh, p->all, en, tmp) {
		if (!en->named)
			forget(p, en);
	}
}

static void on_change(const struct store_kv *events, size_t n, int64_t revision, void *arg)
{
	struct endpoints *p = arg;
	struct endpoint *en;

	for (size_t i = 0; i < n; i++) {
		if (events[i].value) {
			note(p, &events[i]);
			continue;
		}
		HASH_FIND_STR(p->all, events[i].key, en);
		if (en)
			forget(p, en);
	}
}

static void on_break(int err, const char *error, void *arg)
{
	struct endpoints *p = arg;

	p->ops->on_trouble(error, p->arg);
}

static const struct store_follow_ops follow_ops = {
	.on_sync = on_sync,
	.on_change = on_change,
	.on_break = on_break,
};

/* ---- who is gone ---- */

static bool pod_is_on(const struct table *t, const struct endpoint *en)
{
	_cleanup_(freep) char *key = NULL;
	const char *value, *node = "";
	_json_ *obj = NULL;

	if (asprintf(&key, KEY_K8S_POD "%s", en->key + strlen(KEY_ENDPOINT)) < 0)
		return true;
	if (!table_has(t, key, &value))
		return false;
	/* One that can't be read may well be there. */
	if (!value || json_parse(value, strlen(value), &obj, NULL) < 0)
		return true;
	json_opt_str(obj, "spec.nodeName", &node, NULL);
	return strcmp(node, en->node) == 0;
}

static bool is_orphan(const struct endpoints *p, const struct endpoint *en)
{
	char key[NODE_KEY_LEN];

	if (!en->node)
		return false;
	snprintf(key, sizeof(key), KEY_K8S_NODE "%s", en->node);
	return !table_has(p->table, key, NULL) && !pod_is_on(p->table, en);
}

/* ---- removing ---- */

static void batch_clear(struct endpoints *p)
{
	p->n_batch = 0;
	free(TAKE_PTR(p->first_key));
	free(TAKE_PTR(p->first_node));
}

static void on_removed(const struct store_txn_result *res, void *arg)
{
	struct endpoints *p = arg;

	p->op = NULL;
	/* Where a comparison failed, something lives after all: that is for the next look. */
	if (res->err) {
		p->ops->on_trouble(res->error, p->arg);
	} else if (res->succeeded) {
		p->removed += p->n_batch;
		p->ops->on_removed(p->n_batch, p->first_key, p->first_node, p->arg);
	}
	batch_clear(p);
}

static int start_batch(struct endpoints *p, const struct endpoint *first)
{
	p->first_key = strdup(first->key);
	p->first_node = strdup(first->node);
	if (p->first_key && p->first_node)
		return 0;
	batch_clear(p);
	return -ENOMEM;
}

static void remove_some(struct endpoints *p, struct endpoint *const *due, size_t n)
{
	struct store_cmp cmps[1 + 2 * BATCH] = {
		{ .kind = STORE_CMP_VALUE, .key = KEY_KSR_LEADER, .value = p->fence.text }
	};
	char nodes[BATCH][NODE_KEY_LEN];
	struct store_write writes[BATCH];
	int err = start_batch(p, due[0]);

	for (size_t i = 0; i < n; i++) {
		snprintf(nodes[i], sizeof(nodes[i]), KEY_K8S_NODE "%s", due[i]->node);
		cmps[1 + 2 * i] = (struct store_cmp){ .kind = STORE_CMP_MOD_REVISION,
						      .key = due[i]->key,
						      .number = due[i]->revision };
		cmps[2 + 2 * i] = (struct store_cmp){ .kind = STORE_CMP_ABSENT, .key = nodes[i] };
		writes[i] = (struct store_write){ .kind = STORE_DELETE, .key = due[i]->key };
		due[i]->orphan_ms = 0;
	}
	p->n_batch = n;
	if (!err)
		err = store_txn(p->store, cmps, 1 + 2 * n, writes, n, on_removed, p, &p->op);
	if (err < 0) {
		batch_clear(p);
		p->ops->on_trouble(strerror(-err), p->arg);
	}
}

static bool may_judge(const struct endpoints *p)
{
	return table_is_listed(p->table, KIND_NODE) && table_is_listed(p->table, KIND_POD) &&
	       table_count(p->table, KIND_NODE) > 0;
}

static void look(struct endpoints *p)
{
	uint64_t now = clock_ms();
	struct endpoint *due[BATCH], *en;
	bool may = may_judge(p);
	size_t n = 0;

	for (en = p->all; en; en = en->hh.next) {
		if (!may || !is_orphan(p, en))
			en->orphan_ms = 0;
		else if (!en->orphan_ms)
			en->orphan_ms = now;
		else if (now - en->orphan_ms >= p->grace_ms && n < BATCH)
			due[n++] = en;
	}
	if (n && !p->op)
		remove_some(p, due, n);
}

static void arm(struct endpoints *p)
{
	unsigned int ms = MIN(MAX(p->grace_ms / 4, 50u), LOOK_MAX_MS);
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(p->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
	arm(arg);
}

/* ---- life ---- */

int endpoints_new(struct event_base *base, struct store *s, const struct table *t,
		  unsigned int grace_ms, const struct endpoints_ops *ops, void *arg,
		  struct endpoints **ret)
{
	struct endpoints *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->store = s;
	p->table = t;
	p->grace_ms = grace_ms;
	p->ops = ops;
	p->arg = arg;
	p->timer = evtimer_new(base, on_timer, p);
	if (!p->timer) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

int endpoints_fence(struct endpoints *p, const struct fence_value *fence)
{
	p->fence = *fence;
	if (!event_pending(p->timer, EV_TIMEOUT, NULL))
		arm(p);
	return p->follow ? 0 : store_follow_new(p->store, KEY_ENDPOINT, &follow_ops, p, &p->follow);
}

void endpoints_stop(struct endpoints *p)
{
	struct endpoint *en, *tmp;

	store_op_cancel(TAKE_PTR(p->op));
	store_follow_free(TAKE_PTR(p->follow));
	event_del(p->timer);
	batch_clear(p);
	HASH_ITER (hh, p->all, en, tmp)
		forget(p, en);
}

void endpoints_free(struct endpoints *p)
{
	if (!p)
		return;
	endpoints_stop(p);
	event_free(p->timer);
	free(p);
}

size_t endpoints_count(const struct endpoints *p)
{
	return HASH_COUNT(p->all);
}

uint64_t endpoints_removed(const struct endpoints *p)
{
	return p->removed;
}
