UNIT_TESTS += test_db test_db_publish
DB_TEST = selftests/unit/db/fixture.c selftests/unit/store/fixture.c selftests/lib/etcd.c $(AGENT_CORE_SRCS) \
	$(addprefix userspace/agent/modules/db/,db.c follow.c local.c publish.c table.c)
DB_TEST_LIBS := -lcurl -levent -ljson-c -lyaml -llmdb -lcrypto -lm
test_db_SRCS = selftests/unit/db/test_db.c $(DB_TEST)
test_db_LIBS := $(DB_TEST_LIBS)
test_db_LDFLAGS := -Wl,--wrap=store_range,--wrap=mirror_sync
test_db_publish_SRCS = selftests/unit/db/test_db_publish.c $(DB_TEST)
test_db_publish_LIBS := $(DB_TEST_LIBS)
