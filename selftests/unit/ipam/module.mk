UNIT_TESTS += test_ipam
test_ipam_SRCS := selftests/unit/ipam/test_ipam.c $(addprefix userspace/agent/modules/ipam/,pool.c range.c)
