// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "ipam"
#include "agent/modules/ipam/ipam.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/db.h"
#include "agent/modules/ipam/pool.h"
#include "agent/modules/modules.h"
#include "agent/modules/nodesync/nodesync.h"
#include "agent/modules/pods/pods.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* Resting addresses outlive the agent in the local store, as "<until> <ip4> <ip6>" in real time. */
#define REST_TABLE "ipam-rest"

struct ipam {
	struct agent *agent;
	struct pool *pool;
	struct event *timer; /* set only while something rests */
	bool synced;	     /* the attachments of before are known */
	uint64_t allocations, releases, exhausted;
};

static struct ipam *get(struct agent *a)
{
	return module_state(a, &ipam_module);
}

/* ---- rest ---- */

static const char *rest_key(const struct pod_ips *ips, char buf[static ADDR_STRLEN])
{
	return addr_format(addr_is_zero(&ips->ip4) ? &ips->ip6 : &ips->ip4, buf);
}

static void remember_rest(struct ipam *m, const struct pod_ips *ips, uint64_t for_ms)
{
	char key[ADDR_STRLEN], a4[ADDR_STRLEN], a6[ADDR_STRLEN], value[160];
	int err;

	snprintf(value, sizeof(value), "%" PRIu64 " %s %s", clock_real_ms() + for_ms,
		 addr_format(&ips->ip4, a4), addr_format(&ips->ip6, a6));
	err = db_local_put(m->agent, REST_TABLE, rest_key(ips, key), value);
	if (err < 0)
		log_warn("the rest of address '%s' would not outlive a restart: %s", key,
			 strerror(-err));
}

static void forget_rest(const struct pod_ips *ips, void *arg)
{
	struct ipam *m = arg;
	char key[ADDR_STRLEN];

	db_local_del(m->agent, REST_TABLE, rest_key(ips, key));
}

static void expire(struct ipam *m)
{
	uint64_t now = clock_ms(), next = pool_expire(m->pool, now, forget_rest, m);
	struct timeval tv = { .tv_sec = (next - now) / 1000,
			      .tv_usec = (next - now) % 1000 * 1000 };

	if (next)
		event_add(m->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	expire(arg);
}

static int parse_rest(const char *value, uint64_t *ret_until, struct pod_ips *ret)
{
	char a4[ADDR_STRLEN], a6[ADDR_STRLEN];

	if (sscanf(value, "%" SCNu64 " %45s %45s", ret_until, a4, a6) != 3)
		return -EINVAL;
	if (addr_parse(a4, &ret->ip4, NULL) < 0 || addr_parse(a6, &ret->ip6, NULL) < 0)
		return -EINVAL;
	return 0;
}

static int recall_rest(const char *key, const char *value, void *arg)
{
	struct ipam *m = arg;
	uint64_t until, now = clock_real_ms(), most = agent_cfg(m->agent)->ipam.quarantine_ms;
	struct pod_ips ips;

	if (parse_rest(value, &until, &ips) < 0) {
		log_warn("local store: '" REST_TABLE "/%s' is unreadable", key);
		return 0;
	}
	/* The wall clock may have been set meanwhile; a rest is never longer than a whole one. What
	 * is over goes with the first expiry. */
	pool_rest(m->pool, &ips, clock_ms() + (until > now ? MIN(until - now, most) : 0));
	return 0;
}

/* ---- for other modules ---- */

static int not_yet(const struct ipam *m, struct err *e)
{
	return m->synced ? 0 : err_set(e, -EAGAIN, "the node's attachments are not read yet");
}

int ipam_room(struct agent *a, struct err *e)
{
	int err = not_yet(get(a), e);

	return err < 0 ? err : pool_room(get(a)->pool, e);
}

int ipam_alloc(struct agent *a, const char *owner, struct pod_ips *ret, struct err *e)
{
	struct ipam *m = get(a);
	int err = not_yet(m, e);

	if (!err)
		err = pool_alloc(m->pool, owner, ret, e);
	m->allocations += !err;
	m->exhausted += err == -ENOSPC;
	return err;
}

int ipam_reserve(struct agent *a, const char *owner, const struct pod_ips *ips, struct err *e)
{
	struct ipam *m = get(a);
	int err = pool_reserve(m->pool, owner, ips, e);

	if (!err)
		forget_rest(ips, m);
	return err;
}

void ipam_release(struct agent *a, const char *owner, bool rest)
{
	struct ipam *m = get(a);
	uint64_t for_ms = rest ? agent_cfg(a)->ipam.quarantine_ms : 0;
	struct pod_ips ips;

	if (pool_release(m->pool, owner, for_ms ? clock_ms() + for_ms : 0, &ips) < 0)
		return;
	m->releases++;
	if (!for_ms)
		return;
	remember_rest(m, &ips, for_ms);
	if (!event_pending(m->timer, EV_TIMEOUT, NULL))
		expire(m);
}

/* ---- events ---- */

static bool ipam_handles(struct agent *a, const struct agent_event *ev)
{
	return ev->type == &add_pod_type || ev->type == &del_pod_type;
}

static int ipam_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	char key[512];

	if (ev->type == &add_pod_type) {
		struct attachment *att = container_of(ev, struct add_pod, ev)->att;

		return ipam_alloc(a, attachment_key(att, key, sizeof(key)), &att->ips, e);
	}
	ipam_release(a, attachment_key(container_of(ev, struct del_pod, ev)->att, key, sizeof(key)),
		     true);
	return 0;
}

static void ipam_revert(struct agent *a, struct agent_event *ev)
{
	char key[512];

	if (ev->type == &add_pod_type)
		ipam_release(
			a,
			attachment_key(container_of(ev, struct add_pod, ev)->att, key, sizeof(key)),
			false);
}

static int adopt(const struct attachment *att, void *arg)
{
	struct ipam *m = arg;
	char key[512];
	struct err e = {};

	attachment_key(att, key, sizeof(key));
	if (ipam_reserve(m->agent, key, &att->ips, &e) < 0)
		log_error("attachment '%s' of pod '%s/%s': %s", key, att->pod_namespace,
			  att->pod_name, e.msg);
	else if (pool_find(m->pool, key)->foreign)
		log_info(
			"attachment '%s' of pod '%s/%s' keeps an address outside of the node's pod "
			"CIDRs",
			key, att->pod_namespace, att->pod_name);
	return 0;
}

static int ipam_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	const struct node_identity *self = nodesync_self(a);
	struct ipam *m = get(a);
	int err;

	err = pool_set_ranges(m->pool, self->pod_cidrs, self->n_pod_cidrs, e);
	if (!m->synced) {
		pods_foreach(a, adopt, m);
		m->synced = true;
		expire(m);
		agent_ready_changed(a);
	}
	return err;
}

static int ipam_ready(struct agent *a, struct err *e)
{
	int err = ipam_room(a, e);

	/* A full pool is a matter of CNI STATUS; the node works. */
	return err == -ENOSPC ? 0 : err;
}

/* ---- what it shows ---- */

static void show_range(struct ipam *m, bool v4, struct json_object *list)
{
	struct json_object *o;
	struct pool_stats s;
	char text[PREFIX_STRLEN];

	pool_stats(m->pool, v4, &s);
	if (!s.present)
		return;
	o = json_object_new_object();
	if (!o)
		return;
	json_add_str(o, "cidr", prefix_format(&s.range, text));
	json_add_int(o, "capacity", s.capacity);
	json_add_int(o, "used", s.used - s.resting);
	json_add_int(o, "resting", s.resting);
	json_add_int(o, "free", s.capacity - s.used);
	json_append(list, o);
}

static struct json_object *show_ranges(struct ipam *m)
{
	struct json_object *list = json_object_new_array();

	if (list) {
		show_range(m, true, list);
		show_range(m, false, list);
	}
	return list;
}

struct listing {
	struct agent *agent;
	struct json_object *list;
};

static void show_owner(struct agent *a, const char *owner, struct json_object *o)
{
	const struct attachment *att = pods_find(a, owner);

	json_add_str(o, "owner", owner);
	if (!att || !*att->pod_name)
		return;
	json_add_str(o, "namespace", att->pod_namespace);
	json_add_str(o, "pod", att->pod_name);
}

static void show_entry(const struct pool_entry *entry, void *arg)
{
	const struct listing *l = arg;
	struct json_object *o = json_object_new_object(), *ips = json_object_new_array();
	const union loom_addr *each[] = { &entry->ips.ip4, &entry->ips.ip6 };
	uint64_t now = clock_ms();
	char text[ADDR_STRLEN];

	if (!o || !ips) {
		json_object_put(o);
		json_object_put(ips);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(each); i++)
		if (!addr_is_zero(each[i]))
			json_append_str(ips, addr_format(each[i], text));
	json_add(o, "ips", ips);
	json_add_str(o, "state", entry->owner ? "used" : "resting");
	if (entry->owner)
		show_owner(l->agent, entry->owner, o);
	else
		json_add_int(o, "restSeconds",
			     entry->until_ms > now ? (entry->until_ms - now + 999) / 1000 : 0);
	if (entry->foreign)
		json_add_bool(o, "outsideOfPodCIDRs", true);
	json_append(l->list, o);
}

static void on_get(const struct httpd_request *req, struct httpd_reply *reply, void *arg)
{
	struct ipam *m = arg;
	const struct agent_config *cfg = agent_cfg(m->agent);
	struct json_object *o = json_object_new_object(), *cidrs = json_object_new_array(),
			   *all = json_object_new_array();
	char text[PREFIX_STRLEN];

	reply->json = o;
	if (!o || !cidrs || !all) {
		json_object_put(cidrs);
		json_object_put(all);
		reply->status = 500;
		return;
	}
	for (size_t i = 0; i < cfg->cluster.cidrs.n; i++)
		json_append_str(cidrs, prefix_format(&cfg->cluster.cidrs.v[i], text));
	pool_foreach(m->pool, show_entry, &(struct listing){ m->agent, all });
	json_add(o, "clusterCIDRs", cidrs);
	json_add(o, "pools", show_ranges(m));
	json_add(o, "allocations", all);
}

static struct json_object *ipam_status(struct agent *a)
{
	struct json_object *o = json_object_new_object();

	if (o)
		json_add(o, "pools", show_ranges(get(a)));
	return o;
}

static void ipam_metrics(struct agent *a, struct metrics *out)
{
	static const struct {
		bool v4;
		const char *family;
	} families[] = { { true, "ipv4" }, { false, "ipv6" } };
	struct ipam *m = get(a);
	struct pool_stats s;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		pool_stats(m->pool, families[i].v4, &s);
		if (!s.present)
			continue;
		metrics_sample(out, "netloom_ipam_capacity_addresses", METRIC_GAUGE,
			       "Addresses that this node can give to pods.", s.capacity, "family",
			       families[i].family, NULL);
		metrics_sample(out, "netloom_ipam_used_addresses", METRIC_GAUGE,
			       "Addresses held by pods.", s.used - s.resting, "family",
			       families[i].family, NULL);
		metrics_sample(out, "netloom_ipam_resting_addresses", METRIC_GAUGE,
			       "Released addresses that are not given again yet.", s.resting,
			       "family", families[i].family, NULL);
	}
	metrics_sample(out, "netloom_ipam_allocations_total", METRIC_COUNTER, "Allocations.",
		       m->allocations, NULL);
	metrics_sample(out, "netloom_ipam_releases_total", METRIC_COUNTER, "Releases.", m->releases,
		       NULL);
	metrics_sample(out, "netloom_ipam_exhausted_total", METRIC_COUNTER,
		       "Allocations refused because a pool was full.", m->exhausted, NULL);
}

/* ---- module ---- */

static void ipam_fini(struct agent *a)
{
	struct ipam *m = get(a);

	if (!m)
		return;
	if (m->timer)
		event_free(m->timer);
	pool_free(m->pool);
	free(m);
	module_set_state(a, &ipam_module, NULL);
}

static int ipam_init(struct agent *a, struct err *e)
{
	struct ipam *m = calloc(1, sizeof(*m));

	if (!m)
		return err_errno(e, -ENOMEM, "ipam");
	m->agent = a;
	module_set_state(a, &ipam_module, m);
	m->timer = event_new(agent_base(a), -1, 0, on_timer, m);
	if (!m->timer || pool_new(&m->pool) < 0)
		return err_errno(e, -ENOMEM, "ipam");
	db_local_foreach(a, REST_TABLE, recall_rest, m);
	return httpd_route(agent_httpd(a), "GET", "/v1/ipam", on_get, m);
}

const struct module ipam_module = {
	.name = "ipam",
	.needs = NEEDS("db", "nodesync"),
	.init = ipam_init,
	.fini = ipam_fini,
	.handles = ipam_handles,
	.update = ipam_update,
	.resync = ipam_resync,
	.revert = ipam_revert,
	.ready = ipam_ready,
	.metrics = ipam_metrics,
	.status = ipam_status,
};
