FUZZERS += fuzz_config
fuzz_config_SRCS := selftests/fuzz/config/fuzz_config.c $(addprefix userspace/agent/core/,agent_config.c agent_config_fields.c) \
	$(addprefix userspace/lib/,config/config.c config/nearest.c config/template.c config/value.c yaml/yaml.c \
	json/json.c base/addr.c base/err.c base/name.c store/etcd_config.c)
fuzz_config_LIBS := -ljson-c -lyaml
