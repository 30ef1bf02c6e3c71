LIB_SRCS += userspace/lib/mirror/mirror.c
