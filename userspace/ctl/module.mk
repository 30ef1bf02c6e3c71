ctl_CORE := $(addprefix userspace/ctl/,client.c cmd_dump.c cmd_events.c cmd_explain.c cmd_lists.c cmd_policies.c cmd_services.c cmd_status.c names.c print.c) \
	$(addprefix userspace/ctl/explain_,ask.c find.c maps.c policy.c run.c steps.c svc.c words.c) \
	$(addprefix bpf/native/,native.c nmap.c overlay.c probe.c)
PROGS += netloom
netloom_SRCS := userspace/ctl/main.c $(ctl_CORE)
netloom_LIBS := -lcurl -ljson-c -lbpf -lelf -lz -lmnl
