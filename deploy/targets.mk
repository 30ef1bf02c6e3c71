# SPDX-License-Identifier: Apache-2.0
# The targets that people and CI call, apart from `all`. `deps` installs what deploy/packages.txt
# lists and a fresh Debian 12 lacks; it is a no-op in milliseconds when nothing is missing.

FUZZ_SECONDS ?= 4
RUN = O='$(abspath $(O))' UNIT_TESTS='$(UNIT_TESTS)' FUZZERS='$(FUZZERS)' FUZZ_SECONDS=$(FUZZ_SECONDS)
BENCH ?=

deps: ## install the Debian packages that building, the demo and the tests need
	@deploy/install-deps build test demo

# demo, test and bench re-enter make, so that a fresh machine has the compilers before rules that need them run.
demo: deps ## a three-node cluster in network namespaces, with an application on it
	@$(MAKE) --no-print-directory all
	@O=$(abspath $(O)) deploy/demo/show

test: deps ## everything that CI runs: unit, packet, network and fault tests
	@$(MAKE) --no-print-directory -j$$(nproc) all tools fuzzers
	@$(RUN) selftests/run $(T)

bench: deps ## performance, side by side with plain Linux, as ratios
	@$(MAKE) --no-print-directory -j$$(nproc) all tools
	@O=$(abspath $(O)) selftests/bench/run $(BENCH)

fuzzers: $(FUZZERS:%=$(O)/fuzz/%)
fuzz: deps ## run each fuzz target for FUZZ_SECONDS
	@$(MAKE) --no-print-directory -j$$(nproc) fuzzers
	@$(RUN) selftests/fuzz/run

lint: deps ## style: format, include direction, banned calls, shell scripts
	@selftests/lint

C_FILES = $(shell git ls-files '*.c' '*.h')
format: deps ## rewrite the C sources as .clang-format says
	$(Q)clang-format-14 -i $(C_FILES)

tidy: all ## clang-tidy over the userspace sources
	$(Q)clang-tidy-14 --quiet $(filter-out %.bpf.c,$(filter userspace/%.c ksr/%.c cni/%.c,$(C_FILES))) -- $(ALL_CFLAGS)

coverage: ## unit tests' line coverage into $(O)-cov
	@$(MAKE) --no-print-directory O=$(O)-cov CFLAGS='-Og -g --coverage' LDFLAGS=--coverage tools
	@O=$(abspath $(O)-cov) selftests/run --only unit && cd $(O)-cov && gcov -r -s . $$(find obj -name '*.gcda') >coverage.txt; tail -1 coverage.txt

install: all ## copy programs and BPF objects below DESTDIR
	$(Q)install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/opt/cni/bin $(DESTDIR)$(PREFIX)/lib/netloom
	$(Q)for p in $(filter-out netloom-cni,$(PROGS)); do install -m 755 $(O)/$$p $(DESTDIR)$(PREFIX)/bin/; done
	$(Q)install -m 755 $(O)/netloom-cni $(DESTDIR)/opt/cni/bin/.netloom-cni.new && mv $(DESTDIR)/opt/cni/bin/.netloom-cni.new $(DESTDIR)/opt/cni/bin/netloom-cni
	$(Q)ln -sf netloom $(DESTDIR)$(PREFIX)/bin/kubectl-netloom
	$(Q)install -m 644 $(BPF_OBJS:%=$(O)/bpf/%.bpf.o) $(DESTDIR)$(PREFIX)/lib/netloom/

clean: ## remove what was built
	$(Q)rm -rf $(O)

help: ## this list
	@awk -F':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  knobs: V=1  O=dir  SAN=address,undefined  T='tests to run'  BENCH='benchmarks to run'"

.PHONY: deps demo test bench fuzz fuzzers lint format tidy coverage install clean help
