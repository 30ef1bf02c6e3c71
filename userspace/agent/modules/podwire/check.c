// SPDX-License-Identifier: Apache-2.0
#include "agent/modules/podwire/pod_link.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct seen {
	const struct pod_link *want;
	unsigned int ifindex;
	bool ip4, ip6, default4, default6;
};

static int see_addr(const struct nl_addr *addr, void *arg)
{
	struct seen *s = arg;

	if (addr->ifindex != s->ifindex)
		return 0;
	s->ip4 |= addr_equal(&addr->addr, &s->want->ips.ip4);
	s->ip6 |= addr_equal(&addr->addr, &s->want->ips.ip6);
	return 0;
}

static int see_route(const struct nl_route *r, void *arg)
{
	struct seen *s = arg;

	if (prefix_family_len(&r->dst) == 0 && r->type == RTN_UNICAST) {
		s->default4 |= addr_is_v4(&r->dst.addr);
		s->default6 |= !addr_is_v4(&r->dst.addr);
	}
	return 0;
}

static int check_host_end(struct nl_sock *nl, const struct pod_link *l, struct err *e)
{
	struct nl_link host;
	int err = nl_link_get(nl, 0, l->host_ifname, &host, NULL);

	if (err < 0)
		return err_set(e, -ENODEV, "host link '%s' is gone", l->host_ifname);
	if (host.ifindex != l->host_ifindex)
		return err_set(e, -EINVAL, "host link '%s' has index %u, not %u", l->host_ifname,
			       host.ifindex, l->host_ifindex);
	if (!(host.flags & IFF_UP))
		return err_set(e, -EINVAL, "host link '%s' is down", l->host_ifname);
	return 0;
}

static int check_pod_end(struct nl_sock *pod, const struct pod_link *l, struct nl_link *ret,
			 struct err *e)
{
	char have[MAC_STRLEN], want[MAC_STRLEN];

	if (nl_link_get(pod, 0, l->ifname, ret, NULL) < 0)
		return err_set(e, -ENODEV, "interface '%s' is gone", l->ifname);
	if (memcmp(ret->mac, l->mac, sizeof(l->mac)) != 0)
		return err_set(e, -EINVAL, "interface '%s' has MAC address %s, not %s", l->ifname,
			       mac_format(ret->mac, have), mac_format(l->mac, want));
	if (!(ret->flags & IFF_UP))
		return err_set(e, -EINVAL, "interface '%s' is down", l->ifname);
	if (ret->mtu != l->mtu)
		return err_set(e, -EINVAL, "interface '%s' has MTU %u, not %u", l->ifname, ret->mtu,
			       l->mtu);
	return 0;
}

static int check_family(const struct pod_link *l, const union loom_addr *ip, bool has_addr,
			bool has_default, struct err *e)
{
	char text[ADDR_STRLEN];

	if (addr_is_zero(ip))
		return 0;
	if (!has_addr)
		return err_set(e, -EINVAL, "interface '%s' has lost address '%s'", l->ifname,
			       addr_format(ip, text));
	/* Plugins behind this one may have replaced the route, but the family needs one. */
	if (!has_default)
		return err_set(e, -EINVAL, "there is no %s default route",
			       addr_is_v4(ip) ? "IPv4" : "IPv6");
	return 0;
}

int pod_link_check(struct nl_sock *nl, const struct pod_link *l, int netns_fd, struct err *e)
{
	_cleanup_(nl_closep) struct nl_sock *pod = NULL;
	struct seen s = { .want = l };
	struct nl_link end = {};
	int err;

	if (nl_open(netns_fd, &pod, e) < 0)
		return err_set(e, -EBADF, "the pod's network namespace can't be entered");
	err = check_pod_end(pod, l, &end, e);
	if (!err)
		err = check_host_end(nl, l, e);
	s.ifindex = end.ifindex;
	if (!err)
		err = nl_addr_foreach(pod, see_addr, &s, e);
	if (!err)
		err = nl_route_foreach(pod, see_route, &s, e);
	if (!err)
		err = check_family(l, &l->ips.ip4, s.ip4, s.default4, e);
	if (!err)
		err = check_family(l, &l->ips.ip6, s.ip6, s.default6, e);
	return err;
}
