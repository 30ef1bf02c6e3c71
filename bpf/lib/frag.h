/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Fragments are not reassembled: the first one leaves its ports in loom_frag, later ones pick them
 * up, so that all belong to the same flow. A later fragment that overtakes the first one is lost;
 * fragments of TCP that could rewrite the header (RFC 3128) are refused.
 */
#include "bpf/lib/account.h"

#define FRAG_TTL_TICKS 30

plat_inline void frag_key(const struct pkt *p, struct loom_fragkey *k)
{
	addr_copy(&k->saddr, &p->saddr);
	addr_copy(&k->daddr, &p->daddr);
	k->id = p->frag_id;
	k->scope = (__u16)p->scope;
	k->proto = p->proto;
	k->pad = 0;
}

/*
 * Called for what is delivered only: the uplink also carries the node's own fragments, which must
 * not push out those of pods.
 */
plat_inline void frag_remember(const struct pkt *p)
{
	struct loom_frag f = {
		.sport = p->sport, .dport = p->dport, .tick = p->tick, .echo = p->echo
	};
	struct loom_fragkey k;

	frag_key(p, &k);
	plat_update(&loom_frag, &k, &f, BPF_ANY);
}

/* Ports of a later fragment. 0 or a negative reason. */
plat_inline int frag_find(struct pkt *p)
{
	__u32 offset = p->family == 4 ? (p->frag_flags & 0x1fff) * 8 : p->frag_flags & 0xfff8;
	struct loom_fragkey k;
	struct loom_frag *f;

	if (p->proto == IPPROTO_TCP && offset < 20)
		return -LOOM_DROP_FRAG_BAD;
	if (offset + p->ip_len > 65535 + 40)
		return -LOOM_DROP_FRAG_BAD;
	frag_key(p, &k);
	f = plat_lookup(&loom_frag, &k);
	/* The first one may have been seen by another CPU, a tick ahead of this packet. */
	if (!f || (__s32)(p->tick - f->tick) > FRAG_TTL_TICKS)
		return -LOOM_DROP_FRAG_NO_FIRST;
	p->sport = f->sport;
	p->dport = f->dport;
	p->echo = f->echo;
	return 0;
}
