// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <string.h>

static int addr_request(struct nl_sock *nl, uint16_t type, uint16_t flags, const char *verb,
			const struct nl_addr *addr, struct err *e)
{
	char text[ADDR_STRLEN];
	struct nlmsghdr *nlh = nl_msg(nl, type, flags, "%s address '%s/%u' on link %u", verb,
				      addr_format(&addr->addr, text), addr->len, addr->ifindex);
	struct ifaddrmsg *ifa;

	if (!nlh)
		return -ENOBUFS;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = nl_family(&addr->addr);
	ifa->ifa_prefixlen = addr->len;
	ifa->ifa_scope = addr->scope;
	ifa->ifa_index = addr->ifindex;
	nl_put_addr(nlh, IFA_LOCAL, &addr->addr);
	nl_put_addr(nlh, IFA_ADDRESS, &addr->addr);
	mnl_attr_put_u32(nlh, IFA_FLAGS, addr->flags);
	return nl_msg_done(nl, e);
}

int nl_addr_add(struct nl_sock *nl, const struct nl_addr *addr, struct err *e)
{
	return addr_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, "add", addr, e);
}

int nl_addr_del(struct nl_sock *nl, const struct nl_addr *addr, struct err *e)
{
	return addr_request(nl, RTM_DELADDR, 0, "delete", addr, e);
}

int nl_parse_addr(const struct nlmsghdr *nlh, struct nl_addr *ret)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[IFA_MAX + 1], *addr;

	if ((nlh->nlmsg_type != RTM_NEWADDR && nlh->nlmsg_type != RTM_DELADDR) ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*ifa))
		return -ENOENT;
	nl_attrs(nlh, sizeof(*ifa), tb, IFA_MAX);
	addr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	*ret = (struct nl_addr){ .ifindex = ifa->ifa_index,
				 .len = ifa->ifa_prefixlen,
				 .scope = ifa->ifa_scope,
				 .flags = ifa->ifa_flags };
	if (nl_attr_holds(tb[IFA_FLAGS], 4))
		ret->flags = mnl_attr_get_u32(tb[IFA_FLAGS]);
	return !addr || nl_attr_addr(addr, ifa->ifa_family, &ret->addr) < 0 ? -ENOENT : 0;
}

struct walk {
	int (*addr)(const struct nl_addr *addr, void *arg);
	int (*neigh)(const struct nl_neigh *neigh, void *arg);
	void *arg;
};

static int walk_addr(const struct nlmsghdr *nlh, void *arg)
{
	struct walk *w = arg;
	struct nl_addr addr;

	return nl_parse_addr(nlh, &addr) < 0 ? 0 : w->addr(&addr, w->arg);
}

int nl_addr_foreach(struct nl_sock *nl, int (*fn)(const struct nl_addr *addr, void *arg), void *arg,
		    struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_GETADDR, 0, "list addresses");
	struct walk w = { .addr = fn, .arg = arg };

	if (!nlh)
		return -ENOBUFS;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	return nl_msg_dump(nl, walk_addr, &w, e);
}

/* ---- neighbours ---- */

int nl_neigh_replace(struct nl_sock *nl, const struct nl_neigh *neigh, struct err *e)
{
	char text[ADDR_STRLEN];
	struct nlmsghdr *nlh = nl_msg(nl, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE,
				      "set neighbour '%s' on link %u",
				      addr_format(&neigh->addr, text), neigh->ifindex);
	struct ndmsg *ndm;

	if (!nlh)
		return -ENOBUFS;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = nl_family(&neigh->addr);
	ndm->ndm_ifindex = neigh->ifindex;
	ndm->ndm_state = neigh->state;
	nl_put_addr(nlh, NDA_DST, &neigh->addr);
	mnl_attr_put(nlh, NDA_LLADDR, sizeof(neigh->mac), neigh->mac);
	return nl_msg_done(nl, e);
}

static int walk_neigh(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *tb[NDA_MAX + 1];
	struct nl_neigh neigh = {};
	struct walk *w = arg;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(nlh) < sizeof(*ndm))
		return 0;
	nl_attrs(nlh, sizeof(*ndm), tb, NDA_MAX);
	if (!tb[NDA_DST] || nl_attr_addr(tb[NDA_DST], ndm->ndm_family, &neigh.addr) < 0)
		return 0;
	neigh.ifindex = ndm->ndm_ifindex;
	neigh.state = ndm->ndm_state;
	if (nl_attr_holds(tb[NDA_LLADDR], sizeof(neigh.mac)))
		memcpy(neigh.mac, mnl_attr_get_payload(tb[NDA_LLADDR]), sizeof(neigh.mac));
	return w->neigh(&neigh, w->arg);
}

int nl_neigh_foreach(struct nl_sock *nl, int (*fn)(const struct nl_neigh *neigh, void *arg),
		     void *arg, struct err *e)
{
	struct nlmsghdr *nlh = nl_msg(nl, RTM_GETNEIGH, 0, "list neighbours");
	struct walk w = { .neigh = fn, .arg = arg };

	if (!nlh)
		return -ENOBUFS;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ndmsg));
	return nl_msg_dump(nl, walk_neigh, &w, e);
}
