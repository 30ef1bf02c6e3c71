/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Other ports in an SCTP packet. Its checksum is a CRC32c over the whole packet (RFC 9260, 6.8),
 * which is linear: what a change of some bits adds to it depends on these bits and on how many
 * bytes come behind them, but on none of those bytes. So the payload is not read, and a packet that
 * was broken stays broken.
 *
 * A checksum of 0 stays 0. It stands for one that is still to be computed, over the whole packet,
 * by who puts it on a wire: a local SCTP socket's packet goes that way (skb->csum_not_inet), on
 * every link that says it can, veth among them; what is there before is part of the sum then and
 * has to be 0. No helper tells which packets these are. It also stands for none at all, where two
 * ends have agreed on that (RFC 9653). Of the packets that have a checksum, one in 2^32 has this
 * one, and is lost.
 */
#include "bpf/lib/plat.h"

#define SCTP_HLEN 12
#define SCTP_POLY 0x82f63b78u /* of CRC32c, lowest bit for the highest power of x */

/* Product of two polynomials modulo CRC32c's, the highest bit of both for x^0. */
plat_fn __u32 sctp_multiply(__u32 a, __u32 b)
{
	__u32 product = 0, i;

	for (i = 0; i < 32; i++) {
		product ^= b & -(a >> 31);
		a <<= 1;
		b = b >> 1 ^ (SCTP_POLY & -(b & 1));
	}
	return product;
}

/*
 * What a change of a packet's first 4 bytes, in order of the wire, changes in the checksum over
 * all of its `len` bytes, at most 65,535: the change, moved up by len bytes.
 */
plat_fn __u32 sctp_crc_change(__u32 change, __u32 len)
{
	/* [i][n] is x to the power of 8 * n * 16^i: a move by n * 16^i bytes. */
	static const __u32 moves[4][16] = {
		{ 0x80000000, 0x00800000, 0x00008000, 0x00000080, 0x82f63b78, 0xfbc3faf9,
		  0x8b277743, 0x52a0c93f, 0x6ea2d55c, 0x1c08b7d6, 0xf56e0ef4, 0x34019664,
		  0xa66805eb, 0x7a1f6b24, 0xe75d06aa, 0xc94ec098 },
		{ 0x80000000, 0x18b8ea18, 0x510ac59a, 0xb2dea967, 0xb82be955, 0x36c41f1c,
		  0x19b29a35, 0xc9e90b9e, 0xb8fdb1e7, 0xe55ef1f3, 0x1fe0b5c3, 0xe0553f1e,
		  0x18e4a304, 0x2b830011, 0x56993a31, 0x0246e2e6 },
		{ 0x80000000, 0x88e56f72, 0x74c360a4, 0x631bb273, 0xe4172b16, 0x71892b1b,
		  0x835305c9, 0x196b1eae, 0x0d65762a, 0xafc81338, 0xb5a50ab7, 0xf373c3ac,
		  0x5f60970f, 0xd46d3063, 0x3a5275ea, 0x02331c01 },
		{ 0x80000000, 0x35d73a62, 0x28461564, 0x43eefc9f, 0xbf455269, 0x5edcdeb9,
		  0x65059450, 0x4e6f41a4, 0xe2ea32dc, 0xf5b95b32, 0x695a4c87, 0xf204502c,
		  0x9a4f01b6, 0x941a0916, 0x4303cb97, 0x4c3d3d65 },
	};
	__u32 v = __builtin_bswap32(plat_ntohl(change)), i, n;

	for (i = 0; i < 4; i++) {
		n = len >> 4 * i & 15;
		if (n)
			v = sctp_multiply(moves[i][n], v);
	}
	return plat_htonl(__builtin_bswap32(v));
}

/*
 * Gives the packet these ports, as they lie in it. 0; -EPROTONOSUPPORT when the checksum is over
 * more than there is, which a first fragment's is, and nobody has said how much more; or -EFAULT.
 */
plat_fn int sctp_set_ports(struct plat_ctx *ctx, __be32 ports)
{
	__u32 h[SCTP_HLEN / 4], len; /* ports, verification tag, checksum */
	struct pkt *p = plat_pkt(ctx);

	if (!p)
		return -EFAULT;
	len = p->l3 + p->ip_len - p->l4;
	if (plat_load(ctx, p->l4, h, SCTP_HLEN))
		return -EFAULT;
	if (h[2] && !plat_gso_size(ctx)) {
		if ((p->flags & PKT_FIRST_FRAG) || len < SCTP_HLEN || len > 0xffff)
			return -EPROTONOSUPPORT;
		h[2] ^= sctp_crc_change(h[0] ^ ports, len);
	}
	h[0] = ports;
	return plat_store_new(ctx, p->l4, h, SCTP_HLEN) ? -EFAULT : 0;
}
