AGENT_SRCS += $(addprefix userspace/agent/modules/ipam/,ipam.c pool.c range.c)
