FUZZERS += fuzz_node_object
fuzz_node_object_SRCS := selftests/fuzz/nodesync/fuzz_node_object.c \
	$(addprefix userspace/agent/modules/nodesync/,node_object.c peers.c holders.c) \
	$(addprefix userspace/lib/,base/addr.c base/err.c json/json.c)
fuzz_node_object_LIBS := -ljson-c
