KSR_PART_LIBS := -ljson-c -lyaml -lcrypto -lm
UNIT_TESTS += test_ksr_reduce test_ksr_table test_ksr_manifest
test_ksr_reduce_SRCS := selftests/unit/ksrparts/test_reduce.c $(addprefix ksr/,kinds.c reduce.c shape.c)
test_ksr_reduce_LIBS := $(KSR_PART_LIBS)
test_ksr_table_SRCS := selftests/unit/ksrparts/test_table.c $(addprefix ksr/,kinds.c reduce.c shape.c table.c)
test_ksr_table_LIBS := $(KSR_PART_LIBS)
test_ksr_manifest_SRCS := selftests/unit/ksrparts/test_manifest.c \
	$(addprefix ksr/,defaults.c folder.c kinds.c manifest.c reduce.c shape.c)
test_ksr_manifest_LIBS := $(KSR_PART_LIBS)
