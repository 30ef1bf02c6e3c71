UNIT_TESTS += test_uplink test_hostlink
test_uplink_SRCS := selftests/unit/uplink/test_uplink.c userspace/agent/modules/uplink/detect.c
test_uplink_LIBS := -lmnl
test_hostlink_SRCS := selftests/unit/uplink/test_hostlink.c \
	$(addprefix userspace/agent/modules/hostlink/,link_item.c route_item.c sysctl_item.c)
test_hostlink_LIBS := -lmnl -ljson-c
