# The pods module with a made-up agent around it, for test_pods and test_cni.
PODS_TEST_SRCS := selftests/unit/pods/fake_core.c $(wildcard userspace/agent/modules/pods/*.c)
PODS_TEST_LIBS := -lnghttp2 -lprotobuf-c -ljson-c -levent_core

UNIT_TESTS += test_pods test_cni
test_pods_SRCS := selftests/unit/pods/test_pods.c $(PODS_TEST_SRCS)
test_pods_LIBS := $(PODS_TEST_LIBS)
test_cni_SRCS := selftests/unit/cni/test_cni.c $(PODS_TEST_SRCS)
test_cni_LIBS := $(PODS_TEST_LIBS)
# Both run the real binary.
$(O)/test_pods $(O)/test_cni: | $(O)/netloom-cni
