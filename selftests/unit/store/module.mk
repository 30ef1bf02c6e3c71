STORE_TEST := selftests/unit/store/fixture.c selftests/lib/etcd.c
STORE_TEST_LIBS := -lcurl -levent -ljson-c -lcrypto
UNIT_TESTS += test_store
test_store_SRCS := selftests/unit/store/test_store.c $(STORE_TEST)
test_store_LIBS := $(STORE_TEST_LIBS)
UNIT_TESTS += test_follow
test_follow_SRCS := selftests/unit/store/test_follow.c $(STORE_TEST)
test_follow_LIBS := $(STORE_TEST_LIBS)
