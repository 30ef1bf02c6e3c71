/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How the files of this folder build and read messages. Not for others. */
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "lib/netlink/netlink.h"

#define NL_MSG_MAX 2048 /* longest request that is built here */

/* Next request in the socket's buffer; `what` is for errors ("add link 'x'"). NULL: batch is full.
 */
struct nlmsghdr *nl_msg(struct nl_sock *nl, uint16_t type, uint16_t flags, const char *what, ...)
	_printf_(4, 5);
/* Sends it, or leaves it in the batch. */
int nl_msg_done(struct nl_sock *nl, struct err *e);
/* Sends a get and hands the answer to fn. */
int nl_msg_get(struct nl_sock *nl, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg,
	       struct err *e);
/* Sends a dump, gathers all answers, then hands each to fn; begins anew when it was interrupted. */
int nl_msg_dump(struct nl_sock *nl, int (*fn)(const struct nlmsghdr *nlh, void *arg), void *arg,
		struct err *e);

/* Attributes of a message into tb[0..max], later ones winning; unknown ones are skipped. */
void nl_attrs(const struct nlmsghdr *nlh, size_t header_len, const struct nlattr **tb,
	      uint16_t max);
void nl_attrs_nested(const struct nlattr *nest, const struct nlattr **tb, uint16_t max);
/* Address of the family's length in an attribute. -EINVAL for any other length. */
int nl_attr_addr(const struct nlattr *attr, int family, union loom_addr *ret);
void nl_put_addr(struct nlmsghdr *nlh, uint16_t type, const union loom_addr *a);
int nl_family(const union loom_addr *a);
/* Payload is at least `len` bytes. */
bool nl_attr_holds(const struct nlattr *attr, size_t len);

/* -ENOENT: not of that kind. For dumps and for the monitor. */
int nl_parse_link(const struct nlmsghdr *nlh, struct nl_link *ret);
int nl_parse_addr(const struct nlmsghdr *nlh, struct nl_addr *ret);
int nl_parse_route(const struct nlmsghdr *nlh, struct nl_route *ret);
