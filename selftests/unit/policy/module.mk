# SPDX-License-Identifier: Apache-2.0
policy_TEST = $(addprefix selftests/unit/policy/,cluster.c cluster_native.c native_maps.c) $(policy_CORE) bpf/native/native.c bpf/native/nmap.c
UNIT_TESTS += test_policy_conformance test_policy_oracle test_policy_objects test_policy_world
test_policy_conformance_SRCS = selftests/unit/policy/test_conformance.c $(policy_TEST)
test_policy_conformance_LIBS := -ljson-c
test_policy_oracle_SRCS = $(addprefix selftests/unit/policy/,test_oracle.c history.c oracle.c generator.c) $(policy_TEST)
test_policy_oracle_LIBS := -ljson-c
test_policy_objects_SRCS = selftests/unit/policy/test_objects.c $(policy_TEST)
test_policy_objects_LIBS := -ljson-c
test_policy_world_SRCS = $(addprefix selftests/unit/policy/,test_world.c namespace_x.c) $(policy_TEST)
test_policy_world_LIBS := -ljson-c
UNIT_TESTS += test_policy_closed
test_policy_closed_SRCS = $(addprefix selftests/unit/policy/,test_closed.c namespace_x.c) $(policy_TEST)
test_policy_closed_LIBS := -ljson-c
UNIT_TESTS += test_policy_large
test_policy_large_SRCS = $(addprefix selftests/unit/policy/,test_large.c namespace_x.c) $(policy_TEST)
test_policy_large_LIBS := -ljson-c
UNIT_TESTS += test_policy_midway
test_policy_midway_SRCS = $(addprefix selftests/unit/policy/,test_midway.c namespace_x.c) $(policy_TEST)
test_policy_midway_LIBS := -ljson-c
UNIT_TESTS += test_policy_fit
test_policy_fit_SRCS = $(addprefix selftests/unit/policy/,test_fit.c namespace_x.c) $(policy_TEST)
test_policy_fit_LIBS := -ljson-c
UNIT_TESTS += test_policy_room
test_policy_room_SRCS = $(addprefix selftests/unit/policy/,test_room.c namespace_x.c) $(policy_TEST)
test_policy_room_LIBS := -ljson-c
UNIT_TESTS += test_policy_kmaps
test_policy_kmaps_SRCS = selftests/unit/policy/test_kmaps.c userspace/agent/modules/policy/kmaps.c $(policy_CORE)
test_policy_kmaps_LIBS := -ljson-c -lbpf -lelf -lz
UNIT_TESTS += test_policy_programs
test_policy_programs_SRCS = $(addprefix selftests/unit/policy/,test_programs.c lab.c history.c cluster.c oracle.c generator.c) \
	$(addprefix selftests/bpf/,target_bpf.c packet.c) userspace/agent/modules/policy/kmaps.c $(policy_CORE)
test_policy_programs_LIBS := -ljson-c -lbpf -lelf -lz
UNIT_TESTS += test_policy_verdict
test_policy_verdict_SRCS = $(addprefix selftests/unit/policy/,test_verdict.c namespace_x.c) $(policy_TEST) \
	$(addprefix userspace/agent/modules/policy/,verdict.c words.c)
test_policy_verdict_LIBS := -ljson-c
