// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "policy"
#include "agent/modules/policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/db/db.h"
#include "agent/modules/modules.h"
#include "agent/modules/pods/pods.h"
#include "agent/modules/policy/private.h"
#include "agent/modules/policy/verdict.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"

struct policy_module *policy_get(struct agent *a)
{
	return module_state(a, &policy_module);
}

/* ---- objects ---- */

typedef int (*set_fn)(struct world *w, const char *key, struct json_object *obj, struct err *e);

#define TOGETHER_MS 20

#define IT_STAYS     "what was known before holds"
#define OR_IS_CLOSED "its text of before holds; if there is none, it lets nothing through"

static const struct {
	const char *prefix;
	set_fn set;
	const char *otherwise;
} sources[] = {
	{ KEY_K8S "namespace/", world_set_namespace, IT_STAYS },
	{ KEY_K8S_POD, world_set_pod, IT_STAYS },
	{ KEY_K8S_NODE, world_set_node, IT_STAYS },
	{ KEY_K8S "networkpolicy/", world_set_policy, OR_IS_CLOSED },
	{ KEY_K8S "clusternetworkpolicy/", world_set_cluster_policy, OR_IS_CLOSED },
	{ KEY_ENDPOINT, world_set_published_pod, IT_STAYS },
	{ KEY_NODE, world_set_published_node, IT_STAYS },
};

static void set_object(struct policy_module *m, size_t source, const char *key,
		       struct json_object *value)
{
	const char *name = key + strlen(sources[source].prefix);
	struct err e = {};

	if (sources[source].set(m->world, name, value, &e) >= 0)
		return;
	m->unreadable++;
	log_limited(LOG_LVL_WARN, 20, "%s; %s", e.msg, sources[source].otherwise);
}

struct loading {
	struct policy_module *m;
	size_t source;
};

static int load_object(const char *key, struct json_object *value, void *arg)
{
	struct loading *l = arg;

	set_object(l->m, l->source, key, value);
	return 0;
}

static void load_all(struct policy_module *m)
{
	struct loading l = { .m = m };

	world_begin(m->world);
	for (l.source = 0; l.source < ARRAY_SIZE(sources); l.source++)
		db_foreach(m->agent, sources[l.source].prefix, load_object, &l);
	world_end(m->world);
}

static bool is_synced(const struct policy_module *m)
{
	static const char *const marks[] = {
		KEY_KSR_SYNCED "namespace",
		KEY_KSR_SYNCED "pod",
		KEY_KSR_SYNCED "node",
		KEY_KSR_SYNCED "networkpolicy",
		KEY_KSR_SYNCED "clusternetworkpolicy",
	};

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (!db_get(m->agent, marks[i]))
			return false;
	return true;
}

/* ---- endpoints ---- */

static int set_endpoint(struct policy_module *m, const struct attachment *att)
{
	union loom_addr addrs[2];
	size_t n = 0;
	char key[600];

	if (!addr_is_zero(&att->ips.ip4))
		addrs[n++] = att->ips.ip4;
	if (!addr_is_zero(&att->ips.ip6))
		addrs[n++] = att->ips.ip6;
	snprintf(key, sizeof(key), "%s/%s", att->pod_namespace, att->pod_name);
	return world_set_endpoint(m->world, att->ep, *att->pod_name ? key : NULL, att->pod_uid,
				  addrs, n);
}

static int load_endpoint(const struct attachment *att, void *arg)
{
	struct policy_module *m = arg;
	int err = set_endpoint(m, att);

	if (err < 0)
		log_warn("endpoint %u of pod '%s/%s' stays closed: %s", att->ep, att->pod_namespace,
			 att->pod_name, strerror(-err));
	return 0;
}

static int is_endpoint(const struct attachment *att, void *arg)
{
	return 1;
}

/* ---- to the maps ---- */

static void later(struct event *ev, unsigned int ms)
{
	const struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	evtimer_add(ev, &tv);
}

static void reap_later(struct policy_module *m)
{
	if (!evtimer_pending(m->reap, NULL))
		later(m->reap, REAP_AFTER_MS + 50);
}

static void commit(struct policy_module *m)
{
	uint64_t start = clock_ns();
	int err;

	m->since = 0;
	if (!m->loaded)
		return;
	err = world_commit(m->world, clock_ms());
	m->seconds += (clock_ns() - start) / 1e9;
	reap_later(m);
	if (err < 0) {
		log_warn("a map of policies could not be written: %s", strerror(-err));
		agent_heal(m->agent, "a map of policies could not be written");
	}
}

static void commit_soon(struct policy_module *m)
{
	m->since = m->since ?: clock_ms();
	event_active(m->commit, EV_TIMEOUT, 0);
}

/* Changes that come together are brought to the maps together: each costs what all the policies of
 * the pods concerned cost. But not long after the first. */
static void on_commit(evutil_socket_t fd, short what, void *arg)
{
	struct policy_module *m = arg;

	if (event_queue_len(m->agent) && m->since && clock_ms() - m->since < TOGETHER_MS)
		event_active(m->commit, EV_TIMEOUT, 0);
	else
		commit(m);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	struct policy_module *m = arg;
	uint64_t start = clock_ns();
	bool more = world_reap(m->world, clock_ms());

	m->seconds += (clock_ns() - start) / 1e9;
	/* What did not fit before may do now. */
	if (m->world->wants_commit)
		commit(m);
	else if (more)
		reap_later(m);
}

static void on_problem(const char *text, void *arg)
{
	log_limited(LOG_LVL_ERROR, 20, "%s", text);
}

static int on_bump(void *arg)
{
	return datapath_bump_policy_gen(arg);
}

static struct json_object *on_verdict(const struct loom_event *ev, void *arg)
{
	const struct policy_module *m = arg;

	return verdict_json(m->world, ev);
}

/* ---- start ---- */

static int open_world(struct policy_module *m, struct err *e)
{
	struct agent *a = m->agent;
	struct polmaps maps = {
		.ops = &kmaps_ops,
		.arg = &m->kmaps,
		.max_sets = datapath_map_size(a, "loom_pol") / 2,
		.max_rules = datapath_map_size(a, "loom_polrule"),
		.max_classes = datapath_map_size(a, "loom_class"),
		.max_idents = datapath_map_size(a, "loom_ident"),
		.max_eps = datapath_map_size(a, "loom_epol"),
	};
	int err;

	for (enum polmap map = 0; map < POLMAPS; map++)
		m->kmaps.fds[map] = datapath_map_fd(a, polmap_name(map));
	m->kmaps.bump = on_bump;
	m->kmaps.arg = a;
	err = world_new(&maps, &m->world);
	if (!err) {
		m->world->police_host = !agent_cfg(a)->policy.allow_from_host;
		m->world->on_problem = on_problem;
		err = world_adopt(m->world);
	}
	if (!err)
		datapath_on_verdict(a, on_verdict, m);
	if (err < 0) {
		world_free(TAKE_PTR(m->world));
		return err_errno(e, err, "the maps of policies can't be read");
	}
	return 0;
}

/*
 * Nothing is written before all is known. A node without pods is closed meanwhile, so that its
 * first ones wait for their policies; pods that run already go on as an earlier run has left them.
 */
static void hold(struct policy_module *m)
{
	if (!pods_foreach(m->agent, is_endpoint, NULL))
		world_close(m->world);
}

static void look_for_sync(struct policy_module *m)
{
	if (m->loaded || !is_synced(m))
		return;
	m->loaded = true;
	log_info("all objects that policies need are known");
}

/* Policies of an earlier run must not go on to hold where they are switched off. */
static int switch_off(struct agent *a, struct err *e)
{
	int fd = datapath_map_fd(a, polmap_name(POLMAP_EPOL));
	struct kmaps k = { .fds[POLMAP_EPOL] = fd };
	const struct loom_epol none = {};
	uint32_t zero = 0;
	int err = fd < 0 ? 0 : kmaps_ops.update(&k, POLMAP_EPOL, &zero, &none);

	return err < 0 ? err_errno(e, err, "policies can't be switched off") : 0;
}

static int policy_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct policy_module *m = policy_get(a);
	bool first;
	int err;

	if (!m)
		return switch_off(a, e);
	first = !m->world;
	err = first ? open_world(m, e) : 0;
	if (err < 0)
		return err;
	/* Otherwise the changes have told all that there is. */
	if (first || ev->type->method == EVENT_FULL_RESYNC)
		load_all(m);
	if (first)
		pods_foreach(a, load_endpoint, m);
	if (first && !is_synced(m))
		hold(m);
	look_for_sync(m);
	m->world->broken |= !first && ev->type->method == EVENT_FULL_RESYNC && m->loaded;
	commit(m);
	return 0;
}

/* ---- events ---- */

static bool policy_handles(struct agent *a, const struct agent_event *ev)
{
	if (!policy_get(a))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (db_change_below(ev, sources[i].prefix))
			return true;
	return ev->type == &add_pod_type || ev->type == &del_pod_type ||
	       db_change_below(ev, KEY_KSR_SYNCED);
}

static void take_change(struct policy_module *m, const struct db_change *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (strncmp(c->key, sources[i].prefix, strlen(sources[i].prefix)) == 0)
			set_object(m, i, c->key, c->new_value);
	look_for_sync(m);
	commit_soon(m);
}

static int policy_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct policy_module *m = policy_get(a);
	const struct db_change *c = db_change_below(ev, KEY_ROOT);
	int err = 0;

	if (!m->world)
		return 0;
	if (ev->type == &add_pod_type) {
		/* Before the request is answered: the pod finds its policies. */
		err = set_endpoint(m, container_of(ev, struct add_pod, ev)->att);
		commit(m);
	} else if (ev->type == &del_pod_type) {
		world_del_endpoint(m->world, container_of(ev, struct del_pod, ev)->att->ep);
		commit_soon(m);
	} else if (c) {
		take_change(m, c);
	}
	return err < 0 ? err_errno(e, err, "policy") : 0;
}

/* The pod's ADD failed as a whole. */
static void policy_revert(struct agent *a, struct agent_event *ev)
{
	struct policy_module *m = policy_get(a);

	if (m && m->world && ev->type == &add_pod_type)
		world_del_endpoint(m->world, container_of(ev, struct add_pod, ev)->att->ep);
}

/* ---- life ---- */

static int start(struct policy_module *m)
{
	struct event_base *base = agent_base(m->agent);
	int err = 0;

	m->commit = evtimer_new(base, on_commit, m);
	m->reap = evtimer_new(base, on_reap, m);
	if (!m->commit || !m->reap)
		return -ENOMEM;
	for (size_t i = 0; !err && i < ARRAY_SIZE(sources); i++)
		err = db_follow(m->agent, sources[i].prefix);
	return err ?: policy_routes(m);
}

static int policy_init(struct agent *a, struct err *e)
{
	struct policy_module *m;
	int err;

	if (!agent_cfg(a)->policy.enabled)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return err_set(e, -ENOMEM, "out of memory");
	m->agent = a;
	module_set_state(a, &policy_module, m);
	err = start(m);
	return err < 0 ? err_errno(e, err, "policy") : 0;
}

static void policy_fini(struct agent *a)
{
	struct policy_module *m = policy_get(a);

	if (!m)
		return;
	datapath_on_verdict(a, NULL, NULL);
	if (m->commit)
		event_free(m->commit);
	if (m->reap)
		event_free(m->reap);
	world_free(m->world);
	module_set_state(a, &policy_module, NULL);
	free(m);
}

const struct module policy_module = {
	.name = "policy",
	.needs = NEEDS("db", "datapath", "nodesync", "pods"),
	.init = policy_init,
	.fini = policy_fini,
	.handles = policy_handles,
	.update = policy_update,
	.resync = policy_resync,
	.revert = policy_revert,
	.metrics = policy_metrics,
	.status = policy_status,
};
