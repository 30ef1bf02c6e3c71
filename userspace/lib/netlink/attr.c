// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink/message.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static void pick(const struct nlattr *attr, const struct nlattr **tb, uint16_t max)
{
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= max)
		tb[type] = attr;
}

void nl_attrs(const struct nlmsghdr *nlh, size_t header_len, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *attr;

	memset(tb, 0, sizeof(*tb) * (max + 1));
	if (mnl_nlmsg_get_payload_len(nlh) < header_len)
		return;
	mnl_attr_for_each(attr, nlh, header_len) pick(attr, tb, max);
}

void nl_attrs_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max)
{
	const struct nlattr *attr;

	memset(tb, 0, sizeof(*tb) * (max + 1));
	mnl_attr_for_each_nested(attr, nest) pick(attr, tb, max);
}

bool nl_attr_holds(const struct nlattr *attr, size_t len)
{
	return attr && mnl_attr_get_payload_len(attr) >= len;
}

int nl_attr_addr(const struct nlattr *attr, int family, union loom_addr *ret)
{
	size_t len = mnl_attr_get_payload_len(attr);
	uint32_t v4;

	if (family == AF_INET && len == 4) {
		memcpy(&v4, mnl_attr_get_payload(attr), 4);
		addr_from_v4(be32toh(v4), ret);
		return 0;
	}
	if (family == AF_INET6 && len == 16) {
		memcpy(ret->b, mnl_attr_get_payload(attr), 16);
		return 0;
	}
	return -EINVAL;
}

void nl_put_addr(struct nlmsghdr *nlh, uint16_t type, const union loom_addr *a)
{
	if (addr_is_v4(a))
		mnl_attr_put(nlh, type, 4, &a->b[12]);
	else
		mnl_attr_put(nlh, type, 16, a->b);
}

int nl_family(const union loom_addr *a)
{
	return addr_is_v4(a) ? AF_INET : AF_INET6;
}
