# SPDX-License-Identifier: Apache-2.0
TOOLS += policy_scale
policy_scale_SRCS = selftests/bench/policy/policy_scale.c $(policy_CORE)
policy_scale_LIBS := -ljson-c
