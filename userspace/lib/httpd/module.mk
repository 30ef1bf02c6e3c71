LIB_SRCS += $(addprefix userspace/lib/httpd/,httpd.c listen.c metrics.c)
