# The data plane's golden cases, on the BPF programs and on the native build of the same core. The
# runner reads one summary a program, so each target is a program of its own.
NATIVE_DP_SRCS := bpf/native/native.c bpf/native/nmap.c
GOLDEN_SRCS := $(addprefix selftests/bpf/,golden_main.c golden.c golden_cases.c golden_svc.c golden_end.c golden_dsr.c golden_sctp.c golden_gc.c golden_xdp.c golden_hostile.c golden_choice.c golden_policy.c golden_judge.c world.c world_svc.c packet.c)

UNIT_TESTS += test_sctp test_sctp_sockets test_datapath_native test_datapath_bpf test_datapath_xdp
test_sctp_SRCS := selftests/bpf/test_sctp.c
test_sctp_sockets_SRCS := selftests/bpf/test_sctp_sockets.c
test_sctp_sockets_LIBS := -lbpf -lelf -lz -lmnl
test_datapath_native_SRCS := selftests/bpf/test_datapath_native.c selftests/bpf/target_native.c $(GOLDEN_SRCS) $(NATIVE_DP_SRCS)
test_datapath_bpf_SRCS := $(addprefix selftests/bpf/,test_datapath_bpf.c target_bpf.c uplink.c) $(GOLDEN_SRCS)
test_datapath_bpf_LIBS := -lbpf -lelf -lz -lmnl
test_datapath_xdp_SRCS := $(addprefix selftests/bpf/,test_datapath_xdp.c target_xdp.c target_bpf.c uplink.c) $(GOLDEN_SRCS)
test_datapath_xdp_LIBS := -lbpf -lelf -lz -lmnl

# BPF programs of the tests themselves.
$(O)/selftests/%.bpf.o: selftests/%.bpf.c
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@

$(O)/gen/selftests/%.skel.h: $(O)/selftests/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*) >$@.new && mv $@.new $@

$(O)/obj/selftests/bpf/target_bpf.o: $(O)/gen/selftests/bpf/via_tunnel.skel.h
$(O)/obj/selftests/bpf/test_sctp_sockets.o: $(O)/gen/selftests/bpf/sctp_ports.skel.h
