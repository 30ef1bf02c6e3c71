LIB_SRCS += userspace/lib/json/json.c
