LIB_SRCS += userspace/lib/base/addr.c userspace/lib/base/err.c userspace/lib/base/log.c
