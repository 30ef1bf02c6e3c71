AGENT_SRCS += $(addprefix userspace/agent/modules/podwire/,podwire.c pod_link.c check.c identity.c)
