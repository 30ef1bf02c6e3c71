AGENT_SRCS += $(addprefix userspace/agent/modules/services/,compile.c flows.c fronts.c health.c maglev.c maps.c object.c program.c services.c show.c slots.c)
