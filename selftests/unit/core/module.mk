UNIT_TESTS += test_scheduler test_agent test_agent_api test_agent_config
test_scheduler_SRCS = selftests/unit/core/test_scheduler.c $(filter %/sched_item.c %/sched_pass.c %/sched_txn.c \
	%/sched_undo.c %/sched_commit.c %/scheduler.c,$(AGENT_CORE_SRCS))
test_scheduler_LIBS := -levent -ljson-c
test_agent_SRCS = $(addprefix selftests/unit/core/,test_agent.c fake_modules.c) $(AGENT_CORE_SRCS)
test_agent_LIBS := -levent -ljson-c -lyaml -lm
test_agent_api_SRCS = $(addprefix selftests/unit/core/,test_agent_api.c fake_modules.c) $(AGENT_CORE_SRCS)
test_agent_api_LIBS := -levent -ljson-c -lyaml -lm
test_agent_config_SRCS = selftests/unit/core/test_agent_config.c $(filter %/agent_config.c %/agent_config_fields.c,$(AGENT_CORE_SRCS))
test_agent_config_LIBS := -ljson-c -lyaml
