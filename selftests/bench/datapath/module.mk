TOOLS += bpf_ns
bpf_ns_SRCS := selftests/bench/datapath/bpf_ns.c selftests/bpf/world.c selftests/bpf/world_svc.c selftests/bpf/packet.c
bpf_ns_LIBS := -lbpf -lelf -lz
$(O)/obj/selftests/bench/datapath/bpf_ns.o: $(O)/gen/selftests/bench/datapath/baseline.skel.h

TOOLS += policy_ns
policy_ns_SRCS := selftests/bench/datapath/policy_ns.c
policy_ns_LIBS := -lbpf -lelf -lz
$(O)/obj/selftests/bench/datapath/policy_ns.o: $(O)/gen/selftests/bench/datapath/verdict.skel.h

TOOLS += xdp_ns
xdp_ns_SRCS := selftests/bench/datapath/xdp_ns.c $(addprefix selftests/bpf/,uplink.c world.c world_svc.c packet.c)
xdp_ns_LIBS := -lbpf -lelf -lz -lmnl
$(O)/obj/selftests/bench/datapath/xdp_ns.o: $(O)/gen/selftests/bench/datapath/xdp_frame.skel.h
