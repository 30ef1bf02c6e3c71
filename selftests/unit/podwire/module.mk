UNIT_TESTS += test_podwire
test_podwire_SRCS := selftests/unit/podwire/test_podwire.c \
	$(addprefix userspace/agent/modules/podwire/,pod_link.c check.c identity.c)
test_podwire_LIBS := -lmnl
