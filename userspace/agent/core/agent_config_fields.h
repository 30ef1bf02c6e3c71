/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Path, type and place of a field, for the table in agent_config_fields.c. */
#include <stddef.h>

#include "agent/core/agent_config.h"

#define FIELD(path_, type_, member, def_, doc_, ...)                                               \
	{                                                                                          \
		.path = (path_), .type = (type_), .offset = offsetof(struct agent_config, member), \
		.def = (def_), .doc = (doc_), __VA_ARGS__                                          \
	}
