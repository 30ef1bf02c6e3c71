LIB_SRCS += userspace/lib/yaml/yaml.c
