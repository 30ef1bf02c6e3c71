/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Maps of services in the kernel, of any size, unpinned: they go with their descriptors. */
#include "selftests/unit/services/fake_agent.h"

/* Sizes are filled in by the caller. 0 or a negative errno (-EPERM: not root). */
int kernel_maps_new(struct fake_maps *m);
void kernel_maps_close(struct fake_maps *m);
