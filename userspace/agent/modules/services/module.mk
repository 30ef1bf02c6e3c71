# SPDX-License-Identifier: Apache-2.0
services_PURE := $(addprefix userspace/agent/modules/services/,problems.c texts.c read.c object_service.c \
	object_slice.c nodes.c compile.c table.c maglev.c slots.c)
services_MAPS := $(addprefix userspace/agent/modules/services/,maps.c left.c)
services_REST := $(addprefix userspace/agent/modules/services/,program.c ranges.c backends.c tables.c front.c flows.c checks.c \
	health.c hostports.c objects.c services.c find.c show.c)
AGENT_SRCS += $(services_PURE) $(services_MAPS) $(services_REST)
