/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
#pragma once
/*
 * Context of the syscall program loom_ct_gc, which collects conntrack inside the kernel
 * (docs/decisions/0003). The agent runs it with BPF_PROG_TEST_RUN; the kernel copies the struct in
 * and, after the run, out again (ctx_in, no ctx_out). Timeouts are those of loom_config.
 */
#include "shared/loom_addr.h"

enum loom_gc_mode {
	LOOM_GC_IDLE,	/* remove what has been idle for longer than its timeout */
	LOOM_GC_FORGET, /* remove all that names (scope, addr) as one of its ends or as xaddr */
};

struct loom_gc_args {
	__u32 mode;  /* in: enum loom_gc_mode */
	__u32 scope; /* in: LOOM_GC_FORGET */
	union loom_addr addr;
	__u32 ct_entries; /* out: looked at in loom_ct, removed ones included */
	__u32 ct_removed;
	__u32 new_entries; /* out: the same of loom_ct_new */
	__u32 new_removed;
};

_Static_assert(sizeof(struct loom_gc_args) == 40, "loom_gc_args");
