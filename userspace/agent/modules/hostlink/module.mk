AGENT_SRCS += $(addprefix userspace/agent/modules/hostlink/,hostlink.c link_item.c route_item.c sysctl_item.c sysctl_watch.c)
