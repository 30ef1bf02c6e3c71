FUZZERS += fuzz_grpc_server
fuzz_grpc_server_SRCS := selftests/fuzz/grpc/fuzz_grpc_server.c userspace/lib/grpc/grpc_server.c \
	userspace/lib/grpc/grpc_conn.c userspace/lib/grpc/grpc_call.c userspace/lib/grpc/grpc_wire.c \
	userspace/lib/base/err.c userspace/lib/base/log.c userspace/lib/base/utf8.c
fuzz_grpc_server_LIBS := -lnghttp2 -levent_core
