AGENT_SRCS += $(addprefix userspace/agent/modules/uplink/,uplink.c detect.c lost.c)
