UNIT_TESTS += test_ctl
test_ctl_SRCS = $(addprefix selftests/unit/ctl/,test_ctl.c fake_agent.c) $(ctl_CORE)
test_ctl_LIBS := -lcurl -ljson-c -lbpf -lelf -lz -lmnl
UNIT_TESTS += test_ctl_denied
test_ctl_denied_SRCS = $(addprefix selftests/unit/ctl/,test_ctl_denied.c fake_agent.c) $(ctl_CORE)
test_ctl_denied_LIBS := -lcurl -ljson-c -lbpf -lelf -lz -lmnl
