UNIT_TESTS += test_grpc
test_grpc_SRCS := selftests/unit/grpc/test_grpc.c
test_grpc_LIBS := -lnghttp2 -levent_core
