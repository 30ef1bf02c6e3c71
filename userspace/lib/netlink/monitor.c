// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <errno.h>
#include <linux/netconf.h>
#include <linux/pkt_sched.h>
#include <string.h>
#include <sys/socket.h>

struct nl_monitor {
	int fd;
	char in[64 * 1024] __attribute__((aligned(8)));
};

static int open_groups(const int *groups, size_t n, struct nl_monitor **ret, struct err *e)
{
	_cleanup_(nl_monitor_closep) struct nl_monitor *m = calloc(1, sizeof(*m));
	struct sockaddr_nl self = { .nl_family = AF_NETLINK };
	int room = 1024 * 1024;

	if (!m)
		return err_errno(e, -ENOMEM, "netlink monitor");
	m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (m->fd < 0)
		return err_errno(e, -errno, "netlink monitor");
	/* A small buffer only means that a burst is answered with a full look. */
	if (setsockopt(m->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(m->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	/* An unbound socket has the kernel's own port number and is left out of what it tells. */
	if (bind(m->fd, (struct sockaddr *)&self, sizeof(self)) < 0)
		return err_errno(e, -errno, "netlink monitor");
	for (size_t i = 0; i < n; i++)
		if (setsockopt(m->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return err_errno(e, -errno, "netlink monitor: group %d", groups[i]);
	*ret = TAKE_PTR(m);
	return 0;
}

int nl_monitor_open(struct nl_monitor **ret, struct err *e)
{
	static const int groups[] = { RTNLGRP_LINK,	  RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_TC };

	return open_groups(groups, ARRAY_SIZE(groups), ret, e);
}

int nl_monitor_open_conf(struct nl_monitor **ret, struct err *e)
{
	static const int groups[] = { RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF };

	return open_groups(groups, ARRAY_SIZE(groups), ret, e);
}

void nl_monitor_close(struct nl_monitor *m)
{
	if (!m)
		return;
	closep(&m->fd);
	free(m);
}

int nl_monitor_fd(const struct nl_monitor *m)
{
	return m->fd;
}

static int parse_conf(const struct nlmsghdr *nlh, struct nl_change *ret)
{
	const struct nlattr *tb[NETCONFA_MAX + 1];

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(struct netconfmsg))
		return -ENOENT;
	nl_attrs(nlh, sizeof(struct netconfmsg), tb, NETCONFA_MAX);
	if (!nl_attr_holds(tb[NETCONFA_IFINDEX], 4))
		return -ENOENT;
	ret->conf_ifindex = mnl_attr_get_u32(tb[NETCONFA_IFINDEX]);
	ret->conf_filters = nl_attr_holds(tb[NETCONFA_RP_FILTER], 4) &&
			    mnl_attr_get_u32(tb[NETCONFA_RP_FILTER]);
	return 0;
}

static int parse_tc(const struct nlmsghdr *nlh, struct nl_change *ret)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);
	bool qdisc = nlh->nlmsg_type == RTM_DELQDISC;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*tc) ||
	    (qdisc && tc->tcm_parent != TC_H_CLSACT))
		return -ENOENT;
	ret->tc.ifindex = tc->tcm_ifindex;
	ret->tc.priority = qdisc ? 0 : TC_H_MAJ(tc->tcm_info) >> 16;
	return 0;
}

static void tell(const struct nlmsghdr *nlh, void (*fn)(const struct nl_change *c, void *arg),
		 void *arg)
{
	struct nl_change c = {};

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		c.kind = NL_CHANGE_LINK;
		if (nl_parse_link(nlh, &c.link) < 0)
			return;
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		c.kind = NL_CHANGE_ADDR;
		if (nl_parse_addr(nlh, &c.addr) < 0)
			return;
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		c.kind = NL_CHANGE_ROUTE;
		if (nl_parse_route(nlh, &c.route) < 0)
			return;
		break;
	case RTM_NEWNETCONF:
		c.kind = NL_CHANGE_CONF;
		if (parse_conf(nlh, &c) < 0)
			return;
		break;
	case RTM_DELQDISC:
	case RTM_DELTFILTER:
		c.kind = NL_CHANGE_TC;
		if (parse_tc(nlh, &c) < 0)
			return;
		break;
	default:
		return;
	}
	c.gone = nlh->nlmsg_type == RTM_DELLINK || nlh->nlmsg_type == RTM_DELADDR ||
		 nlh->nlmsg_type == RTM_DELROUTE || c.kind == NL_CHANGE_TC;
	fn(&c, arg);
}

int nl_monitor_read(struct nl_monitor *m, void (*fn)(const struct nl_change *c, void *arg),
		    void *arg)
{
	for (;;) {
		struct sockaddr_nl from = {};
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(m->fd, m->in, sizeof(m->in), MSG_TRUNC,
				     (struct sockaddr *)&from, &from_len);
		int len = n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if ((n < 0 && errno == ENOBUFS) || (size_t)(n < 0 ? 0 : n) > sizeof(m->in)) {
			fn(&(struct nl_change){ .kind = NL_CHANGE_LOST }, arg);
			continue;
		}
		if (n < 0)
			return -errno;
		/* Other processes may send to our port too. */
		if (from.nl_pid != 0)
			continue;
		for (const struct nlmsghdr *nlh = (void *)m->in; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len))
			tell(nlh, fn, arg);
	}
}
