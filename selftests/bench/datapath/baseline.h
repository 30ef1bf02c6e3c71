/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/* What bpf_ns tells its frame (baseline.bpf.c): the packet's first bytes, as they come in. */
#include <linux/types.h>

#define HEADER_LEN 74

struct base_header {
	__u8 bytes[HEADER_LEN];
	__u16 fresh; /* enum base_fresh */
	__u32 flows; /* begun so far: they are the ports */
};

/* Does each packet get ports of its own, and begin a flow? */
enum base_fresh {
	BASE_SAME,
	BASE_FRESH, /* the source port changes with each, the destination's seldom */
	BASE_SCAN,  /* the other way round */
};
