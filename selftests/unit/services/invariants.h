/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What holds of the maps whatever happened. NULL, or the sentence that does not hold (static). */
#include "selftests/unit/services/fake_agent.h"

/* all: also that loom_ports has nothing else, which takes longer. */
const char *invariants_broken(struct fake *f, bool all);
