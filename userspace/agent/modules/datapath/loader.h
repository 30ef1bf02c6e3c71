/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs and maps of the node: those that are pinned, when they were loaded from the very same
 * object, configuration and kernel (then nothing at all is changed), else new ones put in their
 * place while packets flow:
 *
 *	1. each map keeps its pin, is made anew and filled from the old one, or starts empty
 * (mapdef.h)
 *	2. the programs are loaded over these maps and pinned
 *	3. every attached program is replaced in place, receivers first
 *	4. what the old programs wrote into copied maps since step 1 follows; the new maps get the
 * pins
 *
 * An object of several is loaded over the maps of those before it. All but the first may be refused
 * by the kernel, which is logged, recorded, and not tried again until something changes.
 *
 * A tiny pinned map, loom_build, holds the fingerprint of what is loaded, and since step 3 that a
 * swap is under way. After a crash in between, the next start finishes the maps first and then does
 * all of it again.
 *
 * Blocking, a fraction of a second; called once at start. Links are left alone apart from their
 * programs: which links have programs is the business of the bpf-attach items.
 */
#include "agent/modules/datapath/attach.h"
#include "agent/modules/datapath/image.h"
#include "agent/modules/datapath/loaded.h"

/* `force_clsact` is for tests of the fallback on a kernel that has tcx. Logs what was replaced. */
int loader_run(const char *dir, const struct image_config *image, bool force_clsact,
	       struct loaded **ret, struct err *e);
