UNIT_TESTS += test_ksr_fence
test_ksr_fence_SRCS = selftests/unit/ksr/test_fence.c selftests/unit/store/fixture.c selftests/lib/etcd.c $(KSR_SRCS)
test_ksr_fence_LIBS = $(KSR_LIBS)
test_ksr_fence_LDFLAGS := -Wl,--wrap=store_follow_new
