FUZZ_KSR_SRCS := $(addprefix ksr/,defaults.c kinds.c reduce.c shape.c) \
	$(addprefix userspace/lib/,json/json.c base/err.c)
FUZZERS += fuzz_ksr_manifest fuzz_ksr_object
fuzz_ksr_manifest_SRCS := selftests/fuzz/ksr/fuzz_ksr_manifest.c ksr/manifest.c userspace/lib/yaml/yaml.c $(FUZZ_KSR_SRCS)
fuzz_ksr_manifest_LIBS := -lyaml -ljson-c -lcrypto -lm
fuzz_ksr_object_SRCS := selftests/fuzz/ksr/fuzz_ksr_object.c $(FUZZ_KSR_SRCS)
fuzz_ksr_object_LIBS := -ljson-c -lm
