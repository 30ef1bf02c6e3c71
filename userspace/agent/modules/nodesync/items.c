// SPDX-License-Identifier: Apache-2.0
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/core/agent_config.h"
#include "agent/modules/datapath/datapath.h"
#include "agent/modules/hostlink/hostlink.h"
#include "agent/modules/nodesync/private.h"
#include "agent/modules/uplink/uplink.h"
#include "version.h"

/* ---- this node ---- */

/* loom_vip as it is, by number: what a run of before has given stays. */
struct vips {
	union loom_addr addr[LOOM_VIP_SERVICE_FIRST];
	bool used[LOOM_VIP_SERVICE_FIRST]; /* by an address that is there now */
};

struct put {
	struct txn *txn;
	struct vips vips;
	int err;
};

static void read_vips(struct agent *a, struct vips *v)
{
	int fd = datapath_map_fd(a, "loom_vip");

	for (uint32_t n = LOOM_VIP_NODE_FIRST; n < LOOM_VIP_SERVICE_FIRST; n++)
		if (fd < 0 || bpf_map_lookup_elem(fd, &n, &v->addr[n]) < 0)
			v->addr[n] = (union loom_addr){};
}

static int mark_used(const union loom_addr *addr, void *arg)
{
	struct vips *v = arg;

	for (uint32_t n = LOOM_VIP_NODE_FIRST; n < LOOM_VIP_SERVICE_FIRST; n++)
		if (addr_equal(&v->addr[n], addr))
			v->used[n] = true;
	return 0;
}

/*
 * The number that the address has, else one that none has had, else that of an address that is
 * gone. LOOM_VIP_NONE when the node has too many addresses: the ones left over do without
 * NodePorts.
 */
static uint32_t vip_number(struct vips *v, const union loom_addr *addr)
{
	uint32_t empty = LOOM_VIP_NONE, stale = LOOM_VIP_NONE;

	for (uint32_t n = LOOM_VIP_NODE_FIRST; n < LOOM_VIP_SERVICE_FIRST; n++) {
		if (addr_equal(&v->addr[n], addr))
			return n;
		if (!empty && addr_is_zero(&v->addr[n]))
			empty = n;
		if (!stale && !v->used[n])
			stale = n;
	}
	empty = empty ?: stale;
	v->addr[empty] = *addr;
	v->used[empty] = true;
	return empty;
}

static int put_host_addr(const union loom_addr *addr, void *arg)
{
	struct put *p = arg;
	const struct loom_ep ep = { .flags = LOOM_EP_HOST, .ep = vip_number(&p->vips, addr) };

	p->err = datapath_put_ep(p->txn, 0, addr, &ep);
	if (!p->err && ep.ep)
		p->err = datapath_put_vip(p->txn, ep.ep, addr);
	return p->err;
}

static int put_state(struct nodesync *m, struct txn *txn)
{
	const struct agent_config *cfg = agent_cfg(m->agent);
	const struct uplink *u = uplink_get(m->agent);
	struct loom_state s = {
		.node_id = m->self.id,
		.host_ifindex = hostlink_host_ifindex(m->agent),
		.overlay_ifindex = hostlink_overlay_ifindex(m->agent),
	};

	/* Services need the node's address too, whether pods are masqueraded or not. */
	if (u) {
		s.uplink_ifindex = u->ifindex;
		s.uplink_mtu = u->mtu;
		s.masq4 = u->addr4;
		s.masq6 = u->addr6;
	}
	if (cfg->transport == TRANSPORT_VXLAN)
		s.flags |= LOOM_STATE_TUNNEL;
	if (cfg->masquerade.enabled)
		s.flags |= LOOM_STATE_MASQUERADE;
	if (cfg->services.enabled)
		s.flags |= LOOM_STATE_SERVICES;
	return datapath_put_state(txn, &s);
}

int nodesync_put_self(struct nodesync *m, struct txn *txn)
{
	const struct loom_remote nobody = { .flags = LOOM_REMOTE_UNREACHABLE };
	struct put p = { .txn = txn };
	int err = put_state(m, txn);

	read_vips(m->agent, &p.vips);
	uplink_host_addresses(m->agent, mark_used, &p.vips);
	if (!err)
		uplink_host_addresses(m->agent, put_host_addr, &p);
	err = err ? err : p.err;
	/* Local pods have exact entries: what else is in this node's range is nobody's. */
	for (size_t i = 0; !err && i < m->self.n_pod_cidrs; i++)
		err = datapath_put_cidr(txn, 0, &m->self.pod_cidrs[i], &nobody);
	return err;
}

int nodesync_put_cluster(struct nodesync *m, struct txn *txn)
{
	const struct agent_config *cfg = agent_cfg(m->agent);
	const struct loom_remote nobody = { .flags = LOOM_REMOTE_UNREACHABLE },
				 as_is = { .flags = LOOM_REMOTE_NO_MASQ };
	int err = 0;

	for (size_t i = 0; !err && i < cfg->masquerade.except.n; i++)
		err = datapath_put_cidr(txn, 0, &cfg->masquerade.except.v[i], &as_is);
	for (size_t i = 0; !err && i < cfg->cluster.cidrs.n; i++)
		err = datapath_put_cidr(txn, 0, &cfg->cluster.cidrs.v[i], &nobody);
	/* Frontends are found before routes, so what else is asked for there is nobody's. */
	for (size_t i = 0; cfg->services.enabled && !err && i < cfg->cluster.service_cidrs.n; i++)
		err = datapath_put_cidr(txn, 0, &cfg->cluster.service_cidrs.v[i], &nobody);
	return err;
}

static int collect(const union loom_addr *addr, void *arg)
{
	struct node_info *info = arg;

	info->addrs[info->n_addrs++] = *addr;
	return info->n_addrs == NODE_MAX_ADDRS;
}

void nodesync_own_info(struct nodesync *m, struct node_info *ret)
{
	const union loom_addr *underlay = uplink_underlay(m->agent);

	*ret = (struct node_info){ .id = m->self.id,
				   .tunnel = agent_cfg(m->agent)->transport == TRANSPORT_VXLAN };
	uplink_node_addresses(m->agent, collect, ret);
	memcpy(ret->cidrs, m->cidrs, sizeof(ret->cidrs));
	ret->n_cidrs = m->self.n_pod_cidrs;
	if (underlay)
		ret->underlay = *underlay;
	snprintf(ret->version, sizeof(ret->version), "%s", NETLOOM_VERSION);
	memcpy(ret->started, m->started, sizeof(ret->started));
}

/* ---- the others ---- */

static const union loom_addr *addr_of_family(const struct node_info *info, bool v4)
{
	if (addr_is_v4(&info->underlay) == v4)
		return &info->underlay;
	for (size_t i = 0; i < info->n_addrs; i++)
		if (addr_is_v4(&info->addrs[i]) == v4)
			return &info->addrs[i];
	return NULL;
}

/* A family without a next hop, or by another link than the first one's, is left to the kernel. */
static void find_next_hops(struct nodesync *m, const struct node_info *info, struct loom_node *ret)
{
	union loom_addr *const slots[] = { &ret->nexthop6, &ret->nexthop4 };

	for (int v4 = 1; v4 >= 0; v4--) {
		const union loom_addr *addr = addr_of_family(info, v4);
		union loom_addr hop;
		unsigned int ifindex;

		if (!addr || uplink_next_hop(m->agent, addr, &ifindex, &hop) < 0)
			continue;
		if (ret->ifindex && ret->ifindex != ifindex)
			continue;
		ret->ifindex = ifindex;
		*slots[v4] = hop;
	}
}

/*
 * The programs write the outer headers where both ends are IPv4 and the way is by the uplink; all
 * else is the overlay device's.
 */
static void find_tunnel(struct nodesync *m, const struct uplink *u, struct loom_node *ret)
{
	const union loom_addr *src = uplink_underlay(m->agent);
	unsigned int ifindex;
	union loom_addr hop;

	if (!agent_cfg(m->agent)->overlay.direct || !u || !u->pod_mtu || !src)
		return;
	if (!addr_is_v4(src) || !addr_is_v4(&ret->underlay))
		return;
	if (uplink_next_hop(m->agent, &ret->underlay, &ifindex, &hop) < 0 || ifindex != u->ifindex)
		return;
	ret->tunnel_src = src->w[3];
	ret->ifindex = ifindex;
	ret->nexthop4 = hop;
}

static int put_node(struct nodesync *m, const struct peer *peer, struct txn *txn)
{
	const struct uplink *u = uplink_get(m->agent);
	struct loom_node node = { .underlay = peer->info.underlay,
				  .flags = LOOM_NODE_PRESENT,
				  .mtu = u ? u->pod_mtu : 0 };

	if (agent_cfg(m->agent)->transport == TRANSPORT_VXLAN) {
		node.flags |= LOOM_NODE_TUNNEL;
		find_tunnel(m, u, &node);
	} else {
		find_next_hops(m, &peer->info, &node);
	}
	return datapath_put_node(txn, peer->info.id, &node);
}

int nodesync_put_peer(struct nodesync *m, const struct peer *peer, struct txn *txn)
{
	struct loom_remote to_pods = { .node = peer->info.id },
			   to_node = { .node = peer->info.id, .flags = LOOM_REMOTE_NODE };
	int err;

	/* Everything else points to the id. */
	if (!peer->has_id)
		return 0;
	err = put_node(m, peer, txn);
	for (size_t i = 0; !err && i < peer->info.n_cidrs; i++)
		if (peer->has_cidr[i])
			err = datapath_put_cidr(txn, 0, &peer->info.cidrs[i], &to_pods);
	for (size_t i = 0; !err && i < peer->info.n_addrs; i++)
		if (peer->has_addr[i])
			err = datapath_put_ip(txn, 0, &peer->info.addrs[i], &to_node);
	return err;
}

void nodesync_delete_lost(struct nodesync *m, const struct peer *before, struct txn *txn)
{
	const struct node_info *info = &before->info;

	if (!before->has_id)
		return;
	for (size_t i = 0; i < info->n_addrs; i++)
		if (before->has_addr[i] && !peers_hold_addr(m->peers, &info->addrs[i]))
			datapath_del_ip(txn, 0, &info->addrs[i]);
	for (size_t i = 0; i < info->n_cidrs; i++)
		if (before->has_cidr[i] && !peers_hold_cidr(m->peers, &info->cidrs[i]))
			datapath_del_cidr(txn, 0, &info->cidrs[i]);
	if (!peers_hold_id(m->peers, info->id))
		datapath_del_node(txn, info->id);
}
