// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct rtmsg *put_head(struct nlmsghdr *nlh, const struct nl_route *r)
{
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));

	rtm->rtm_family = nl_family(&r->dst.addr);
	rtm->rtm_dst_len = prefix_family_len(&r->dst);
	rtm->rtm_table = RT_TABLE_UNSPEC;
	rtm->rtm_protocol = r->protocol ? r->protocol : NL_PROTO_NETLOOM;
	rtm->rtm_scope = r->scope;
	rtm->rtm_type = r->type ? r->type : RTN_UNICAST;
	if (r->onlink)
		rtm->rtm_flags |= RTNH_F_ONLINK;
	return rtm;
}

static void put_key(struct nlmsghdr *nlh, const struct nl_route *r)
{
	if (prefix_family_len(&r->dst))
		nl_put_addr(nlh, RTA_DST, &r->dst.addr);
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table ? r->table : RT_TABLE_MAIN);
	if (r->metric)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, r->metric);
	if (r->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, r->ifindex);
	if (!addr_is_zero(&r->gateway))
		nl_put_addr(nlh, RTA_GATEWAY, &r->gateway);
}

int nl_route_replace(struct nl_sock *nl, const struct nl_route *r, struct err *e)
{
	char text[PREFIX_STRLEN];
	struct nlmsghdr *nlh =
		nl_msg(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, "set route '%s' by link %u",
		       prefix_format(&r->dst, text), r->ifindex);

	if (!nlh)
		return -ENOBUFS;
	put_head(nlh, r);
	put_key(nlh, r);
	if (!addr_is_zero(&r->src))
		nl_put_addr(nlh, RTA_PREFSRC, &r->src);
	if (r->mtu) {
		struct nlattr *metrics = mnl_attr_nest_start(nlh, RTA_METRICS);

		mnl_attr_put_u32(nlh, RTAX_MTU, r->mtu);
		mnl_attr_nest_end(nlh, metrics);
	}
	return nl_msg_done(nl, e);
}

int nl_route_del(struct nl_sock *nl, const struct nl_route *r, struct err *e)
{
	char text[PREFIX_STRLEN];
	struct nlmsghdr *nlh =
		nl_msg(nl, RTM_DELROUTE, 0, "delete route '%s'", prefix_format(&r->dst, text));

	if (!nlh)
		return -ENOBUFS;
	/* RT_SCOPE_NOWHERE matches any scope when a route is deleted. */
	put_head(nlh, r)->rtm_scope = RT_SCOPE_NOWHERE;
	put_key(nlh, r);
	return nl_msg_done(nl, e);
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return nl_attr_holds(attr, 4) ? mnl_attr_get_u32(attr) : 0;
}

static void parse_metrics(const struct nlattr *nest, struct nl_route *ret)
{
	const struct nlattr *tb[RTAX_MAX + 1];

	nl_attrs_nested(nest, tb, RTAX_MAX);
	ret->mtu = get_u32(tb[RTAX_MTU]);
}

static int parse_dst(const struct rtmsg *rtm, const struct nlattr *dst, struct nl_route *ret)
{
	bool v4 = rtm->rtm_family == AF_INET;

	if ((!v4 && rtm->rtm_family != AF_INET6) || rtm->rtm_dst_len > (v4 ? 32 : 128))
		return -ENOENT;
	if (v4)
		addr_from_v4(0, &ret->dst.addr);
	ret->dst.len = rtm->rtm_dst_len + (v4 ? 96 : 0);
	return dst ? nl_attr_addr(dst, rtm->rtm_family, &ret->dst.addr) : 0;
}

/* The gateway may be of the other family (RFC 5549), which is told as RTA_VIA. */
static void parse_gateway(const struct nlattr **tb, int family, struct nl_route *ret)
{
	const struct rtvia *via;

	if (tb[RTA_GATEWAY]) {
		nl_attr_addr(tb[RTA_GATEWAY], family, &ret->gateway);
	} else if (nl_attr_holds(tb[RTA_VIA], sizeof(*via) + 16)) {
		via = mnl_attr_get_payload(tb[RTA_VIA]);
		if (via->rtvia_family == AF_INET6)
			memcpy(ret->gateway.b, via->rtvia_addr, 16);
	}
}

/* First hop of several. */
static void parse_multipath(const struct nlattr *attr, int family, struct nl_route *ret)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attr);
	const struct nlattr *tb[RTA_MAX + 1] = {}, *a;
	int left;

	if (!nl_attr_holds(attr, sizeof(*hop)) || hop->rtnh_len < sizeof(*hop) ||
	    hop->rtnh_len > mnl_attr_get_payload_len(attr))
		return;
	ret->ifindex = hop->rtnh_ifindex;
	left = hop->rtnh_len - sizeof(*hop);
	for (a = (const struct nlattr *)RTNH_DATA(hop); mnl_attr_ok(a, left);
	     a = mnl_attr_next(a)) {
		if (mnl_attr_get_type(a) <= RTA_MAX)
			tb[mnl_attr_get_type(a)] = a;
		left -= MNL_ALIGN(a->nla_len);
	}
	parse_gateway(tb, family, ret);
}

int nl_parse_route(const struct nlmsghdr *nlh, struct nl_route *ret)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[RTA_MAX + 1];

	if ((nlh->nlmsg_type != RTM_NEWROUTE && nlh->nlmsg_type != RTM_DELROUTE) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*rtm) || rtm->rtm_flags & RTM_F_CLONED)
		return -ENOENT;
	nl_attrs(nlh, sizeof(*rtm), tb, RTA_MAX);
	*ret = (struct nl_route){ .ifindex = get_u32(tb[RTA_OIF]),
				  .metric = get_u32(tb[RTA_PRIORITY]),
				  .table = tb[RTA_TABLE] ? get_u32(tb[RTA_TABLE]) : rtm->rtm_table,
				  .protocol = rtm->rtm_protocol,
				  .scope = rtm->rtm_scope,
				  .type = rtm->rtm_type,
				  .onlink = rtm->rtm_flags & RTNH_F_ONLINK };
	if (parse_dst(rtm, tb[RTA_DST], ret) < 0)
		return -ENOENT;
	if (tb[RTA_MULTIPATH])
		parse_multipath(tb[RTA_MULTIPATH], rtm->rtm_family, ret);
	else
		parse_gateway(tb, rtm->rtm_family, ret);
	if (tb[RTA_PREFSRC])
		nl_attr_addr(tb[RTA_PREFSRC], rtm->rtm_family, &ret->src);
	if (tb[RTA_METRICS])
		parse_metrics(tb[RTA_METRICS], ret);
	return 0;
}

struct walk {
	uint8_t family;
	int (*fn)(const struct nl_route *route, void *arg);
	void *arg;
};

static int walk_route(const struct nlmsghdr *nlh, void *arg)
{
	struct walk *w = arg;
	struct nl_route route;

	if (nl_parse_route(nlh, &route) < 0 || nl_family(&route.dst.addr) != w->family)
		return 0;
	return w->fn(&route, w->arg);
}

int nl_route_foreach(struct nl_sock *nl, int (*fn)(const struct nl_route *route, void *arg),
		     void *arg, struct err *e)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		struct walk w = { families[i], fn, arg };
		struct nlmsghdr *nlh = nl_msg(nl, RTM_GETROUTE, 0, "list routes");
		struct rtmsg *rtm;
		int err;

		if (!nlh)
			return -ENOBUFS;
		rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
		rtm->rtm_family = families[i];
		err = nl_msg_dump(nl, walk_route, &w, e);
		/* A kernel without IPv6 has no such routes; it may list IPv4's again. */
		if (err && !(err == -EOPNOTSUPP || err == -EAFNOSUPPORT))
			return err;
	}
	return 0;
}

static int got_route(const struct nlmsghdr *nlh, void *arg)
{
	struct nlmsghdr *mine = (struct nlmsghdr *)nlh;
	struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	/* The answer to a lookup is marked as cloned, which a dump leaves out. */
	if (mnl_nlmsg_get_payload_len(mine) >= sizeof(*rtm))
		rtm->rtm_flags &= ~RTM_F_CLONED;
	return nl_parse_route(mine, arg);
}

int nl_route_get(struct nl_sock *nl, const union loom_addr *dst, struct nl_route *ret,
		 struct err *e)
{
	char text[ADDR_STRLEN];
	struct nlmsghdr *nlh = nl_msg(nl, RTM_GETROUTE, 0, "route to '%s'", addr_format(dst, text));
	struct nl_route route;
	struct rtmsg *rtm;
	int err;

	if (!nlh)
		return -ENOBUFS;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = nl_family(dst);
	rtm->rtm_dst_len = addr_is_v4(dst) ? 32 : 128;
	nl_put_addr(nlh, RTA_DST, dst);
	err = nl_msg_get(nl, got_route, &route, e);
	if (!err)
		*ret = route;
	return err;
}
