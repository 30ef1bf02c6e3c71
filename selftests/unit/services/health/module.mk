UNIT_TESTS += test_health
test_health_SRCS := $(addprefix selftests/unit/services/,test_health.c ask.c) userspace/agent/modules/services/health.c
test_health_LIBS := -levent -ljson-c -lm
