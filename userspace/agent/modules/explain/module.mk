AGENT_SRCS += $(addprefix userspace/agent/modules/explain/,answering.c asking.c explain.c names.c)
