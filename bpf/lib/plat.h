/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * The one place where the data plane's core learns what it is compiled for. A platform gives:
 *
 *	struct plat_ctx                  the packet in hand
 *	plat_pkt(ctx)                    its parsed view: scratch memory, one a CPU or a thread
 *	plat_load/store(ctx, off, b, n)  bytes of the packet, bounds checked; 0 or negative errno
 *	plat_lookup/update/delete(map…)  maps, named as in shared/loom_maps.h
 *	plat_csum_*                      incremental checksums that know about offload
 *	plat_*                           length, VLAN, segment size, clock, flow hash, kernel's
 *	                                 routes, the host's connected sockets
 *
 * Everything above it (bpf/lib) is plain C without conditionals. An XDP object defines PLAT_XDP
 * before it includes anything.
 */
#if defined(__bpf__) && defined(PLAT_XDP)
#include "bpf/lib/plat_xdp.h"
#elif defined(__bpf__)
#include "bpf/lib/plat_bpf.h"
#else
#include "bpf/native/plat_native.h"
#endif

/* Reads x here and nowhere else: others write it meanwhile. */
#define plat_once(x) (*(const volatile __typeof__(x) *)&(x))
