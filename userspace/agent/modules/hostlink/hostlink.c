// SPDX-License-Identifier: Apache-2.0
#define LOG_NAME "hostlink"
#include "agent/modules/hostlink/hostlink.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/core/module.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/hostlink/items.h"
#include "agent/modules/hostlink/sysctl_watch.h"
#include "agent/modules/modules.h"
#include "agent/modules/uplink/uplink.h"
#include "api/paths.h"
#include "lib/base/log.h"

/* Our few links have indexes of their own range, below the pods' and above what the kernel is
 * likely to count up to on its own. */
enum { FIRST_IFINDEX = 900, LAST_IFINDEX = 999 };

struct hostlink {
	struct nl_sock *nl;
	unsigned int host_ifindex, overlay_ifindex;
	struct uplink last; /* what the present items were made for */
	struct host_sysctls sysctls;
	struct sysctl_watch *watch;
};

static struct hostlink *get(struct agent *a)
{
	return module_state(a, &hostlink_module);
}

unsigned int hostlink_host_ifindex(struct agent *a)
{
	return get(a)->host_ifindex;
}

unsigned int hostlink_overlay_ifindex(struct agent *a)
{
	return get(a)->overlay_ifindex;
}

/* ---- links ---- */

/* The index that the link has, or else a free one. */
static int choose_ifindex(struct hostlink *m, const char *name, unsigned int *index, struct err *e)
{
	struct host_link there;
	struct nl_link link;

	if (host_link_find(m->nl, name, &there) == 0 && there.ifindex < LOOM_MAX_IFINDEX) {
		*index = there.ifindex;
		return 0;
	}
	if (*index)
		return 0;
	for (unsigned int n = FIRST_IFINDEX; n <= LAST_IFINDEX; n++) {
		if (n != m->host_ifindex && n != m->overlay_ifindex &&
		    nl_link_get(m->nl, n, NULL, &link, NULL) == -ENODEV) {
			*index = n;
			return 0;
		}
	}
	return err_set(e, -ENOSPC, "no link index from %d to %d is free for '%s'", FIRST_IFINDEX,
		       LAST_IFINDEX, name);
}

static int put_link(struct txn *txn, const struct host_link *l, enum datapath_role role,
		    enum loom_if_role if_role)
{
	struct loom_ifcfg cfg = { .role = if_role, .mtu = l->mtu };
	char key[32];
	int err = host_put_link(txn, l);

	snprintf(key, sizeof(key), "host-link/%s", l->name);
	if (!err)
		err = datapath_put_ifcfg(txn, l->ifindex, &cfg);
	if (!err)
		err = datapath_put_attach(txn, role, l->name, l->ifindex, key);
	return err;
}

static int put_links(struct agent *a, const struct uplink *u, struct txn *txn, struct err *e)
{
	const struct agent_config *cfg = agent_cfg(a);
	struct hostlink *m = get(a);
	struct host_link host = { .name = NETLOOM_HOST_LINK,
				  .peer = NETLOOM_HOST_PEER,
				  .mtu = u->pod_mtu };
	struct host_link overlay = { .name = NETLOOM_OVERLAY_LINK,
				     .mtu = u->pod_mtu,
				     .port = cfg->overlay.port };
	int err = choose_ifindex(m, host.name, &m->host_ifindex, e);

	if (err < 0)
		return err;
	host.ifindex = m->host_ifindex;
	err = put_link(txn, &host, DATAPATH_HOST, LOOM_IF_HOST);
	if (err < 0 || cfg->transport != TRANSPORT_VXLAN)
		return err;
	err = choose_ifindex(m, overlay.name, &m->overlay_ifindex, e);
	if (err < 0)
		return err;
	overlay.ifindex = m->overlay_ifindex;
	return put_link(txn, &overlay, DATAPATH_OVERLAY, LOOM_IF_OVERLAY);
}

static int put_uplink(struct agent *a, const struct uplink *u, struct txn *txn)
{
	struct loom_ifcfg cfg = { .role = LOOM_IF_UPLINK, .mtu = u->mtu };
	struct nl_link link = { .kind = "unknown" };
	int err;

	memcpy(cfg.hmac, u->mac, sizeof(cfg.hmac));
	if (nl_link_get(get(a)->nl, u->ifindex, NULL, &link, NULL) == 0 &&
	    link.type != ARPHRD_ETHER)
		cfg.flags |= LOOM_IF_RAW_IP;
	err = datapath_put_ifcfg(txn, u->ifindex, &cfg);
	if (!err)
		err = datapath_put_attach(txn, DATAPATH_UPLINK, u->name, u->ifindex, NULL);
	if (!err)
		err = datapath_put_xdp(a, txn, u->name, u->ifindex, link.kind);
	return err;
}

/* ---- routes ---- */

static int put_route(struct agent *a, const struct uplink *u, const struct prefix *dst,
		     struct txn *txn)
{
	bool v4 = addr_is_v4(&dst->addr);
	struct nl_route r = { .dst = *dst,
			      .src = v4 ? u->addr4 : u->addr6,
			      .ifindex = hostlink_host_ifindex(a),
			      .scope = v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE };

	/* A node without an address of the family has nothing to send from. */
	return addr_is_zero(&r.src) ? 0 : host_put_route(txn, &r);
}

static int put_ranges(struct agent *a, const struct uplink *u, const struct config_prefixes *ranges,
		      struct txn *txn)
{
	int err = 0;

	for (size_t i = 0; !err && i < ranges->n; i++)
		err = put_route(a, u, &ranges->v[i], txn);
	return err;
}

/* Servers of this host that were asked by this host answer to these, and the programs know to whom
 * it goes. */
static int put_hairpins(struct agent *a, const struct uplink *u, struct txn *txn)
{
	const struct prefix hairpin4 = { .addr.w = { 0, 0, LOOM_V4_MARK, htobe32(LOOM_HAIRPIN4) },
					 .len = 128 },
			    hairpin6 = { .addr.d = { htobe64(LOOM_HAIRPIN6_HI),
						     htobe64(LOOM_HAIRPIN6_LO) },
					 .len = 128 };
	int err = put_route(a, u, &hairpin4, txn);

	return err ? err : put_route(a, u, &hairpin6, txn);
}

static int put_routes(struct agent *a, const struct uplink *u, struct txn *txn)
{
	const struct agent_config *cfg = agent_cfg(a);
	int err = put_ranges(a, u, &cfg->cluster.cidrs, txn);

	if (err < 0 || !cfg->services.enabled)
		return err;
	err = put_ranges(a, u, &cfg->cluster.service_cidrs, txn);
	return err ? err : put_hairpins(a, u, txn);
}

/* ---- sysctls ---- */

static bool cluster_has_v6(struct agent *a)
{
	const struct config_prefixes *cidrs = &agent_cfg(a)->cluster.cidrs;

	for (size_t i = 0; i < cidrs->n; i++)
		if (!addr_is_v4(&cidrs->v[i].addr))
			return true;
	return false;
}

/* The host's own links, and what new ones start with. */
static bool keeps_filter(const char *link)
{
	return link[0] != '.' && strcmp(link, "all") != 0 && !uplink_link_is_ours(link);
}

/*
 * The kernel takes the higher one of `all` and the link's own, and drops every packet that comes in
 * by a link without addresses unless both are 0: a filter for all would cut pods off their host.
 * So what holds for all is written to each link of the host itself, and to the default.
 */
static int move_filter(struct hostlink *m, const struct uplink *u, struct txn *txn)
{
	static const char *const why = "'all' also holds for pods' links, which have no addresses";
	DIR *dir = opendir("/proc/sys/net/ipv4/conf");
	char path[320], all[32] = "", own[32];
	struct dirent *d;
	int err = 0;

	host_sysctl_read("net/ipv4/conf/all/rp_filter", all, sizeof(all));
	while (dir && (all[0] == '1' || all[0] == '2') && !err && (d = readdir(dir))) {
		snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", d->d_name);
		if (!keeps_filter(d->d_name) || strcmp(d->d_name, u->name) == 0 ||
		    host_sysctl_read(path, own, sizeof(own)) < 0 || own[0] >= all[0])
			continue;
		err = host_put_sysctl(
			&m->sysctls, txn, path,
			&(struct host_sysctl){ all[0] == '1' ? "1" : "2", NULL, why });
	}
	if (dir)
		closedir(dir);
	return err ? err
		   : host_put_sysctl(&m->sysctls, txn, "net/ipv4/conf/all/rp_filter",
				     &(struct host_sysctl){ "0", NULL, why });
}

static int put_sysctls(struct agent *a, const struct uplink *u, struct txn *txn)
{
	static const struct host_sysctl
		routes = { "1", NULL, "pods' packets to the outside are routed by this node" },
		filter = { "2", "0",
			   "packets of other nodes' pods come in by the uplink, while their route "
			   "is by " NETLOOM_HOST_LINK },
		/* 0 is the choice of somebody with static routes. */
		accept_ra = { "2", "0",
			      "a node that forwards would lose the routes of router "
			      "advertisements" };
	struct hostlink *m = get(a);
	char path[96];
	int err;

	host_sysctls_clear(&m->sysctls);
	err = host_put_sysctl(&m->sysctls, txn, "net/ipv4/ip_forward", &routes);
	snprintf(path, sizeof(path), "net/ipv4/conf/%s/rp_filter", u->name);
	if (!err)
		err = host_put_sysctl(&m->sysctls, txn, path, &filter);
	if (!err)
		err = move_filter(m, u, txn);
	if (err < 0 || !cluster_has_v6(a))
		return err;
	/* Comes first: forwarding turns 1 off. */
	snprintf(path, sizeof(path), "net/ipv6/conf/%s/accept_ra", u->name);
	err = host_put_sysctl(&m->sysctls, txn, path, &accept_ra);
	return err ? err
		   : host_put_sysctl(&m->sysctls, txn, "net/ipv6/conf/all/forwarding", &routes);
}

/* ---- module ---- */

/* Started without an uplink: the links of before are kept as they are. */
static bool adopt_mtu(struct hostlink *m)
{
	struct host_link there;

	if (host_link_find(m->nl, NETLOOM_HOST_LINK, &there) < 0)
		return false;
	m->last = (struct uplink){ .pod_mtu = there.mtu };
	return true;
}

static int hostlink_resync(struct agent *a, struct agent_event *ev, struct txn *txn, struct err *e)
{
	const struct uplink *u = uplink_get(a);
	struct hostlink *m = get(a);
	int err = 0;

	if (u)
		m->last = *u;
	/* While the uplink is away, what stands stays: pods of this node still talk to each other.
	 */
	if (!m->last.ifindex && !adopt_mtu(m))
		return 0;
	if (u)
		err = put_uplink(a, u, txn);
	u = &m->last;
	if (!err)
		err = put_links(a, u, txn, e);
	if (!err)
		err = put_routes(a, u, txn);
	if (!err && u->ifindex)
		err = put_sysctls(a, u, txn);
	return err;
}

static void hostlink_fini(struct agent *a)
{
	struct hostlink *m = get(a);

	if (!m)
		return;
	sysctl_watch_free(m->watch);
	nl_close(m->nl);
	host_sysctls_clear(&m->sysctls);
	free(m);
	module_set_state(a, &hostlink_module, NULL);
}

static int hostlink_init(struct agent *a, struct err *e)
{
	const struct descriptor *const all[] = { &host_link_descriptor, &host_route_descriptor };
	struct hostlink *m = calloc(1, sizeof(*m));
	int err;

	if (!m)
		return err_errno(e, -ENOMEM, "hostlink");
	module_set_state(a, &hostlink_module, m);
	err = nl_open(-1, &m->nl, e);
	for (size_t i = 0; !err && i < ARRAY_SIZE(all); i++)
		err = scheduler_register(agent_scheduler(a), all[i], m->nl);
	if (!err)
		err = scheduler_register(agent_scheduler(a), &host_sysctl_descriptor, &m->sysctls);
	return err ? err : sysctl_watch_new(a, &m->sysctls, &m->watch, e);
}

const struct module hostlink_module = {
	.name = "hostlink",
	.needs = NEEDS("datapath", "uplink"),
	.init = hostlink_init,
	.fini = hostlink_fini,
	.resync = hostlink_resync,
};
