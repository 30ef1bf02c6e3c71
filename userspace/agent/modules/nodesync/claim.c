// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "nodesync"
#include "agent/modules/nodesync/claim.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/etcd_keys.h"
#include "lib/base/log.h"
#include "lib/base/name.h"
#include "lib/json/json.h"

#define SYNCED_NODES KEY_KSR_SYNCED "node"

struct holder {
	uint32_t id;
	char *name; /* "" when the value can't be read */
	int64_t mod_revision;
};

struct claim {
	struct claim_config cfg;
	char *name;
	struct event *timer;
	struct store_op *op;
	unsigned int delay_ms;
	uint32_t id;		/* claimed, or of before */
	struct holder *holders; /* by id, ascending */
	size_t n_holders;
};

static void start(struct claim *c);

static void holders_release(struct claim *c)
{
	for (size_t i = 0; i < c->n_holders; i++)
		free(c->holders[i].name);
	free(c->holders);
	c->holders = NULL;
	c->n_holders = 0;
}

/* ---- outcome ---- */

static void retry(struct claim *c)
{
	struct timeval tv = { .tv_sec = c->delay_ms / 1000, .tv_usec = c->delay_ms % 1000 * 1000 };

	event_add(c->timer, &tv);
	c->delay_ms = MIN(c->delay_ms * 2, c->cfg.retry_max_ms);
}

static void failed(struct claim *c, const struct err *e)
{
	c->cfg.on_failed(e, c->cfg.arg);
	retry(c);
}

static void claimed(struct claim *c, uint32_t id)
{
	c->id = id;
	c->delay_ms = c->cfg.retry_min_ms;
	c->cfg.on_claimed(id, c->cfg.arg);
}

/* ---- writing ---- */

static void on_written(const struct store_txn_result *res, void *arg)
{
	struct claim *c = arg;
	struct err e = {};
	uint32_t id = c->id;

	c->op = NULL;
	if (res->err < 0) {
		c->id = c->cfg.known_id;
		err_set(&e, res->err, "can't claim a node id: %s", res->error ? res->error : "?");
		failed(c, &e);
	} else if (res->succeeded) {
		c->cfg.known_id = id;
		claimed(c, id);
	} else {
		c->id = c->cfg.known_id;
		err_set(&e, -EAGAIN,
			"node id %u: another node was faster, or the Node objects are not "
			"reflected",
			id);
		failed(c, &e);
	}
}

static void write_claim(struct claim *c, uint32_t id, const struct holder *instead_of)
{
	char key[64], node_key[512], k8s_key[512];
	_json_ *value = json_object_new_object();
	struct store_cmp cmps[3] = { { .kind = STORE_CMP_ABSENT, .key = key } };
	struct store_write writes[2] = { { .kind = STORE_PUT, .key = key } };
	size_t n_cmps = 1, n_writes = 1;
	struct err e = {};
	int err;

	snprintf(key, sizeof(key), KEY_ALLOC_NODE "%u", id);
	if (!value || json_add_str(value, "name", c->name) < 0) {
		err_set(&e, -ENOMEM, "can't claim a node id: out of memory");
		failed(c, &e);
		return;
	}
	writes[0].value = json_text(value);
	if (instead_of) {
		snprintf(k8s_key, sizeof(k8s_key), KEY_K8S_NODE "%s", instead_of->name);
		snprintf(node_key, sizeof(node_key), KEY_NODE "%s", instead_of->name);
		cmps[0] = (struct store_cmp){ .kind = STORE_CMP_MOD_REVISION,
					      .key = key,
					      .number = instead_of->mod_revision };
		cmps[n_cmps++] = (struct store_cmp){ .kind = STORE_CMP_ABSENT, .key = k8s_key };
		cmps[n_cmps++] =
			(struct store_cmp){ .kind = STORE_CMP_EXISTS, .key = SYNCED_NODES };
		writes[n_writes++] = (struct store_write){ .kind = STORE_DELETE, .key = node_key };
	}
	c->id = id;
	err = store_txn(c->cfg.store, cmps, n_cmps, writes, n_writes, on_written, c, &c->op);
	if (err < 0) {
		c->id = c->cfg.known_id;
		err_errno(&e, err, "can't claim a node id");
		failed(c, &e);
	}
}

/* ---- taking over ---- */

static bool key_is(const struct store_kv *kv, const char *prefix, const char *name)
{
	size_t n = strlen(prefix);

	return kv->key_len == n + strlen(name) && memcmp(kv->key, prefix, n) == 0 &&
	       memcmp(kv->key + n, name, strlen(name)) == 0;
}

static bool node_exists(const struct store_range_result *res, const char *name)
{
	for (size_t i = 0; i < res->n; i++)
		if (key_is(&res->kvs[i], KEY_K8S_NODE, name))
			return true;
	return false;
}

static void on_k8s_nodes(const struct store_range_result *res, void *arg)
{
	struct claim *c = arg;
	struct err e = {};

	c->op = NULL;
	if (res->err < 0) {
		err_set(&e, res->err, "can't read the Node objects: %s",
			res->error ? res->error : "?");
		failed(c, &e);
		return;
	}
	for (size_t i = 0; i < c->n_holders; i++) {
		const struct holder *h = &c->holders[i];

		if (!h->name[0] || h->id > c->cfg.max_id || node_exists(res, h->name))
			continue;
		log_info("taking over node id %u of '%s', which is no longer in the cluster", h->id,
			 h->name);
		write_claim(c, h->id, h);
		return;
	}
	err_set(&e, -ENOSPC, "all %u node ids that cluster.podCIDRs has room for are taken",
		c->cfg.max_id);
	failed(c, &e);
}

static void take_over(struct claim *c)
{
	struct err e = {};
	int err = store_range(c->cfg.store, KEY_K8S_NODE, true, on_k8s_nodes, c, &c->op);

	if (err < 0) {
		err_errno(&e, err, "can't read the Node objects");
		failed(c, &e);
	}
}

/* ---- deciding ---- */

static const struct holder *holder_of(const struct claim *c, uint32_t id)
{
	for (size_t i = 0; i < c->n_holders; i++)
		if (c->holders[i].id == id)
			return &c->holders[i];
	return NULL;
}

static uint32_t first_free(const struct claim *c)
{
	for (uint32_t id = 1; id <= c->cfg.max_id; id++)
		if (!holder_of(c, id))
			return id;
	return 0;
}

static void again(struct claim *c)
{
	const struct holder *h = holder_of(c, c->cfg.known_id);
	struct err e = {};

	if (!h) {
		log_info("etcd does not know node id %u of this node; claiming it again",
			 c->cfg.known_id);
		write_claim(c, c->cfg.known_id, NULL);
		return;
	}
	if (strcmp(h->name, c->name) == 0) {
		claimed(c, h->id);
		return;
	}
	err_set(&e, -EADDRINUSE,
		"node id %u, which this node ('%s') uses, belongs to '%s' in etcd: both would give "
		"out the same pod addresses. Drain one of the two, stop its agent, delete its "
		"state "
		"folder and start it anew",
		c->cfg.known_id, c->name, h->name);
	failed(c, &e);
}

static void decide(struct claim *c)
{
	uint32_t id;

	if (c->cfg.known_id) {
		again(c);
		return;
	}
	for (size_t i = 0; i < c->n_holders; i++) {
		if (strcmp(c->holders[i].name, c->name) != 0)
			continue;
		c->cfg.known_id = c->holders[i].id;
		claimed(c, c->holders[i].id);
		return;
	}
	id = first_free(c);
	if (id)
		write_claim(c, id, NULL);
	else
		take_over(c);
}

/* ---- reading ---- */

/* Decimal without sign or leading zero; 0 for anything else. */
static uint32_t parse_id(const char *text, size_t len)
{
	uint32_t id = 0;

	if (!len || len > 9 || text[0] == '0')
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		id = id * 10 + (text[i] - '0');
	}
	return id;
}

static int add_holder(struct claim *c, const struct store_kv *kv)
{
	size_t skip = strlen(KEY_ALLOC_NODE);
	uint32_t id = kv->key_len > skip ? parse_id(kv->key + skip, kv->key_len - skip) : 0;
	struct holder *bigger;
	_json_ *value = NULL;
	const char *name = "";

	if (!id) {
		log_limited(LOG_LVL_WARN, 3, "etcd: key '%.*s' has no node id", (int)kv->key_len,
			    kv->key);
		return 0;
	}
	/* An unreadable value still means that the id is taken. */
	if (json_parse(kv->value, kv->value_len, &value, NULL) < 0 ||
	    json_get_str(value, "name", &name, NULL) < 0) {
		log_limited(LOG_LVL_WARN, 3, "etcd: '" KEY_ALLOC_NODE "%u' is unreadable", id);
		name = "";
	} else if (!name_is_subdomain(name)) {
		log_limited(LOG_LVL_WARN, 3,
			    "etcd: '" KEY_ALLOC_NODE
			    "%u': name: '%.64s' is not a DNS name in lower "
			    "case, as nodes have",
			    id, name);
		name = "";
	}
	bigger = reallocarray(c->holders, c->n_holders + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	c->holders = bigger;
	bigger[c->n_holders] =
		(struct holder){ .id = id, .name = strdup(name), .mod_revision = kv->mod_revision };
	if (!bigger[c->n_holders].name)
		return -ENOMEM;
	c->n_holders++;
	return 0;
}

static void on_listed(const struct store_range_result *res, void *arg)
{
	struct claim *c = arg;
	struct err e = {};

	c->op = NULL;
	if (res->err < 0) {
		err_set(&e, res->err, "can't read the node ids: %s", res->error ? res->error : "?");
		failed(c, &e);
		return;
	}
	holders_release(c);
	for (size_t i = 0; i < res->n; i++) {
		if (add_holder(c, &res->kvs[i]) < 0) {
			err_set(&e, -ENOMEM, "can't read the node ids: out of memory");
			failed(c, &e);
			return;
		}
	}
	decide(c);
}

static void start(struct claim *c)
{
	struct err e = {};
	int err = store_range(c->cfg.store, KEY_ALLOC_NODE, true, on_listed, c, &c->op);

	if (err < 0) {
		err_errno(&e, err, "can't read the node ids");
		failed(c, &e);
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct claim *c = arg;

	if (!c->op)
		start(c);
}

void claim_verify(struct claim *c)
{
	if (!c->op && !event_pending(c->timer, EV_TIMEOUT, NULL))
		start(c);
}

int claim_new(const struct claim_config *cfg, struct claim **ret)
{
	struct claim *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->cfg = *cfg;
	c->id = cfg->known_id;
	c->delay_ms = cfg->retry_min_ms;
	c->name = strdup(cfg->name);
	c->timer = event_new(cfg->base, -1, 0, on_timer, c);
	if (!c->name || !c->timer) {
		claim_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void claim_free(struct claim *c)
{
	if (!c)
		return;
	if (c->op)
		store_op_cancel(c->op);
	if (c->timer)
		event_free(c->timer);
	holders_release(c);
	free(c->name);
	free(c);
}
