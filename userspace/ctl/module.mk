ctl_CORE := $(addprefix userspace/ctl/,client.c cmd_denied.c cmd_dump.c cmd_events.c cmd_explain.c cmd_lists.c cmd_policies.c cmd_services.c cmd_status.c names.c print.c) \
	$(addprefix userspace/ctl/explain_,ask.c find.c print.c)
PROGS += netloom
netloom_SRCS := userspace/ctl/main.c $(ctl_CORE)
netloom_LIBS := -lcurl -ljson-c -lbpf -lelf -lz -lmnl
