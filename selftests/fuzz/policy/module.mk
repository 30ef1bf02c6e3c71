# SPDX-License-Identifier: Apache-2.0
FUZZERS += fuzz_policy
fuzz_policy_SRCS = selftests/fuzz/policy/fuzz_policy.c $(policy_CORE) \
	$(addprefix userspace/lib/,base/addr.c base/addr_legacy.c base/err.c base/log.c base/utf8.c json/json.c)
fuzz_policy_LIBS := -ljson-c
