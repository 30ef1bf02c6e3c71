// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "nodesync"
#include "agent/modules/nodesync/nodesync.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/modules.h"
#include "agent/modules/nodesync/private.h"
#include "agent/modules/uplink/uplink.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/json/json.h"

#define LOCAL_TABLE "node"

static void identity_free(struct agent_event *ev)
{
	free(ev);
}

const struct event_type node_identity_type = {
	.name = "node-identity",
	.method = EVENT_UPSTREAM_RESYNC,
	.free = identity_free,
};

struct nodesync *nodesync_get(struct agent *a)
{
	return module_state(a, &nodesync_module);
}

const struct node_identity *nodesync_self(struct agent *a)
{
	return &nodesync_get(a)->self;
}

static void push_identity(struct nodesync *m)
{
	struct agent_event *ev = calloc(1, sizeof(*ev));

	if (!ev) {
		agent_heal(m->agent, "node identity changed");
		return;
	}
	ev->type = &node_identity_type;
	event_push(m->agent, ev);
	agent_ready_changed(m->agent);
}

static void waits_for(struct nodesync *m, const struct err *e)
{
	if (strcmp(m->why.msg, e->msg) != 0) {
		if (e->code == -EADDRINUSE || e->code == -ENOSPC || e->code == -ERANGE ||
		    e->code == -EINVAL)
			log_error("%s", e->msg);
		else
			log_warn("%s", e->msg);
	}
	m->why = *e;
	agent_ready_changed(m->agent);
}

/* ---- pod CIDRs ---- */

static int cidrs_from_k8s(struct nodesync *m, struct prefix ret[NODE_MAX_CIDRS], size_t *ret_n,
			  struct err *e)
{
	char key[512];
	struct json_object *node;
	int err;

	snprintf(key, sizeof(key), KEY_K8S_NODE "%s", m->name);
	node = db_get(m->agent, key);
	if (!node)
		return err_set(e, -ENOENT, "node '%s': no such Node object yet", m->name);
	err = node_cidrs_from_k8s(node, &agent_cfg(m->agent)->cluster.cidrs, ret, ret_n, e);
	return err < 0 ? err_prefix(e, "node '%s'", m->name), err : 0;
}

/* Derives the node's pod CIDRs anew. Returns whether they changed. */
static bool refresh_cidrs(struct nodesync *m)
{
	const struct agent_config *cfg = agent_cfg(m->agent);
	struct prefix now[NODE_MAX_CIDRS] = {};
	struct err e = {};
	size_t n = 0;
	bool same;
	int err;

	if (!m->self.id)
		return false;
	if (cfg->cluster.source == POD_CIDR_KUBERNETES)
		err = cidrs_from_k8s(m, now, &n, &e);
	else
		err = node_cidrs_by_id(&cfg->cluster.cidrs, cfg->cluster.block4,
				       cfg->cluster.block6, m->self.id, now, &n, &e);
	if (err < 0) {
		/* What is known goes on being used: pods run with it. */
		if (!m->self.n_pod_cidrs || err != -ENOENT)
			waits_for(m, &e);
		return false;
	}
	if (m->confirmed)
		m->why = (struct err){};
	same = n == m->self.n_pod_cidrs;
	for (size_t i = 0; same && i < n; i++)
		same = prefix_equal(&now[i], &m->cidrs[i]);
	memcpy(m->cidrs, now, sizeof(now));
	m->self.pod_cidrs = m->cidrs;
	m->self.n_pod_cidrs = n;
	return !same;
}

/* ---- the id ---- */

static void on_claimed(uint32_t id, void *arg)
{
	struct nodesync *m = arg;
	bool news = m->self.id != id;
	char text[16];
	int err;

	snprintf(text, sizeof(text), "%u", id);
	if (news) {
		err = db_local_put(m->agent, LOCAL_TABLE, "id", text);
		if (err < 0)
			log_error("node id %u can't be kept in the local store: %s", id,
				  strerror(-err));
		log_info("this node, '%s', has id %u", m->name, id);
	}
	news |= !m->confirmed;
	m->self.id = id;
	m->confirmed = true;
	m->why = (struct err){};
	if (refresh_cidrs(m) || news)
		push_identity(m);
}

static void on_claim_failed(const struct err *e, void *arg)
{
	struct nodesync *m = arg;

	/* etcd away: the id of before is good enough. A conflict is not. */
	if (e->code == -EADDRINUSE)
		m->confirmed = false;
	if (!m->self.id || e->code == -EADDRINUSE)
		waits_for(m, e);
}

static int recall(const char *key, const char *value, void *arg)
{
	struct nodesync *m = arg;
	char *end;
	unsigned long id;

	if (strcmp(key, "routes") == 0)
		m->routes = strtoull(value, NULL, 16);
	if (strcmp(key, "id") != 0)
		return 0;
	id = strtoul(value, &end, 10);
	if (*end || !id || id >= LOOM_MAX_NODES)
		log_error("local store: node id '%.32s' is unreadable", value);
	else
		m->self.id = id;
	return 0;
}

/* ---- publishing ---- */

static void publish(struct nodesync *m)
{
	_json_ *o = NULL;
	struct node_info info;
	char key[512];

	/* Others must not learn of an id that is another node's. */
	if (!m->confirmed || !m->self.n_pod_cidrs || !uplink_get(m->agent))
		return;
	nodesync_own_info(m, &info);
	o = node_info_json(&info, m->name);
	snprintf(key, sizeof(key), KEY_NODE "%s", m->name);
	if (!o || db_publish(m->agent, key, json_text(o)) < 0)
		agent_heal(m->agent, "the node's own object could not be published");
}

/* ---- the others ---- */

struct addr_list {
	union loom_addr v[256];
	size_t n;
};

static int add_addr(const union loom_addr *addr, void *arg)
{
	struct addr_list *l = arg;

	l->v[l->n++] = *addr;
	return l->n == ARRAY_SIZE(l->v);
}

static void set_own(struct nodesync *m)
{
	struct addr_list l = {};

	uplink_host_addresses(m->agent, add_addr, &l);
	peers_set_own(m->peers, m->self.id, m->self.pod_cidrs, m->self.n_pod_cidrs, l.v, l.n);
}

static void set_peer(struct nodesync *m, const char *name, struct json_object *obj)
{
	struct err e = {};

	if (strcmp(name, m->name) == 0)
		return;
	if (peers_set(m->peers, name, obj, &agent_cfg(m->agent)->cluster.cidrs, &e) < 0) {
		m->refused++;
		log_limited(LOG_LVL_WARN, 10, "%s", e.msg);
	}
}

static int load_peer(const char *key, struct json_object *value, void *arg)
{
	set_peer(arg, key + strlen(KEY_NODE), value);
	return 0;
}

static void load_peers(struct nodesync *m)
{
	peers_mark(m->peers);
	db_foreach(m->agent, KEY_NODE, load_peer, m);
	peers_sweep(m->peers);
	set_own(m);
	peers_settle(m->peers);
}

struct put {
	struct nodesync *m;
	struct txn *txn;
};

static int put_peer(const struct peer *peer, void *arg)
{
	struct put *p = arg;

	if (peer->problem.code)
		log_limited(LOG_LVL_WARN, 10, "%s", peer->problem.msg);
	return nodesync_put_peer(p->m, peer, p->txn);
}

/* What one node lets go of may be what another one waits for, so all that are settled are put. */
static int change_peer(struct nodesync *m, const char *name, struct json_object *obj,
		       struct txn *txn)
{
	const struct peer *peer = peers_find(m->peers, name);
	struct put p = { m, txn };
	struct peer before = {};

	if (strcmp(name, m->name) == 0)
		return 0;
	if (peer)
		before = *peer;
	set_peer(m, name, obj);
	set_own(m);
	peers_settle(m->peers);
	nodesync_delete_lost(m, &before, txn);
	return peers_foreach_settled(m->peers, put_peer, &p);
}

/*
 * Flows remember the link by which the kernel's routes led outside, which no item of ours tells.
 * The routes' fingerprint is kept, so that a change while the agent was away counts, and its
 * restart alone does not.
 */
static void follow_routes(struct nodesync *m)
{
	uint64_t now = uplink_routes(m->agent);
	char text[32];

	if (now == m->routes)
		return;
	m->routes = now;
	datapath_bump_route_gen(m->agent);
	snprintf(text, sizeof(text), "%" PRIx64, now);
	db_local_put(m->agent, LOCAL_TABLE, "routes", text);
}

/* ---- events ---- */

static bool nodesync_handles(struct agent *a, const struct agent_event *ev)
{
	return db_change_below(ev, KEY_NODE) || db_change_below(ev, KEY_K8S_NODE);
}

static int nodesync_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct nodesync *m = nodesync_get(a);
	const struct db_change *c = db_change_below(ev, KEY_NODE);
	int err;

	if (!c) {
		if (refresh_cidrs(m))
			push_identity(m);
		return 0;
	}
	err = change_peer(m, c->key + strlen(KEY_NODE), c->new_value, txn);
	return err < 0 ? err_errno(e, err, "node '%s'", c->key + strlen(KEY_NODE)) : 0;
}

static int nodesync_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct nodesync *m = nodesync_get(a);
	struct put p = { m, txn };
	int err;

	if (ev->type == &db_resync_type || !m->confirmed)
		claim_verify(m->claim);
	refresh_cidrs(m);
	load_peers(m);
	err = nodesync_put_cluster(m, txn);
	if (!err)
		err = nodesync_put_self(m, txn);
	if (!err)
		err = peers_foreach(m->peers, put_peer, &p);
	follow_routes(m);
	publish(m);
	return err < 0 ? err_errno(e, err, "nodes") : 0;
}

static int nodesync_ready(struct agent *a, struct err *e)
{
	struct nodesync *m = nodesync_get(a);

	if (m->why.code)
		return err_set(e, -EAGAIN, "%s", m->why.msg);
	if (!m->self.id)
		return err_set(e, -EAGAIN, "the node has no id yet");
	return m->self.n_pod_cidrs ? 0 : err_set(e, -EAGAIN, "the node has no pod CIDR yet");
}

/* ---- module ---- */

static void nodesync_fini(struct agent *a)
{
	struct nodesync *m = nodesync_get(a);

	if (!m)
		return;
	claim_free(m->claim);
	peers_free(m->peers);
	free(m);
	module_set_state(a, &nodesync_module, NULL);
}

static int start_claim(struct nodesync *m, struct err *e)
{
	const struct agent_config *cfg = agent_cfg(m->agent);
	bool by_id = cfg->cluster.source == POD_CIDR_NODE_ID;
	const struct claim_config c = {
		.base = agent_base(m->agent),
		.store = db_store(m->agent),
		.name = m->name,
		.known_id = m->self.id,
		.max_id = by_id ? node_max_id(&cfg->cluster.cidrs, cfg->cluster.block4,
					      cfg->cluster.block6)
				: LOOM_MAX_NODES - 1,
		.retry_min_ms = cfg->controller.retry_min_ms,
		.retry_max_ms = cfg->controller.retry_max_ms,
		.on_claimed = on_claimed,
		.on_failed = on_claim_failed,
		.arg = m,
	};

	if (claim_new(&c, &m->claim) < 0 || peers_new(&m->peers) < 0)
		return err_errno(e, -ENOMEM, "nodesync");
	return 0;
}

static int nodesync_init(struct agent *a, struct err *e)
{
	struct nodesync *m = calloc(1, sizeof(*m));
	time_t now = clock_real_ms() / 1000;
	struct tm tm;
	int err;

	if (!m)
		return err_errno(e, -ENOMEM, "nodesync");
	m->agent = a;
	m->self.name = m->name;
	m->self.pod_cidrs = m->cidrs;
	module_set_state(a, &nodesync_module, m);
	if (gmtime_r(&now, &tm))
		strftime(m->started, sizeof(m->started), "%Y-%m-%dT%H:%M:%SZ", &tm);
	snprintf(m->name, sizeof(m->name), "%s", agent_cfg(a)->node_name);
	db_local_foreach(a, LOCAL_TABLE, recall, m);
	err = start_claim(m, e);
	if (err < 0)
		return err;
	refresh_cidrs(m);
	return nodesync_routes(m);
}

const struct module nodesync_module = {
	.name = "nodesync",
	.needs = NEEDS("db", "uplink", "datapath", "hostlink"),
	.init = nodesync_init,
	.fini = nodesync_fini,
	.handles = nodesync_handles,
	.update = nodesync_update,
	.resync = nodesync_resync,
	.ready = nodesync_ready,
	.metrics = nodesync_metrics,
	.status = nodesync_status,
};
