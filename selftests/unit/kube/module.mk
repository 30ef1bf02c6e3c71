KUBE_TEST_LIBS := -lcurl -levent -ljson-c -lyaml -lcrypto -lm
UNIT_TESTS += test_reflector test_elect test_kubeconfig
test_reflector_SRCS := selftests/unit/kube/test_reflector.c selftests/unit/kube/fixture.c selftests/lib/fakehttp.c
test_reflector_LIBS := $(KUBE_TEST_LIBS)
test_reflector_LDFLAGS := -Wl,--wrap=clock_gettime
test_elect_SRCS := selftests/unit/kube/test_elect.c selftests/unit/kube/fixture.c selftests/lib/fakehttp.c
test_elect_LIBS := $(KUBE_TEST_LIBS)
test_kubeconfig_SRCS := selftests/unit/kube/test_kubeconfig.c
test_kubeconfig_LIBS := $(KUBE_TEST_LIBS)
