# SPDX-License-Identifier: Apache-2.0
# netloom: one non-recursive makefile. Each folder's module.mk only lists what the folder holds:
#
#   LIB_SRCS += <files>                 sources of libnetloom (userspace/lib)
#   PROTOS += <file>.proto              protobuf-c, generated into $(O)/gen
#   BPF_OBJS += <name>                  bpf/<name>.bpf.c -> $(O)/bpf/<name>.bpf.o and <name>.skel.h
#   PROGS += <name>                     installed program, with <name>_SRCS, <name>_LIBS, <name>_LDFLAGS
#   TOOLS += <name>                     program for tests or benchmarks, not installed; same variables
#   UNIT_TESTS += <name>                cmocka program run by `make test`; same variables
#   FUZZERS += <name>                   libFuzzer program; <name>_SRCS
#
# Knobs: V=1 shows commands, O=dir builds elsewhere, SAN=address,undefined adds sanitizers.

O ?= build
# One spelling of the folder: dependencies written down under another one would not be found.
override O := $(patsubst $(CURDIR)/%,%,$(abspath $(O)))
V ?= 0
SAN ?=
DESTDIR ?=
PREFIX ?= /usr/local
CC = gcc
CLANG = clang-14
BPFTOOL = /usr/sbin/bpftool
Q = $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),,@printf '  %-7s %s\n' $(1) $(2))

VERSION := $(shell cat VERSION)$(shell git rev-parse --short=8 HEAD 2>/dev/null | sed 's/^/+/')

WARN = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wno-unused-parameter -Wno-format-truncation -Werror
INCLUDES = -I. -Iheaders -Iuserspace -I$(O)/gen
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu2x $(WARN) $(CFLAGS) -D_GNU_SOURCE $(INCLUDES) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
ALL_LDFLAGS = $(LDFLAGS) $(if $(SAN),-fsanitize=$(SAN))
BPF_CFLAGS = -std=gnu2x -O2 -g -target bpf -mcpu=v3 -D__TARGET_ARCH_x86 -I. -Iheaders -Ibpf \
	-I/usr/include/$(shell uname -m)-linux-gnu -Wall -Wextra -Wno-unused-parameter \
	-Wno-unused-function -Wno-address-of-packed-member -Werror

LIB_SRCS :=
PROTOS :=
BPF_OBJS :=
PROGS :=
TOOLS :=
UNIT_TESTS :=
FUZZERS :=

.DEFAULT_GOAL := all
include $(sort $(shell find $(wildcard bpf headers userspace cni ksr stn selftests deploy) -name module.mk))

LIB = $(O)/libnetloom.a
PROTO_SRCS = $(PROTOS:%.proto=$(O)/gen/%.pb-c.c)
PROTO_HDRS = $(PROTO_SRCS:.c=.h)
BPF_SKELS = $(BPF_OBJS:%=$(O)/gen/bpf/%.skel.h)
obj = $(patsubst %.c,$(O)/obj/%.o,$(patsubst $(O)/gen/%.c,$(O)/obj/gen/%.o,$(1)))
GENERATED = $(PROTO_HDRS) $(BPF_SKELS) $(O)/gen/version.h

all: $(PROGS:%=$(O)/%) $(BPF_OBJS:%=$(O)/bpf/%.bpf.o) ## build every program and BPF object
tools: $(TOOLS:%=$(O)/%) $(UNIT_TESTS:%=$(O)/%) ## build test and benchmark programs

$(O)/gen/version.h: VERSION $(wildcard .git/HEAD .git/refs/heads/main)
	$(call say,GEN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)printf '#pragma once\n#define NETLOOM_VERSION "%s"\n' '$(VERSION)' >$@.new
	$(Q)cmp -s $@.new $@ 2>/dev/null && rm $@.new && touch $@ || mv $@.new $@

$(O)/gen/%.pb-c.c $(O)/gen/%.pb-c.h &: %.proto
	$(call say,PROTOC,$<)
	$(Q)mkdir -p $(O)/gen
	$(Q)protoc-c --c_out=$(O)/gen $<

$(O)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@

$(O)/gen/bpf/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) >$@.new && mv $@.new $@

$(O)/obj/gen/%.o: $(O)/gen/%.c
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -MMD -MP -c $< -o $@

$(O)/obj/%.o: %.c | $(GENERATED)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS_$(subst /,_,$(*D))) -MMD -MP -c $< -o $@

$(LIB): $(call obj,$(LIB_SRCS) $(PROTO_SRCS))
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $^

define program
$(O)/$(1): $$(call obj,$$($(1)_SRCS)) $(LIB)
	$$(call say,LD,$$@)
	$(Q)$(CC) $$(ALL_LDFLAGS) $$($(1)_LDFLAGS) -o $$@ $$(call obj,$$($(1)_SRCS)) $(LIB) $$($(1)_LIBS)
endef
$(foreach p,$(PROGS) $(TOOLS),$(eval $(call program,$(p))))
$(foreach p,$(UNIT_TESTS),$(eval $(p)_LIBS += -lcmocka)$(eval $(call program,$(p))))

# Fuzz targets and what they exercise are compiled apart, with clang and sanitizers.
FUZZ_SAN = address,undefined -fno-sanitize-recover=undefined
FUZZ_CFLAGS = -std=gnu2x -O1 -g -D_GNU_SOURCE $(INCLUDES)
fobj = $(patsubst %.c,$(O)/fuzz/obj/%.o,$(patsubst $(O)/gen/%.c,$(O)/fuzz/obj/gen/%.o,$(1)))

$(O)/fuzz/obj/gen/%.o: $(O)/gen/%.c
	$(call say,FUZZCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -MMD -MP -c $< -o $@

$(O)/fuzz/obj/%.o: %.c | $(GENERATED)
	$(call say,FUZZCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_SAN) -MMD -MP -c $< -o $@

define fuzzer
$(O)/fuzz/$(1): $$(call fobj,$$($(1)_SRCS))
	$$(call say,LD,$$@)
	$(Q)$(CLANG) -fsanitize=fuzzer,$(FUZZ_SAN) -o $$@ $$^ $$($(1)_LIBS)
endef
$(foreach p,$(FUZZERS),$(eval $(call fuzzer,$(p))))

include deploy/targets.mk

-include $(shell find $(O) -name '*.d' 2>/dev/null)

.PHONY: all tools
.SECONDARY:
