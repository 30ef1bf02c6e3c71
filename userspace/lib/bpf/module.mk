LIB_SRCS += $(addprefix userspace/lib/bpf/,names.c pins.c record_pol.c record_svc.c records.c tables.c walk.c)
