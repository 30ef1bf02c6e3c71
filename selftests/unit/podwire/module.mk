UNIT_TESTS += test_podwire test_wiring test_ipv4_only
test_podwire_SRCS := selftests/unit/podwire/test_podwire.c \
	$(addprefix userspace/agent/modules/podwire/,pod_link.c reaper.c check.c identity.c)
test_podwire_LIBS := -lmnl
test_wiring_SRCS := selftests/unit/podwire/test_wiring.c selftests/unit/podwire/fake_agent.c \
	$(foreach m,uplink hostlink nodesync ipam podwire,$(sort $(wildcard userspace/agent/modules/$(m)/*.c))) \
	$(sort $(wildcard userspace/agent/core/sched*.c))
test_wiring_LIBS := -lmnl -ljson-c -levent -lbpf
test_ipv4_only_SRCS := selftests/unit/podwire/test_ipv4_only.c \
	$(addprefix userspace/agent/modules/podwire/,pod_link.c check.c)
test_ipv4_only_LIBS := -lmnl
