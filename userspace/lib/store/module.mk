# Programs that use it link with -lcurl -levent -ljson-c -lcrypto.
LIB_SRCS += userspace/lib/store/store.c userspace/lib/store/attempt.c userspace/lib/store/auth.c
LIB_SRCS += userspace/lib/store/request.c userspace/lib/store/codec.c userspace/lib/store/answer.c
LIB_SRCS += userspace/lib/store/range.c userspace/lib/store/txn.c userspace/lib/store/txn_plan.c
LIB_SRCS += userspace/lib/store/follow.c userspace/lib/store/stream.c userspace/lib/store/watch_msg.c
LIB_SRCS += userspace/lib/store/check.c
LIB_SRCS += userspace/lib/store/lease.c
LIB_SRCS += userspace/lib/store/etcd_config.c userspace/lib/store/etcd_open.c
