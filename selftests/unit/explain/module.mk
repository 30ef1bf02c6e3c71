UNIT_TESTS += test_explain
test_explain_SRCS = $(addprefix selftests/unit/explain/,test_explain.c test_ask.c test_overlay.c world.c) selftests/unit/ctl/fake_agent.c \
	$(addprefix selftests/bpf/,world.c world_svc.c packet.c target_bpf.c) $(ctl_CORE)
test_explain_LIBS := -lcurl -ljson-c -lbpf -lelf -lz -lmnl
UNIT_TESTS += test_explain_parts
test_explain_parts_SRCS := $(addprefix selftests/unit/explain/,test_parts.c test_way.c)
test_explain_parts_LIBS := -lbpf -lmnl -ljson-c
