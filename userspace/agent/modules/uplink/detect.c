// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/uplink/detect.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "api/paths.h"
#include "shared/loom_limits.h"

enum {
	VXLAN_OVER_IPV4 = 50, /* Ethernet 14, IPv4 20, UDP 8, VXLAN 8 (RFC 7348) */
	VXLAN_OVER_IPV6 = 70,
};

struct look {
	struct uplink_view *view;
	struct nl_route best; /* default route */
	bool has_default;
};

static const struct prefix v6_local = { { .b = { 0xfe, 0x80 } }, 10 };

bool uplink_link_is_ours(const char *name)
{
	size_t prefix = strlen(NETLOOM_POD_LINK_PREFIX);

	if (strncmp(name, "loom_", 5) == 0)
		return true;
	return strncmp(name, NETLOOM_POD_LINK_PREFIX, prefix) == 0 && strlen(name) == prefix + 12 &&
	       strspn(name + prefix, "0123456789abcdef") == 12;
}

bool uplink_route_matters(const struct nl_route *route)
{
	/* Every link that comes or goes has a link-local one. */
	return route->protocol != NL_PROTO_NETLOOM && route->table != RT_TABLE_LOCAL &&
	       !(route->dst.len && prefix_contains(&v6_local, &route->dst.addr));
}

/* ---- addresses ---- */

static bool addr_is_global(const struct nl_addr *addr)
{
	if (addr->scope != RT_SCOPE_UNIVERSE || addr_is_zero(&addr->addr))
		return false;
	if (addr_is_v4(&addr->addr))
		return addr->addr.b[12] != 127;
	return !prefix_contains(&v6_local, &addr->addr) &&
	       !(addr->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
}

static int take_addr(const struct nl_addr *addr, void *arg)
{
	struct look *l = arg;
	struct uplink_view *v = l->view;
	struct uplink_host_addr *bigger;

	if (!addr_is_global(addr))
		return 0;
	bigger = reallocarray(v->addrs, v->n_addrs + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	v->addrs = bigger;
	v->addrs[v->n_addrs++] =
		(struct uplink_host_addr){ addr->ifindex, addr->flags, addr->addr };
	return 0;
}

/* ---- routes ---- */

static uint64_t mix(uint64_t h, const void *data, size_t len)
{
	const uint8_t *b = data;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h;
}

/* The sum of hashes does not depend on the order in which the kernel lists them. */
static uint64_t route_hash(const struct nl_route *r)
{
	uint64_t h = 0xcbf29ce484222325u;

	h = mix(h, &r->dst.addr, sizeof(r->dst.addr));
	h = mix(h, &r->dst.len, sizeof(r->dst.len));
	h = mix(h, &r->gateway, sizeof(r->gateway));
	h = mix(h, &r->ifindex, sizeof(r->ifindex));
	h = mix(h, &r->metric, sizeof(r->metric));
	h = mix(h, &r->table, sizeof(r->table));
	return mix(h, &r->type, sizeof(r->type));
}

/* IPv4's default route goes before IPv6's, then the lower metric. */
static bool route_beats(const struct nl_route *a, const struct nl_route *b)
{
	bool a4 = addr_is_v4(&a->dst.addr), b4 = addr_is_v4(&b->dst.addr);

	return a4 != b4 ? a4 : a->metric < b->metric;
}

static int take_own_route(const struct nl_route *r, struct uplink_view *v)
{
	struct prefix *bigger = reallocarray(v->own, v->n_own + 1, sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	v->own = bigger;
	v->own[v->n_own++] = r->dst;
	return 0;
}

static int take_route(const struct nl_route *r, void *arg)
{
	struct look *l = arg;

	if (r->protocol == NL_PROTO_NETLOOM && r->table == RT_TABLE_MAIN)
		return take_own_route(r, l->view);
	if (!uplink_route_matters(r))
		return 0;
	l->view->routes += route_hash(r);
	if (prefix_family_len(&r->dst) || r->type != RTN_UNICAST || r->table != RT_TABLE_MAIN ||
	    !r->ifindex)
		return 0;
	if (!l->has_default || route_beats(r, &l->best)) {
		l->best = *r;
		l->has_default = true;
	}
	return 0;
}

/* ---- which link ---- */

static unsigned int holder_of(const struct uplink_view *v, const union loom_addr *addr)
{
	for (size_t i = 0; !addr_is_zero(addr) && i < v->n_addrs; i++)
		if (addr_equal(&v->addrs[i].addr, addr))
			return v->addrs[i].ifindex;
	return 0;
}

static int find_link(struct nl_sock *nl, const struct uplink_wish *w, const struct look *l,
		     struct nl_link *ret, struct err *e)
{
	unsigned int ifindex;
	int err;

	if (w->interface && w->interface[0]) {
		err = nl_link_get(nl, 0, w->interface, ret, e);
		return err < 0 ? err_set(e, -ENODEV, "uplink.interface: there is no link '%s'",
					 w->interface)
			       : 0;
	}
	ifindex = holder_of(l->view, &w->address4);
	if (!ifindex)
		ifindex = holder_of(l->view, &w->address6);
	if (!ifindex && l->has_default)
		ifindex = l->best.ifindex;
	if (!ifindex)
		ifindex = holder_of(l->view, &w->node4);
	if (!ifindex)
		ifindex = holder_of(l->view, &w->node6);
	if (!ifindex)
		return err_set(e, -ENODEV,
			       "no uplink: there is no default route, and no link holds the Node "
			       "object's address; set uplink.interface");
	return nl_link_get(nl, ifindex, NULL, ret, e);
}

/* ---- what follows ---- */

static unsigned int rank(const struct uplink_host_addr *a, const union loom_addr *node,
			 const union loom_addr *last)
{
	return addr_equal(&a->addr, node) << 3 | !(a->flags & IFA_F_DEPRECATED) << 2 |
	       addr_equal(&a->addr, last) << 1 | !(a->flags & IFA_F_TEMPORARY);
}

/*
 * Other nodes know this one by it, so it does not change for an address that comes: one that moves
 * between nodes (a virtual IP), or one for privacy, which goes again. Of equals the oldest, which
 * the kernel lists first for IPv4 and last for IPv6.
 */
static void choose_addr(const struct uplink_view *v, unsigned int ifindex, bool v4,
			const struct uplink_wish *w, union loom_addr *ret)
{
	const union loom_addr *wish = v4 ? &w->address4 : &w->address6,
			      *node = v4 ? &w->node4 : &w->node6,
			      *last = v4 ? &w->last4 : &w->last6;
	unsigned int best = 0;

	if (!addr_is_zero(wish)) {
		*ret = *wish;
		return;
	}
	for (size_t i = 0; i < v->n_addrs; i++) {
		const struct uplink_host_addr *a = &v->addrs[i];
		unsigned int r = rank(a, node, last);

		if (a->ifindex != ifindex || addr_is_v4(&a->addr) != v4 ||
		    (!addr_is_zero(ret) && (v4 ? r <= best : r < best)))
			continue;
		*ret = a->addr;
		best = r;
	}
}

static int fill(const struct uplink_wish *w, const struct nl_link *link, struct uplink_view *v,
		struct err *e)
{
	struct uplink *u = &v->uplink;
	unsigned int overhead;

	if (link->ifindex >= LOOM_MAX_IFINDEX)
		return err_set(e, -ENODEV,
			       "uplink '%s' has index %u, and indexes from %u on are not supported",
			       link->name, link->ifindex, LOOM_MAX_IFINDEX);
	snprintf(u->name, sizeof(u->name), "%s", link->name);
	memcpy(u->mac, link->mac, sizeof(u->mac));
	choose_addr(v, link->ifindex, true, w, &u->addr4);
	choose_addr(v, link->ifindex, false, w, &u->addr6);
	if (addr_is_zero(&u->addr4) && addr_is_zero(&u->addr6))
		return err_set(e, -ENODEV, "uplink '%s' has no global address", link->name);
	u->ifindex = link->ifindex;
	u->mtu = w->mtu ? w->mtu : link->mtu;
	overhead = !w->tunnel ? 0 : addr_is_zero(&u->addr4) ? VXLAN_OVER_IPV6 : VXLAN_OVER_IPV4;
	u->pod_mtu = u->mtu > overhead ? u->mtu - overhead : 0;
	v->up = (link->flags & IFF_UP) && (link->flags & IFF_RUNNING);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const struct uplink_host_addr *x = a, *y = b;
	int cmp = addr_cmp(&x->addr, &y->addr);

	return cmp ? cmp : (int)x->ifindex - (int)y->ifindex;
}

int uplink_look(struct nl_sock *nl, const struct uplink_wish *wish, struct uplink_view *ret,
		struct err *e)
{
	struct uplink_view v = {};
	struct look l = { .view = &v };
	struct nl_link link;
	int err;

	err = nl_addr_foreach(nl, take_addr, &l, e);
	if (!err)
		err = nl_route_foreach(nl, take_route, &l, e);
	if (err < 0) {
		uplink_view_release(&v);
		return err;
	}
	err = find_link(nl, wish, &l, &link, e);
	if (!err)
		err = fill(wish, &link, &v, e);
	if (err < 0)
		v.uplink = (struct uplink){};
	/* The kernel lists a link's addresses in their order of preference; sorting comes after
	 * choosing. */
	if (v.n_addrs)
		qsort(v.addrs, v.n_addrs, sizeof(*v.addrs), by_value);
	*ret = v;
	return err < 0 ? -ENODEV : 0;
}

void uplink_view_release(struct uplink_view *view)
{
	free(view->addrs);
	free(view->own);
	*view = (struct uplink_view){};
}

static bool same_addrs(const struct uplink_view *a, const struct uplink_view *b)
{
	if (a->n_addrs != b->n_addrs)
		return false;
	for (size_t i = 0; i < a->n_addrs; i++)
		if (by_value(&a->addrs[i], &b->addrs[i]) != 0)
			return false;
	return true;
}

const char *uplink_view_diff(const struct uplink_view *a, const struct uplink_view *b, char *buf,
			     size_t len)
{
	const struct uplink *x = &a->uplink, *y = &b->uplink;
	const bool differs[] = {
		strcmp(x->name, y->name) != 0 || x->ifindex != y->ifindex ||
			memcmp(x->mac, y->mac, sizeof(x->mac)) != 0,
		a->up != b->up,
		x->mtu != y->mtu || x->pod_mtu != y->pod_mtu,
		!addr_equal(&x->addr4, &y->addr4) || !addr_equal(&x->addr6, &y->addr6) ||
			!same_addrs(a, b),
		a->routes != b->routes,
	};
	static const char *const words[] = { "link", "state", "MTU", "addresses", "routes" };
	size_t n = 0;

	buf[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(words) && n < len; i++)
		if (differs[i])
			n += snprintf(buf + n, len - n, "%s%s", n ? ", " : "", words[i]);
	return buf;
}
