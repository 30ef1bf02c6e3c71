UNIT_TESTS += test_netlink
test_netlink_SRCS := selftests/unit/netlink/test_netlink.c
test_netlink_LIBS := -lmnl
