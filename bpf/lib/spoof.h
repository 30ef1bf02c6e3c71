/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* A pod sends from its own MAC and its own addresses, or not at all; and forwards for nobody. */
#include "bpf/lib/addr.h"

/*
 * 0 or a negative reason. IPv6's own chatter (duplicate address detection, solicitations and
 * reports from :: or a link-local address) is none of an attacker's: dropped, but without an event.
 */
plat_inline int spoof_check(struct pkt *p, const struct loom_ifcfg *cfg)
{
	if (cfg->flags & LOOM_IF_NO_SPOOF_CHECK)
		return 0;
	p->flags |= PKT_END;
	if (!(p->flags & PKT_RAW_IP) && !mac_eq(p->eth + 6, cfg->mac))
		return -LOOM_DROP_SPOOF_MAC;
	if (p->family == 4)
		return cfg->ip4 && p->saddr.w[3] == cfg->ip4 ? 0 : -LOOM_DROP_SPOOF_IP;
	if (addr_eq(&p->saddr, &cfg->ip6) && !addr_is_none(&cfg->ip6))
		return 0;
	if (addr_is_none(&p->saddr) || addr_check_unicast(&p->saddr, 0) == -LOOM_DROP_LINK_LOCAL) {
		p->flags |= PKT_QUIET;
		return -LOOM_DROP_LINK_LOCAL;
	}
	return -LOOM_DROP_SPOOF_IP;
}
