FUZZERS += fuzz_packet
fuzz_packet_SRCS := selftests/fuzz/packet/fuzz_packet.c selftests/bpf/world.c selftests/bpf/world_svc.c selftests/bpf/packet.c bpf/native/native.c bpf/native/nmap.c
