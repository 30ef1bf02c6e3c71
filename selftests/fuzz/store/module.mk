FUZZERS += fuzz_store
fuzz_store_SRCS := selftests/fuzz/store/fuzz_store.c userspace/lib/store/watch_msg.c userspace/lib/store/codec.c \
	userspace/lib/store/answer.c userspace/lib/json/json.c userspace/lib/base/err.c
fuzz_store_LIBS := -ljson-c -lcrypto
