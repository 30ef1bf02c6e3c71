TOOLS += netbench
netbench_SRCS := selftests/bench/net/netbench.c
