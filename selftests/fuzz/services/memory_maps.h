/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Maps of services in memory, behind libbpf's calls, of a size that is soon full. One set. */
#include "selftests/unit/services/fake_agent.h"

void memory_maps_reset(struct fake_maps *ret);
