FUZZERS += fuzz_kube_text
fuzz_kube_text_SRCS := selftests/fuzz/kube/fuzz_kube_text.c \
	$(addprefix userspace/lib/,kube/text.c json/json.c base/err.c)
fuzz_kube_text_LIBS := -ljson-c
