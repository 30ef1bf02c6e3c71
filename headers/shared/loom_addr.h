/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The one address form of the data plane: 128 bits in network byte order, IPv4 as v4-mapped IPv6
 * (::ffff:a.b.c.d, RFC 4291 2.5.5.2). Included by BPF programs and by userspace.
 */
#include <linux/types.h>

union loom_addr {
	__u8 b[16];
	__be32 w[4]; /* w[3] is the IPv4 address when w[2] is LOOM_V4_MARK */
	__be64 d[2];
};

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOOM_V4_MARK 0xffff0000u
#else
#define LOOM_V4_MARK 0x0000ffffu
#endif

_Static_assert(sizeof(union loom_addr) == 16, "loom_addr is 16 bytes in every map key");
