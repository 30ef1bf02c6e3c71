AGENT_SRCS += $(addprefix userspace/agent/modules/podwire/,podwire.c pod_link.c reaper.c check.c identity.c)
