LIB_SRCS += userspace/lib/program/program.c
