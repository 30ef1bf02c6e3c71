/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Links that the agent made and somebody else took away or set down. The monitor tells of what the
 * agent itself does too, later; so a change counts only when the link is wanted, and is not well
 * now.
 */
#include "agent/core/scheduler.h"
#include "lib/netlink/netlink.h"

bool link_is_lost(struct scheduler *s, struct nl_sock *nl, const struct nl_change *c);
