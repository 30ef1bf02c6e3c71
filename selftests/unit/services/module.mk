# SPDX-License-Identifier: Apache-2.0
UNIT_TESTS += test_services_compile test_services_maglev test_services
test_services_compile_SRCS = $(addprefix selftests/unit/services/,test_compile.c quotes.c) $(services_PURE)
test_services_compile_LIBS := -ljson-c
test_services_maglev_SRCS := selftests/unit/services/test_maglev.c \
	$(addprefix userspace/agent/modules/services/,maglev.c slots.c)
services_FAKE := $(addprefix selftests/unit/services/,fake_agent.c invariants.c quotes.c)
test_services_SRCS = $(addprefix selftests/unit/services/,test_module.c test_front.c test_keep.c test_names.c test_ranges.c test_room.c world.c ask.c kernel_maps.c) $(services_FAKE) \
	$(services_PURE) $(services_MAPS) $(services_REST)
test_services_LIBS := -levent -ljson-c -lbpf -lelf -lz
