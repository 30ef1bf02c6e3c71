LIB_SRCS += $(addprefix userspace/lib/config/,config.c nearest.c template.c value.c)
