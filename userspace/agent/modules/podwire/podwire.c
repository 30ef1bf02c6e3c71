// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "podwire"
#include "agent/modules/podwire/podwire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/modules.h"
#include "agent/modules/podwire/identity.h"
#include "agent/modules/podwire/pod_link.h"
#include "agent/modules/podwire/reaper.h"
#include "agent/modules/uplink/uplink.h"
#include "api/paths.h"
#include "lib/base/log.h"
#include "lib/httpd/httpd.h"
#include "lib/json/json.h"
#include "lib/netlink/netns_path.h"

#define ITEM_LINK "pod-link"

struct podwire {
	struct agent *agent;
	struct nl_sock *nl;
	struct reaper *reaper;
	unsigned int next_ifindex;
	uint64_t wired, unwired;
	/* The namespace of the pod that is being added: its path is the runtime's, which need not
	 * lead there from here. Closed at the loop's next turn, so that it never outlives the pod.
	 */
	struct {
		int fd; /* negative: none */
		uint64_t dev, ino;
	} fresh;
	struct event *turn;
};

static struct podwire *get(struct agent *a)
{
	return module_state(a, &podwire_module);
}

/* ---- descriptor ---- */

/* A path of the runtime's: netns_path.h says how it is looked up. */
static int open_netns(struct podwire *m, const struct pod_link *l, int *ret_fd, struct err *e)
{
	const struct netns_peer nobody = { 0, -1 };
	const char *root = agent_cfg(m->agent)->cni.netns_prefix;
	struct netns_path ns = { .fd = -1 };

	if (netns_path_open(root ? root : "", l->netns, nobody, &ns, e) < 0)
		return e->code = -EBADF;
	if (ns.dev != l->netns_dev || ns.ino != l->netns_ino) {
		close(ns.fd);
		return err_set(e, -EBADF,
			       "'%.200s' is not the namespace that the pod was added with",
			       l->netns);
	}
	*ret_fd = ns.fd;
	return 0;
}

static int op_create(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct pod_link *l = value;
	struct podwire *m = ctx;
	_cleanup_(closep) int opened = -1;
	bool fresh =
		m->fresh.fd >= 0 && m->fresh.dev == l->netns_dev && m->fresh.ino == l->netns_ino;
	int err = fresh ? 0 : open_netns(m, l, &opened, e), fd = fresh ? m->fresh.fd : opened;

	if (!err)
		err = pod_link_create(m->nl, l, fd, e);
	/* What is in the way may be on its way out: this name's last link, or this namespace's. */
	if (err == -EEXIST && reaper_wait(m->reaper)) {
		*e = (struct err){};
		err = pod_link_create(m->nl, l, fd, e);
	}
	if (err < 0)
		return err_prefix(e, "link '%s'", name);
	m->wired++;
	return 0;
}

static int op_update(void *ctx, const char *name, const void *old_value, const void *new_value,
		     struct err *e)
{
	struct podwire *m = ctx;

	return pod_link_update(m->nl, old_value, new_value, e);
}

static void forget(struct agent *a, const union loom_addr *addr)
{
	if (!addr_is_zero(addr))
		datapath_forget_addr(a, 0, addr);
}

static int op_delete(void *ctx, const char *name, const void *value, struct err *e)
{
	const struct pod_link *l = value;
	struct podwire *m = ctx;
	int err = pod_link_retire(m->nl, name, e);

	if (err < 0)
		return err;
	if (err > 0)
		reaper_kick(m->reaper);
	/* Now that no packet of the pod can come any more. */
	if (l) {
		forget(m->agent, &l->ips.ip4);
		forget(m->agent, &l->ips.ip6);
	}
	m->unwired++;
	return 0;
}

static int add_dumped(struct pod_link *l, void *arg)
{
	char name[IFNAMSIZ];

	memcpy(name, l->host_ifname, sizeof(name));
	return dump_add(arg, name, l);
}

static int op_dump(void *ctx, struct dump_list *ret, struct err *e)
{
	struct podwire *m = ctx;

	/* What is only retired would look like something left over. */
	reaper_wait(m->reaper);
	return pod_link_foreach(m->nl, add_dumped, ret, e);
}

static bool op_equal(const void *a, const void *b)
{
	return pod_link_equal(a, b);
}

static void op_free(void *value)
{
	pod_link_free(value);
}

static struct json_object *op_describe(const char *name, const void *value)
{
	const struct pod_link *l = value;
	struct json_object *o = json_object_new_object();
	char text[ADDR_STRLEN];

	if (!o)
		return NULL;
	json_add_int(o, "ifindex", l->host_ifindex);
	json_add_int(o, "mtu", l->mtu);
	json_add_str(o, "alias", l->alias);
	if (!addr_is_zero(&l->ips.ip4))
		json_add_str(o, "ip4", addr_format(&l->ips.ip4, text));
	if (!addr_is_zero(&l->ips.ip6))
		json_add_str(o, "ip6", addr_format(&l->ips.ip6, text));
	return o;
}

static const struct descriptor pod_link_descriptor = {
	.name = ITEM_LINK,
	.order = 30,
	.create = op_create,
	.update = op_update,
	.delete = op_delete,
	.dump = op_dump,
	.equal = op_equal,
	.free = op_free,
	.describe = op_describe,
};

/* ---- items of an attachment ---- */

static int link_new(struct agent *a, const struct attachment *att, struct pod_link **ret)
{
	_cleanup_(pod_link_freep) struct pod_link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	memcpy(l->host_ifname, att->host_ifname, sizeof(l->host_ifname));
	snprintf(l->ifname, sizeof(l->ifname), "%s", att->ifname);
	memcpy(l->mac, att->mac, sizeof(l->mac));
	memcpy(l->hmac, att->hmac, sizeof(l->hmac));
	l->host_ifindex = att->host_ifindex;
	l->mtu = att->mtu;
	l->ips = att->ips;
	l->netns_dev = att->netns_dev;
	l->netns_ino = att->netns_ino;
	l->up = true;
	l->netns = strdup(att->netns ? att->netns : "");
	l->alias = podwire_alias(att);
	if (!l->netns || !l->alias)
		return -ENOMEM;
	*ret = TAKE_PTR(l);
	return 0;
}

static int put_endpoint(struct txn *txn, const struct attachment *att, const union loom_addr *addr)
{
	struct loom_ep ep = { .ifindex = att->host_ifindex, .ep = att->ep, .mtu = att->mtu };

	if (addr_is_zero(addr))
		return 0;
	memcpy(ep.mac, att->mac, sizeof(ep.mac));
	memcpy(ep.hmac, att->hmac, sizeof(ep.hmac));
	return datapath_put_ep(txn, 0, addr, &ep);
}

static int put_items(struct agent *a, struct txn *txn, const struct attachment *att)
{
	struct loom_ifcfg cfg = { .ep = att->ep, .role = LOOM_IF_POD, .mtu = att->mtu };
	struct pod_link *l;
	char key[32];
	int err = link_new(a, att, &l);

	if (err < 0)
		return err;
	cfg.ip4 = addr_is_v4(&att->ips.ip4) ? att->ips.ip4.w[3] : 0;
	cfg.ip6 = att->ips.ip6;
	memcpy(cfg.mac, att->mac, sizeof(cfg.mac));
	memcpy(cfg.hmac, att->hmac, sizeof(cfg.hmac));
	snprintf(key, sizeof(key), ITEM_LINK "/%s", att->host_ifname);
	err = txn_put(txn, l, "%s", key);
	if (!err)
		err = datapath_put_ifcfg(txn, att->host_ifindex, &cfg);
	if (!err)
		err = put_endpoint(txn, att, &att->ips.ip4);
	if (!err)
		err = put_endpoint(txn, att, &att->ips.ip6);
	if (!err)
		err = datapath_put_attach(txn, DATAPATH_POD, att->host_ifname, att->host_ifindex,
					  key);
	return err;
}

static void delete_items(struct txn *txn, const struct attachment *att)
{
	datapath_del_attach(txn, DATAPATH_POD, att->host_ifname);
	txn_delete(txn, ITEM_LINK "/%s", att->host_ifname);
	if (!addr_is_zero(&att->ips.ip4))
		datapath_del_ep(txn, 0, &att->ips.ip4);
	if (!addr_is_zero(&att->ips.ip6))
		datapath_del_ep(txn, 0, &att->ips.ip6);
	datapath_del_ifcfg(txn, att->host_ifindex);
}

/* ---- events ---- */

static bool podwire_handles(struct agent *a, const struct agent_event *ev)
{
	return ev->type == &add_pod_type || ev->type == &del_pod_type;
}

static int choose_ifindex(struct podwire *m, unsigned int *ret)
{
	unsigned int n = podwire_next_ifindex(m->nl, m->next_ifindex);

	if (!n)
		return -ENOSPC;
	m->next_ifindex = n + 1;
	*ret = n;
	return 0;
}

static int fill_in(struct podwire *m, struct attachment *att, struct err *e)
{
	const struct uplink *u = uplink_get(m->agent);

	if (!u)
		return err_set(e, -EAGAIN, "the node has no usable uplink");
	if (strlen(att->ifname) >= IFNAMSIZ)
		return err_set(e, -EINVAL, "interface name '%.64s' is too long", att->ifname);
	podwire_identify(att);
	att->mtu = u->pod_mtu;
	if (choose_ifindex(m, &att->host_ifindex) < 0)
		return err_set(e, -ENOSPC, "no link index below %u is free", LOOM_MAX_IFINDEX);
	att->ep = datapath_ep_alloc(m->agent);
	if (!att->ep)
		return err_set(e, -ENOSPC, "all %u endpoint numbers are taken", LOOM_MAX_EPS - 1);
	return 0;
}

static void release(struct agent *a, struct attachment *att)
{
	if (att->ep)
		datapath_ep_release(a, att->ep);
	att->ep = 0;
}

static void drop_fresh(struct podwire *m)
{
	closep(&m->fresh.fd);
	m->fresh.fd = -1;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	drop_fresh(arg);
}

static void hold_fresh(struct podwire *m, const struct add_pod *add)
{
	drop_fresh(m);
	if (add->netns_fd < 0)
		return;
	m->fresh.fd = fcntl(add->netns_fd, F_DUPFD_CLOEXEC, 0);
	m->fresh.dev = add->att->netns_dev;
	m->fresh.ino = add->att->netns_ino;
	event_active(m->turn, EV_TIMEOUT, 0);
}

static int add_pod(struct agent *a, const struct add_pod *add, struct txn *txn, struct err *e)
{
	struct attachment *att = add->att;
	int err = fill_in(get(a), att, e);

	if (err < 0)
		return err;
	hold_fresh(get(a), add);
	err = put_items(a, txn, att);
	if (err < 0) {
		release(a, att);
		return err_errno(e, err, "items of '%s'", att->host_ifname);
	}
	return 0;
}

static int podwire_update(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct attachment *att;

	if (ev->type == &add_pod_type)
		return add_pod(a, container_of(ev, struct add_pod, ev), txn, e);
	att = container_of(ev, struct del_pod, ev)->att;
	if (!att->host_ifname[0]) {
		/* Its link went unseen by us, so no item remembers whose flows have ended. */
		forget(a, &att->ips.ip4);
		forget(a, &att->ips.ip6);
		return 0;
	}
	delete_items(txn, att);
	release(a, att);
	return 0;
}

static void podwire_revert(struct agent *a, struct agent_event *ev)
{
	if (ev->type == &add_pod_type)
		release(a, container_of(ev, struct add_pod, ev)->att);
}

struct rewire {
	struct agent *agent;
	struct txn *txn;
};

static int rewire(const struct attachment *att, void *arg)
{
	struct rewire *r = arg;
	struct podwire *m = get(r->agent);
	int err;

	datapath_ep_reserve(r->agent, att->ep);
	if (att->host_ifindex >= m->next_ifindex)
		m->next_ifindex = att->host_ifindex + 1;
	err = put_items(r->agent, r->txn, att);
	if (err < 0)
		log_error("pod '%s/%s', link '%s': %s", att->pod_namespace, att->pod_name,
			  att->host_ifname, strerror(-err));
	return 0;
}

static int podwire_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	struct rewire r = { a, txn };

	return pods_foreach(a, rewire, &r);
}

int podwire_check(struct agent *a, const struct attachment *att, int netns_fd, struct err *e)
{
	_cleanup_(pod_link_freep) struct pod_link *l = NULL;
	int err = link_new(a, att, &l);

	return err < 0 ? err_errno(e, err, "check") : pod_link_check(get(a)->nl, l, netns_fd, e);
}

/* ---- module ---- */

static void podwire_metrics(struct agent *a, struct metrics *out)
{
	struct podwire *m = get(a);

	metrics_sample(out, "netloom_pod_links_created_total", METRIC_COUNTER,
		       "Pod interfaces wired since start.", m->wired, NULL);
	metrics_sample(out, "netloom_pod_links_deleted_total", METRIC_COUNTER,
		       "Pod interfaces removed since start.", m->unwired, NULL);
}

static void podwire_fini(struct agent *a)
{
	struct podwire *m = get(a);

	if (!m)
		return;
	if (m->turn)
		event_free(m->turn);
	drop_fresh(m);
	reaper_free(m->reaper);
	nl_close(m->nl);
	free(m);
	module_set_state(a, &podwire_module, NULL);
}

static int podwire_init(struct agent *a, struct err *e)
{
	struct podwire *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return err_errno(e, -ENOMEM, "podwire");
	m->agent = a;
	m->next_ifindex = PODWIRE_FIRST_IFINDEX;
	m->fresh.fd = -1;
	module_set_state(a, &podwire_module, m);
	m->turn = event_new(agent_base(a), -1, 0, on_turn, m);
	if (!m->turn)
		return err_errno(e, -ENOMEM, "podwire");
	err = nl_open(-1, &m->nl, e);
	if (!err)
		err = reaper_new(&m->reaper, e);
	return err < 0 ? err : scheduler_register(agent_scheduler(a), &pod_link_descriptor, m);
}

const struct module podwire_module = {
	.name = "podwire",
	.needs = NEEDS("datapath", "hostlink", "uplink", "ipam"),
	.init = podwire_init,
	.fini = podwire_fini,
	.handles = podwire_handles,
	.update = podwire_update,
	.resync = podwire_resync,
	.revert = podwire_revert,
	.metrics = podwire_metrics,
};
