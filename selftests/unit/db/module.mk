UNIT_TESTS += test_db
test_db_SRCS = selftests/unit/db/test_db.c selftests/unit/store/fixture.c selftests/lib/etcd.c $(AGENT_CORE_SRCS) \
	$(addprefix userspace/agent/modules/db/,db.c follow.c local.c publish.c table.c)
test_db_LIBS := -lcurl -levent -ljson-c -lyaml -llmdb -lcrypto -lm
