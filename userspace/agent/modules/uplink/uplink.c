// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "uplink"
#include "agent/modules/uplink/uplink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/db/db.h"
#include "agent/modules/modules.h"
#include "agent/modules/uplink/detect.h"
#include "agent/modules/uplink/lost.h"
#include "api/etcd_keys.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"

/* Changes come in bursts (a link, its addresses, its routes); one look is for all of them. */
static const struct timeval settle = { .tv_usec = 50 * 1000 };
/* Whoever takes the same away again and again is answered no faster than that. */
static const struct timeval again = { .tv_sec = 1 };

struct uplink_module {
	struct agent *agent;
	struct nl_sock *nl;
	struct nl_monitor *monitor;
	struct event *readable, *timer;
	struct uplink_view view;
	struct err why_none;
	char lost[64];	    /* what to look for at the next look; "" = nothing */
	uint64_t mended_ms; /* when it was last looked for; 0: never */
	uint64_t changes;
};

struct uplink_change {
	struct agent_event ev;
	char what[64];
};

static struct uplink_module *get(struct agent *a)
{
	return module_state(a, &uplink_module);
}

/* ---- the event ---- */

static struct json_object *change_describe(const struct agent_event *ev)
{
	const struct uplink_change *c = container_of(ev, struct uplink_change, ev);
	struct json_object *o = json_object_new_object();

	if (o)
		json_add_str(o, "changed", c->what);
	return o;
}

static void change_free(struct agent_event *ev)
{
	free(container_of(ev, struct uplink_change, ev));
}

const struct event_type uplink_change_type = {
	.name = "uplink-change",
	.method = EVENT_UPSTREAM_RESYNC,
	.describe = change_describe,
	.free = change_free,
};

/* ---- looking ---- */

static void take_internal_ip(struct json_object *entry, struct uplink_wish *ret)
{
	const char *type = "", *text = "";
	union loom_addr a, *slot;

	if (json_opt_str(entry, "type", &type, NULL) < 0 ||
	    json_opt_str(entry, "address", &text, NULL) < 0 || strcmp(type, "InternalIP") != 0 ||
	    addr_parse(text, &a, NULL) < 0)
		return;
	slot = addr_is_v4(&a) ? &ret->node4 : &ret->node6;
	if (addr_is_zero(slot))
		*slot = a;
}

/* Of this node's Node object. */
static const char *node_key(struct agent *a, char *buf, size_t len)
{
	const char *name = agent_cfg(a)->node_name;
	char host[256] = "";

	if (!name || !name[0]) {
		gethostname(host, sizeof(host) - 1);
		name = host;
	}
	snprintf(buf, len, KEY_K8S_NODE "%s", name);
	return buf;
}

/* Addresses that Kubernetes knows this node by; :: while unknown. */
static void node_addresses(struct agent *a, struct uplink_wish *ret)
{
	struct json_object *node, *addresses = NULL;
	char key[320];

	node = db_get(a, node_key(a, key, sizeof(key)));
	if (!node || json_opt_array(node, "status.addresses", &addresses, NULL) < 0 || !addresses)
		return;
	for (size_t i = 0; i < json_object_array_length(addresses); i++)
		take_internal_ip(json_object_array_get_idx(addresses, i), ret);
}

static int look(struct uplink_module *m, struct uplink_view *ret, struct err *e)
{
	const struct agent_config *cfg = agent_cfg(m->agent);
	struct uplink_wish wish = {
		.interface = cfg->uplink.interface,
		.address4 = cfg->uplink.address4,
		.address6 = cfg->uplink.address6,
		.last4 = m->view.uplink.addr4,
		.last6 = m->view.uplink.addr6,
		.mtu = cfg->uplink.mtu,
		.tunnel = cfg->transport == TRANSPORT_VXLAN,
	};

	node_addresses(m->agent, &wish);
	return uplink_look(m->nl, &wish, ret, e);
}

static void report(struct uplink_module *m, int err, const struct err *e)
{
	const struct uplink *u = &m->view.uplink;
	char a4[ADDR_STRLEN], a6[ADDR_STRLEN];

	if (err < 0) {
		if (strcmp(m->why_none.msg, e->msg) != 0)
			log_warn("%s", e->msg);
		m->why_none = *e;
		return;
	}
	m->why_none = (struct err){};
	log_info("uplink '%s' index %u: addresses %s and %s, mtu %u, pods get %u", u->name,
		 u->ifindex, addr_format(&u->addr4, a4), addr_format(&u->addr6, a6), u->mtu,
		 u->pod_mtu);
}

static bool still_there(struct uplink_module *m)
{
	const struct uplink *u = &m->view.uplink;
	struct nl_link link;

	return u->ifindex && nl_link_get(m->nl, u->ifindex, NULL, &link, NULL) == 0 &&
	       strcmp(link.name, u->name) == 0;
}

/* Takes the new view and returns what changed; "" when nothing did. */
static const char *refresh(struct uplink_module *m, char *buf, size_t len)
{
	struct uplink_view now = {};
	struct err e = {};
	int err = look(m, &now, &e);

	buf[0] = 0;
	if (err < 0 && err != -ENODEV) {
		log_warn("can't look at the node's links: %s", e.msg);
		return buf;
	}
	/* A link that lost its route or address for a moment is still the uplink: nothing that
	 * stands on it is torn down before the link itself is gone. */
	if (err == -ENODEV && still_there(m))
		now.uplink = m->view.uplink;
	uplink_view_diff(&m->view, &now, buf, len);
	uplink_view_release(&m->view);
	m->view = now;
	if (buf[0] || (err < 0) != (m->why_none.code < 0))
		report(m, err, &e);
	return buf;
}

/* What the scheduler takes for applied is not so any more: it shall look for itself, and mend. */
static void mend(struct uplink_module *m)
{
	char text[PREFIX_STRLEN];
	struct prefix route;

	if (!m->lost[0] && route_is_lost(agent_scheduler(m->agent), &m->view, &route))
		snprintf(m->lost, sizeof(m->lost), "route '%.50s' is gone",
			 prefix_format(&route, text));
	if (!m->lost[0])
		return;
	if (m->mended_ms && clock_ms() - m->mended_ms < (uint64_t)again.tv_sec * 1000) {
		event_add(m->timer, &again);
		return;
	}
	m->mended_ms = clock_ms();
	log_warn("%s: looking at all that should be there", m->lost);
	event_push_resync(m->agent, EVENT_DOWNSTREAM_RESYNC, m->lost);
	m->lost[0] = 0;
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_module *m = arg;
	struct uplink_change *c;
	char changed[64];

	refresh(m, changed, sizeof(changed));
	mend(m);
	if (!changed[0])
		return;
	c = calloc(1, sizeof(*c));
	if (!c) {
		agent_heal(m->agent, "uplink changed");
		return;
	}
	m->changes++;
	c->ev.type = &uplink_change_type;
	memcpy(c->what, changed, sizeof(c->what));
	event_push(m->agent, &c->ev);
	agent_ready_changed(m->agent);
}

static void on_change(const struct nl_change *c, void *arg)
{
	struct uplink_module *m = arg;
	bool lost = link_is_lost(agent_scheduler(m->agent), m->nl, c);
	char name[IFNAMSIZ];

	if (programs_are_lost(agent_scheduler(m->agent), m->nl, c, name))
		snprintf(m->lost, sizeof(m->lost), "programs of link '%s' are gone", name);
	else if (c->kind == NL_CHANGE_TC)
		return;
	else if (lost)
		snprintf(m->lost, sizeof(m->lost), "link '%s' is %s", c->link.name,
			 c->gone ? "gone" : "down");
	else if (c->kind == NL_CHANGE_LOST)
		snprintf(m->lost, sizeof(m->lost), "changes of links and routes were missed");
	/* Wiring a pod must not make the node look at itself. */
	else if ((c->kind == NL_CHANGE_LINK && uplink_link_is_ours(c->link.name)) ||
		 (c->kind == NL_CHANGE_ROUTE && !uplink_route_matters(&c->route) &&
		  !(c->gone && c->route.protocol == NL_PROTO_NETLOOM)))
		return;
	if (!event_pending(m->timer, EV_TIMEOUT, NULL))
		event_add(m->timer, &settle);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct uplink_module *m = arg;
	int err = nl_monitor_read(m->monitor, on_change, m);

	if (err < 0)
		log_limited(LOG_LVL_WARN, 3, "netlink monitor: %s", strerror(-err));
}

/* ---- for other modules ---- */

const struct uplink *uplink_get(struct agent *a)
{
	struct uplink_module *m = get(a);

	return m && m->view.uplink.ifindex ? &m->view.uplink : NULL;
}

const union loom_addr *uplink_underlay(struct agent *a)
{
	const struct uplink *u = uplink_get(a);

	if (!u)
		return NULL;
	return addr_is_zero(&u->addr4) ? &u->addr6 : &u->addr4;
}

static int each_address(struct agent *a, unsigned int ifindex,
			int (*fn)(const union loom_addr *addr, void *arg), void *arg)
{
	const struct uplink_view *v = &get(a)->view;

	for (size_t i = 0; i < v->n_addrs; i++) {
		int stop = 0;

		if (!ifindex || v->addrs[i].ifindex == ifindex)
			stop = fn(&v->addrs[i].addr, arg);
		if (stop)
			return stop;
	}
	return 0;
}

int uplink_host_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	return each_address(a, 0, fn, arg);
}

int uplink_node_addresses(struct agent *a, int (*fn)(const union loom_addr *addr, void *arg),
			  void *arg)
{
	const struct uplink *u = uplink_get(a);

	return u ? each_address(a, u->ifindex, fn, arg) : 0;
}

int uplink_next_hop(struct agent *a, const union loom_addr *dst, unsigned int *ret_ifindex,
		    union loom_addr *ret_hop)
{
	struct nl_route route;
	int err = nl_route_get(get(a)->nl, dst, &route, NULL);

	if (err < 0)
		return err;
	if (route.type != RTN_UNICAST || !route.ifindex)
		return -ENETUNREACH;
	*ret_ifindex = route.ifindex;
	*ret_hop = addr_is_zero(&route.gateway) ? *dst : route.gateway;
	return 0;
}

uint64_t uplink_routes(struct agent *a)
{
	return get(a)->view.routes;
}

/* ---- module ---- */

static void uplink_fini(struct agent *a)
{
	struct uplink_module *m = get(a);

	if (!m)
		return;
	if (m->readable)
		event_free(m->readable);
	if (m->timer)
		event_free(m->timer);
	nl_monitor_close(m->monitor);
	nl_close(m->nl);
	uplink_view_release(&m->view);
	free(m);
	module_set_state(a, &uplink_module, NULL);
}

static int uplink_init(struct agent *a, struct err *e)
{
	struct uplink_module *m = calloc(1, sizeof(*m));
	char changed[64];
	int err;

	if (!m)
		return err_errno(e, -ENOMEM, "uplink");
	m->agent = a;
	module_set_state(a, &uplink_module, m);
	err = nl_open(-1, &m->nl, e);
	/* Listening starts before the first look, so that nothing falls in between. */
	if (!err)
		err = nl_monitor_open(&m->monitor, e);
	if (err < 0)
		return err;
	m->readable = event_new(agent_base(a), nl_monitor_fd(m->monitor), EV_READ | EV_PERSIST,
				on_readable, m);
	m->timer = event_new(agent_base(a), -1, 0, on_settled, m);
	if (!m->readable || !m->timer || event_add(m->readable, NULL) < 0)
		return err_errno(e, -ENOMEM, "uplink");
	refresh(m, changed, sizeof(changed));
	return 0;
}

/* The Node object may only now say which link it is. Others look after this module. */
static int uplink_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	char changed[64];

	refresh(get(a), changed, sizeof(changed));
	return 0;
}

static bool uplink_handles(struct agent *a, const struct agent_event *ev)
{
	const struct db_change *c = db_change_below(ev, KEY_K8S_NODE);
	char own[320];

	return c && strcmp(c->key, node_key(a, own, sizeof(own))) == 0;
}

static int uplink_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	event_add(get(a)->timer, &settle);
	return 0;
}

static int uplink_ready(struct agent *a, struct err *e)
{
	struct uplink_module *m = get(a);

	if (m->view.uplink.ifindex && !m->why_none.code)
		return 0;
	return err_set(e, -EAGAIN, "%s", m->why_none.msg[0] ? m->why_none.msg : "no uplink");
}

static void uplink_metrics(struct agent *a, struct metrics *out)
{
	struct uplink_module *m = get(a);
	const struct uplink *u = &m->view.uplink;

	metrics_sample(out, "netloom_uplink_up", METRIC_GAUGE, "Uplink found, and has a carrier.",
		       u->ifindex && m->view.up, "link", u->name, NULL);
	metrics_sample(out, "netloom_uplink_mtu_bytes", METRIC_GAUGE, "MTU of the uplink.", u->mtu,
		       NULL);
	metrics_sample(out, "netloom_pod_mtu_bytes", METRIC_GAUGE, "MTU that new pods get.",
		       u->pod_mtu, NULL);
	metrics_sample(out, "netloom_uplink_changes_total", METRIC_COUNTER,
		       "Changes of the uplink that were acted upon.", m->changes, NULL);
}

static struct json_object *uplink_status(struct agent *a)
{
	struct uplink_module *m = get(a);
	const struct uplink *u = &m->view.uplink;
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	if (!o)
		return NULL;
	if (!u->ifindex) {
		json_add_str(o, "error", m->why_none.msg);
		return o;
	}
	json_add_str(o, "name", u->name);
	json_add_int(o, "ifindex", u->ifindex);
	json_add_bool(o, "up", m->view.up);
	if (!addr_is_zero(&u->addr4))
		json_add_str(o, "address4", addr_format(&u->addr4, text));
	if (!addr_is_zero(&u->addr6))
		json_add_str(o, "address6", addr_format(&u->addr6, text));
	json_add_int(o, "mtu", u->mtu);
	json_add_int(o, "podMTU", u->pod_mtu);
	return o;
}

const struct module uplink_module = {
	.name = "uplink",
	.needs = NEEDS("db"),
	.init = uplink_init,
	.fini = uplink_fini,
	.handles = uplink_handles,
	.update = uplink_update,
	.resync = uplink_resync,
	.ready = uplink_ready,
	.metrics = uplink_metrics,
	.status = uplink_status,
};
