/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* Addresses of the data plane: building, comparing, telling kinds apart. */
#include "bpf/lib/plat.h"
#include "bpf/lib/proto.h"

/* Fields in byte buffers that are aligned for them. */
typedef __u16 __attribute__((may_alias)) alias16;
typedef __u32 __attribute__((may_alias)) alias32;
typedef __u64 __attribute__((may_alias)) alias64;

plat_inline __be16 get16(const void *p)
{
	return *(const alias16 *)p;
}

plat_inline __be32 get32(const void *p)
{
	return *(const alias32 *)p;
}

plat_inline void addr_get(union loom_addr *a, const void *p)
{
	const alias64 *d = p;

	a->d[0] = d[0];
	a->d[1] = d[1];
}

plat_inline void addr_set_v4(union loom_addr *a, __be32 ip)
{
	a->d[0] = 0;
	a->w[2] = LOOM_V4_MARK;
	a->w[3] = ip;
}

/* Copies by 64 bits: the compiler makes bytes of a struct copy whose alignment it can't see. */
plat_inline void addr_copy(union loom_addr *to, const union loom_addr *from)
{
	to->d[0] = from->d[0];
	to->d[1] = from->d[1];
}

plat_inline int addr_eq(const union loom_addr *a, const union loom_addr *b)
{
	return a->d[0] == b->d[0] && a->d[1] == b->d[1];
}

/* "::" or 0.0.0.0 */
plat_inline int addr_is_none(const union loom_addr *a)
{
	return !a->d[0] && !a->w[3] && (!a->w[2] || a->w[2] == LOOM_V4_MARK);
}

plat_inline int addr_is_mapped(const union loom_addr *a)
{
	return !a->d[0] && a->w[2] == LOOM_V4_MARK;
}

/* By numeric value: negative, 0, positive. */
plat_inline int addr_order(const union loom_addr *a, const union loom_addr *b)
{
	if (a->d[0] != b->d[0])
		return plat_ntohll(a->d[0]) < plat_ntohll(b->d[0]) ? -1 : 1;
	if (a->d[1] != b->d[1])
		return plat_ntohll(a->d[1]) < plat_ntohll(b->d[1]) ? -1 : 1;
	return 0;
}

#define ADDR_GATEWAY4 0xa9fe0101 /* 169.254.1.1, the pods' gateway */

plat_inline void addr_gateway(int v4, union loom_addr *ret)
{
	if (v4) {
		addr_set_v4(ret, plat_htonl(ADDR_GATEWAY4));
		return;
	}
	ret->w[0] = plat_htonl(0xfe800000);
	ret->w[1] = 0;
	ret->w[2] = 0;
	ret->w[3] = plat_htonl(1);
}

/* What a pod or host sees as the sender of its own packet to a service (LOOM_CT_HAIRPIN). */
plat_inline void addr_hairpin(int v4, union loom_addr *ret)
{
	if (v4) {
		addr_set_v4(ret, plat_htonl(LOOM_HAIRPIN4));
		return;
	}
	ret->w[0] = plat_htonl((__u32)(LOOM_HAIRPIN6_HI >> 32));
	ret->w[1] = plat_htonl((__u32)LOOM_HAIRPIN6_HI);
	ret->w[2] = 0;
	ret->w[3] = plat_htonl((__u32)LOOM_HAIRPIN6_LO);
}

/*
 * 0 when the data plane routes to the address, else the negative reason why not: multicast and
 * broadcast, link-local (of IPv4 only the gateway: node-local DNS caches and clouds' metadata
 * services live in the rest), and what is never on a wire (0/8, 127/8, ::, ::1).
 */
plat_inline int addr_check_unicast(const union loom_addr *a, int v4)
{
	if (v4) {
		if (a->b[12] >= 224)
			return -LOOM_DROP_MULTICAST;
		if (a->w[3] == plat_htonl(ADDR_GATEWAY4))
			return -LOOM_DROP_LINK_LOCAL;
		if (a->b[12] == 127 || !a->b[12])
			return -LOOM_DROP_NO_ROUTE;
		return 0;
	}
	if (a->b[0] == 0xff)
		return -LOOM_DROP_MULTICAST;
	if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80)
		return -LOOM_DROP_LINK_LOCAL;
	if (!a->d[0] && !a->w[2] && (!a->w[3] || a->w[3] == plat_htonl(1)))
		return -LOOM_DROP_NO_ROUTE;
	return 0;
}

/* MACs in packet view and maps are 2-byte aligned. */
plat_inline int mac_eq(const __u8 *mac_a, const __u8 *mac_b)
{
	return get16(mac_a) == get16(mac_b) && get16(mac_a + 2) == get16(mac_b + 2) &&
	       get16(mac_a + 4) == get16(mac_b + 4);
}
