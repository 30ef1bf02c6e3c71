AGENT_SRCS += $(addprefix userspace/agent/modules/db/,db.c follow.c local.c publish.c table.c)
