FUZZERS += fuzz_yaml
fuzz_yaml_SRCS := selftests/fuzz/yaml/fuzz_yaml.c \
	$(addprefix userspace/lib/,yaml/yaml.c json/json.c base/err.c)
fuzz_yaml_LIBS := -lyaml -ljson-c -lm
