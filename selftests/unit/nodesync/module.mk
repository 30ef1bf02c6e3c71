UNIT_TESTS += test_nodesync test_claim test_self
test_nodesync_SRCS := selftests/unit/nodesync/test_nodesync.c \
	$(addprefix userspace/agent/modules/nodesync/,node_object.c peers.c holders.c)
test_nodesync_LIBS := -ljson-c
test_nodesync_LDFLAGS := -Wl,--wrap=prefix_overlaps,--wrap=addr_equal
test_claim_SRCS := selftests/unit/nodesync/test_claim.c userspace/agent/modules/nodesync/claim.c
test_claim_LIBS := -levent -ljson-c
test_self_SRCS := selftests/unit/nodesync/test_self.c \
	$(addprefix userspace/agent/modules/nodesync/,items.c node_object.c peers.c holders.c)
test_self_LIBS := -lbpf -ljson-c
