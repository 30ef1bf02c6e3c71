LIB_SRCS += $(addprefix userspace/lib/bpf/,names.c pins.c records.c tables.c walk.c)
