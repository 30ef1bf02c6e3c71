// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct ifinfomsg *put_ifinfo(struct nlmsghdr *nlh, unsigned int ifindex)
{
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));

	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = ifindex;
	return ifi;
}

/* Queues are made for every possible CPU by default; a veth without XDP uses one, lockless. */
static void put_one_queue(struct nlmsghdr *nlh)
{
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, 1);
}

static void put_basics(struct nlmsghdr *nlh, const char *name, const uint8_t *mac, unsigned int mtu)
{
	if (name[0])
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	if (mac)
		mnl_attr_put(nlh, IFLA_ADDRESS, 6, mac);
	if (mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
}

int nl_link_add_veth(struct nl_sock *nl, const struct nl_veth *v, struct err *e)
{
	struct nlmsghdr *nlh =
		nl_msg(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "add link '%s'", v->name);
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *ifi;

	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, v->ifindex);
	put_basics(nlh, v->name, v->mac, v->mtu);
	put_one_queue(nlh);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = v->peer.ifindex;
	put_basics(nlh, v->peer.name, v->peer.mac, v->mtu);
	put_one_queue(nlh);
	if (v->peer.netns_fd >= 0)
		mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, v->peer.netns_fd);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return nl_msg_done(nl, e);
}

int nl_link_add_vxlan(struct nl_sock *nl, const char *name, unsigned int ifindex, uint16_t port,
		      unsigned int mtu, struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
				      "add VXLAN link '%s' on UDP port %u", name, port);
	struct nlattr *info, *data;

	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, ifindex);
	put_basics(nlh, name, NULL, mtu);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "vxlan");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	mnl_attr_put_u8(nlh, IFLA_VXLAN_COLLECT_METADATA, 1);
	mnl_attr_put_u8(nlh, IFLA_VXLAN_LEARNING, 0);
	mnl_attr_put_u16(nlh, IFLA_VXLAN_PORT, htons(port));
	mnl_attr_put_u8(nlh, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1);
	mnl_attr_put_u8(nlh, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return nl_msg_done(nl, e);
}

/* Booted with ipv6.disable=1 it makes no such addresses, and refuses to be told about them. */
static bool kernel_has_ipv6(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

static void put_af_spec(struct nlmsghdr *nlh, const struct nl_link_set *set)
{
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC), *af, *conf;

	if (set->no_addrgen && kernel_has_ipv6()) {
		af = mnl_attr_nest_start(nlh, AF_INET6);
		mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		mnl_attr_nest_end(nlh, af);
	}
	if (set->rp_filter_off) {
		af = mnl_attr_nest_start(nlh, AF_INET);
		conf = mnl_attr_nest_start(nlh, IFLA_INET_CONF);
		mnl_attr_put_u32(nlh, IPV4_DEVCONF_RP_FILTER, 0);
		mnl_attr_nest_end(nlh, conf);
		mnl_attr_nest_end(nlh, af);
	}
	mnl_attr_nest_end(nlh, spec);
}

static void put_flag(struct ifinfomsg *ifi, enum nl_switch want, unsigned int flag)
{
	if (want == NL_KEEP)
		return;
	ifi->ifi_change |= flag;
	if (want == NL_ON)
		ifi->ifi_flags |= flag;
}

int nl_link_set(struct nl_sock *nl, const struct nl_link_set *set, struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_NEWLINK, 0, "set up link %u", set->ifindex);
	struct ifinfomsg *ifi;

	if (!nlh)
		return -ENOBUFS;
	ifi = put_ifinfo(nlh, set->ifindex);
	put_flag(ifi, set->up, IFF_UP);
	if (set->arp != NL_KEEP)
		put_flag(ifi, set->arp == NL_ON ? NL_OFF : NL_ON, IFF_NOARP);
	put_basics(nlh, "", set->mac, set->mtu);
	if (set->alias)
		mnl_attr_put_str(nlh, IFLA_IFALIAS, set->alias);
	if (set->group)
		mnl_attr_put_u32(nlh, IFLA_GROUP, *set->group);
	if (set->no_addrgen || set->rp_filter_off)
		put_af_spec(nlh, set);
	return nl_msg_done(nl, e);
}

int nl_link_del(struct nl_sock *nl, unsigned int ifindex, struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_DELLINK, 0, "delete link %u", ifindex);

	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, ifindex);
	return nl_msg_done(nl, e);
}

int nl_link_del_group(struct nl_sock *nl, uint32_t group, struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_DELLINK, 0, "delete links of group %u", group);

	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, 0);
	mnl_attr_put_u32(nlh, IFLA_GROUP, group);
	return nl_msg_done(nl, e);
}

/* ---- reading ---- */

static void copy_str(const struct nlattr *attr, char *ret, size_t len)
{
	if (attr)
		snprintf(ret, len, "%.*s", (int)mnl_attr_get_payload_len(attr),
			 mnl_attr_get_str(attr));
}

static uint32_t get_u32(const struct nlattr *attr)
{
	return nl_attr_holds(attr, 4) ? mnl_attr_get_u32(attr) : 0;
}

static bool get_bool(const struct nlattr *attr)
{
	return nl_attr_holds(attr, 1) && mnl_attr_get_u8(attr);
}

static void parse_info(const struct nlattr *nest, struct nl_link *ret)
{
	const struct nlattr *info[IFLA_INFO_MAX + 1], *data[IFLA_VXLAN_MAX + 1];

	nl_attrs_nested(nest, info, IFLA_INFO_MAX);
	copy_str(info[IFLA_INFO_KIND], ret->kind, sizeof(ret->kind));
	if (strcmp(ret->kind, "vxlan") != 0 || !info[IFLA_INFO_DATA])
		return;
	nl_attrs_nested(info[IFLA_INFO_DATA], data, IFLA_VXLAN_MAX);
	ret->vxlan.external = get_bool(data[IFLA_VXLAN_COLLECT_METADATA]);
	ret->vxlan.learning = get_bool(data[IFLA_VXLAN_LEARNING]);
	if (nl_attr_holds(data[IFLA_VXLAN_PORT], 2))
		ret->vxlan.port = ntohs(mnl_attr_get_u16(data[IFLA_VXLAN_PORT]));
}

int nl_parse_link(const struct nlmsghdr *nlh, struct nl_link *ret)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFLA_MAX + 1];

	if ((nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return -ENOENT;
	nl_attrs(nlh, sizeof(*ifi), tb, IFLA_MAX);
	*ret = (struct nl_link){ .ifindex = ifi->ifi_index,
				 .flags = ifi->ifi_flags,
				 .type = ifi->ifi_type,
				 .mtu = get_u32(tb[IFLA_MTU]),
				 .peer_ifindex = get_u32(tb[IFLA_LINK]) };
	copy_str(tb[IFLA_IFNAME], ret->name, sizeof(ret->name));
	copy_str(tb[IFLA_IFALIAS], ret->alias, sizeof(ret->alias));
	if (tb[IFLA_ADDRESS] && mnl_attr_get_payload_len(tb[IFLA_ADDRESS]) == sizeof(ret->mac)) {
		memcpy(ret->mac, mnl_attr_get_payload(tb[IFLA_ADDRESS]), sizeof(ret->mac));
		ret->has_mac = true;
	}
	if (tb[IFLA_LINKINFO])
		parse_info(tb[IFLA_LINKINFO], ret);
	return 0;
}

static int got_link(const struct nlmsghdr *nlh, void *arg)
{
	return nl_parse_link(nlh, arg);
}

int nl_link_get(struct nl_sock *nl, unsigned int ifindex, const char *name, struct nl_link *ret,
		struct err *e)
{
	char what[32];
	struct nlmsghdr *nlh;
	struct nl_link link;
	int err;

	if (ifindex)
		snprintf(what, sizeof(what), "%u", ifindex);
	else
		snprintf(what, sizeof(what), "'%s'", name);
	nlh = nl_msg(nl, RTM_GETLINK, 0, "link %s", what);
	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, ifindex);
	if (!ifindex)
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	err = nl_msg_get(nl, got_link, &link, e);
	if (!err)
		*ret = link;
	return err;
}

struct walk {
	int (*fn)(const struct nl_link *link, void *arg);
	void *arg;
};

static int walk_link(const struct nlmsghdr *nlh, void *arg)
{
	struct walk *w = arg;
	struct nl_link link;

	return nl_parse_link(nlh, &link) < 0 ? 0 : w->fn(&link, w->arg);
}

int nl_link_foreach(struct nl_sock *nl, int (*fn)(const struct nl_link *link, void *arg), void *arg,
		    struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_GETLINK, 0, "list links");
	struct walk w = { fn, arg };

	if (!nlh)
		return -ENOBUFS;
	put_ifinfo(nlh, 0);
	return nl_msg_dump(nl, walk_link, &w, e);
}
