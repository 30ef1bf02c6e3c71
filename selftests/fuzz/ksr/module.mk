FUZZERS += fuzz_ksr
fuzz_ksr_SRCS := selftests/fuzz/ksr/fuzz_ksr.c $(addprefix ksr/,defaults.c kinds.c manifest.c reduce.c shape.c) \
	$(addprefix userspace/lib/,base/err.c base/name.c json/json.c yaml/yaml.c)
fuzz_ksr_LIBS := -ljson-c -lyaml -lcrypto -lm
