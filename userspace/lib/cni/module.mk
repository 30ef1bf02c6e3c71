LIB_SRCS += userspace/lib/cni/cni_names.c
