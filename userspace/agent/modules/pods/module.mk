AGENT_SRCS += $(wildcard userspace/agent/modules/pods/*.c)
