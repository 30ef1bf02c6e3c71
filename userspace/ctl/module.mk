ctl_CORE := $(addprefix userspace/ctl/,client.c cmd_dump.c cmd_events.c cmd_lists.c cmd_services.c cmd_status.c names.c print.c)
PROGS += netloom
netloom_SRCS := userspace/ctl/main.c $(ctl_CORE)
netloom_LIBS := -lcurl -ljson-c -lbpf -lelf -lz
