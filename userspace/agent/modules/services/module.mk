AGENT_SRCS += $(addprefix userspace/agent/modules/services/,compile.c maglev.c maps.c object.c program.c services.c show.c slots.c)
