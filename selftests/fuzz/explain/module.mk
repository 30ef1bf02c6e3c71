FUZZERS += fuzz_explain
fuzz_explain_SRCS := selftests/fuzz/explain/fuzz_explain.c \
	$(addprefix userspace/lib/,explain/answer.c explain/question.c base/addr.c base/err.c base/name.c json/json.c)
fuzz_explain_LIBS := -ljson-c
