LIB_SRCS += userspace/lib/grpc/grpc_wire.c userspace/lib/grpc/grpc_client.c
LIB_SRCS += userspace/lib/grpc/grpc_server.c userspace/lib/grpc/grpc_conn.c userspace/lib/grpc/grpc_call.c
