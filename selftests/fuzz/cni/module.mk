FUZZERS += fuzz_cni_config
fuzz_cni_config_SRCS := selftests/fuzz/cni/fuzz_cni_config.c cni/params.c \
	userspace/agent/modules/pods/cni_config.c userspace/agent/modules/pods/cni_result.c \
	userspace/agent/modules/pods/port_mappings.c \
	userspace/lib/cni/cni_names.c userspace/lib/json/json.c userspace/lib/base/addr.c userspace/lib/base/err.c \
	userspace/lib/base/utf8.c
fuzz_cni_config_LIBS := -ljson-c
