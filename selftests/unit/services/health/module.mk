UNIT_TESTS += test_health
test_health_SRCS := selftests/unit/services/test_health.c userspace/agent/modules/services/health.c
test_health_LIBS := -levent -ljson-c -lm
