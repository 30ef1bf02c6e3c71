UNIT_TESTS += test_addr test_base test_json
test_addr_SRCS := selftests/unit/test_addr.c
test_base_SRCS := selftests/unit/test_base.c
test_json_SRCS := selftests/unit/test_json.c
test_json_LIBS := -ljson-c
