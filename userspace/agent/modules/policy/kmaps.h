/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* polmaps_ops over the kernel's maps. */
#include "agent/modules/policy/polmaps.h"

struct kmaps {
	int fds[POLMAPS]; /* borrowed */
	int (*bump)(void *arg);
	void *arg;
};

extern const struct polmaps_ops kmaps_ops; /* polmaps.arg: the struct kmaps */
/* As the data plane names them: "loom_epol". */
const char *polmap_name(enum polmap map);
