/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Links, programs and routes that the agent made and somebody else took away (or set a link down).
 * The monitor tells of what the agent itself does too, later; so a change counts only when the link
 * or route is wanted, and is not well now.
 */
#include "agent/core/scheduler.h"
#include "agent/modules/uplink/detect.h"
#include "lib/netlink/netlink.h"

bool link_is_lost(struct scheduler *s, struct nl_sock *nl, const struct nl_change *c);
/* Whether the link that has just lost its programs should have some; *ret is then its name. */
bool programs_are_lost(struct scheduler *s, struct nl_sock *nl, const struct nl_change *c,
		       char ret[static IFNAMSIZ]);
/*
 * Whether one is wanted that the view has not; *ret is then its name. With an IPv4 address the
 * kernel takes the routes that send from it, and tells nobody: so it is looked at whenever there is
 * a view.
 */
bool route_is_lost(struct scheduler *s, const struct uplink_view *v, struct prefix *ret);
