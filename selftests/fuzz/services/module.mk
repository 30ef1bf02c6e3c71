# SPDX-License-Identifier: Apache-2.0
FUZZERS += fuzz_services
fuzz_services_SRCS = $(addprefix selftests/fuzz/services/,fuzz_services.c memory_maps.c) $(services_FAKE) \
	$(services_PURE) $(services_MAPS) $(filter-out %/health.c,$(services_REST)) \
	$(addprefix userspace/lib/,base/addr.c base/addr_legacy.c base/err.c base/log.c base/utf8.c json/json.c httpd/metrics.c)
fuzz_services_LIBS := -levent -ljson-c
