/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * A packet made up to ask the core what it would do with one like it: the smallest of its kind, and
 * without checksums, which nobody on the way looks at. Addresses are in the data plane's form; the
 * family follows from the source.
 */
#include <stdbool.h>

#include "shared/loom_addr.h"

struct probe {
	union loom_addr src, dst;
	__u8 smac[6], dmac[6];
	__u8 proto;	    /* IPPROTO_ICMP: an echo request of either family */
	__u8 tcp_flags;	    /* on the wire's positions: 0x02 is SYN */
	__u16 sport, dport; /* host order; echo: sport is the identifier */
	bool raw;	    /* no Ethernet header */
};

#define PROBE_MAX 128

/* Bytes written to `buf`. */
__u32 probe_build(const struct probe *spec, __u8 buf[PROBE_MAX]);
