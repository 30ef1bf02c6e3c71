# Modules' folders are read after this one and append their sources to AGENT_SRCS.
AGENT_CORE_SRCS := $(addprefix userspace/agent/core/,agent.c agent_config.c agent_config_fields.c healing.c history.c \
	loop.c order.c process.c ready.c rest.c sched_commit.c sched_item.c sched_pass.c sched_txn.c sched_undo.c scheduler.c)
AGENT_LIBS := -lbpf -lmnl -lcurl -lnghttp2 -lprotobuf-c -ljson-c -levent -llmdb -lyaml -lcrypto -lm
AGENT_SRCS = userspace/agent/modules/modules.c
PROGS += netloom-agent
netloom-agent_SRCS = userspace/agent/main.c $(AGENT_CORE_SRCS) $(AGENT_SRCS)
netloom-agent_LIBS = $(AGENT_LIBS)
