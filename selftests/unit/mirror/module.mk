UNIT_TESTS += test_mirror
test_mirror_SRCS := selftests/unit/mirror/test_mirror.c
test_mirror_LIBS := -llmdb
