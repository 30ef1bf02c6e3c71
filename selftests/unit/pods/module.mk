# The pods module with a made-up agent around it, for test_pods, test_copies, test_conflist, test_host_ports and test_cni.
PODS_TEST_SRCS := selftests/unit/pods/fake_core.c $(wildcard userspace/agent/modules/pods/*.c)
PODS_TEST_LIBS := -lnghttp2 -lprotobuf-c -ljson-c -levent_core

UNIT_TESTS += test_pods test_copies test_conflist test_host_ports test_port_mappings test_cni test_status
test_pods_SRCS := selftests/unit/pods/test_pods.c $(PODS_TEST_SRCS)
test_pods_LIBS := $(PODS_TEST_LIBS)
test_copies_SRCS := selftests/unit/pods/test_copies.c $(PODS_TEST_SRCS)
test_copies_LIBS := $(PODS_TEST_LIBS)
test_conflist_SRCS := selftests/unit/pods/test_conflist.c $(PODS_TEST_SRCS)
test_conflist_LIBS := $(PODS_TEST_LIBS)
test_host_ports_SRCS := selftests/unit/pods/test_host_ports.c $(PODS_TEST_SRCS)
test_host_ports_LIBS := $(PODS_TEST_LIBS)
test_port_mappings_SRCS := selftests/unit/pods/test_port_mappings.c \
	userspace/agent/modules/pods/port_mappings.c
test_port_mappings_LIBS := -ljson-c
test_cni_SRCS := selftests/unit/cni/test_cni.c $(PODS_TEST_SRCS)
test_cni_LIBS := $(PODS_TEST_LIBS)
test_status_SRCS := selftests/unit/cni/test_status.c $(PODS_TEST_SRCS)
test_status_LIBS := $(PODS_TEST_LIBS)
# These run the real binary.
$(O)/test_pods $(O)/test_copies $(O)/test_conflist $(O)/test_host_ports $(O)/test_cni $(O)/test_status: | $(O)/netloom-cni
