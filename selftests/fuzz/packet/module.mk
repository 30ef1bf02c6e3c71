FUZZERS += fuzz_packet
fuzz_packet_SRCS := selftests/fuzz/packet/fuzz_packet.c selftests/bpf/world.c selftests/bpf/packet.c bpf/native/native.c bpf/native/nmap.c
# One compiler run over several sources leaves the header dependencies of the last one only.
$(O)/fuzz/fuzz_packet: $(wildcard bpf/lib/*.h bpf/native/*.h headers/shared/*.h selftests/bpf/*.h)
