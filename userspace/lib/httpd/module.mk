LIB_SRCS += $(addprefix userspace/lib/httpd/,door.c httpd.c listen.c metrics.c)
