UNIT_TESTS += test_config
test_config_SRCS := selftests/unit/config/test_config.c
test_config_LIBS := -ljson-c -lyaml
