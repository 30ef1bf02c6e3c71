# The data plane's core, built natively, comes along. Programs that use it link with -lbpf -lmnl -ljson-c.
LIB_SRCS += $(addprefix userspace/lib/explain/,answer.c half.c maps.c policy.c question.c run.c steps.c svc.c way.c who.c words.c)
LIB_SRCS += $(addprefix bpf/native/,native.c nmap.c overlay.c probe.c)
